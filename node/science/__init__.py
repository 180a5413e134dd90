"""Science: simulated studies, the demonstration, the measurement of cohorts; not needed by a running node."""
