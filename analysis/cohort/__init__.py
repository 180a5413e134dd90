"""From a cohort table to a feature table: every study measured once, every patient in one row."""
