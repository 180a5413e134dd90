"""Results read again: what a report cites, and how two reports differ."""
