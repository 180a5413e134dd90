"""The service: every effect (socket, disk, database, clock, process) lives here."""
