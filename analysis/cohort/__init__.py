"""From a cohort table to a feature table: every study is measured once, and every patient has one row."""
