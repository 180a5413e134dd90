"""T1 and T2 of one study show one spine: their bodies, names and outlines compared."""
