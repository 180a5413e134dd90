"""Comparison of the T1 and the T2 series of a study: their alignment, common bodies and levels."""
