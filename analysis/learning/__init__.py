"""Training: from a feature table to a model, with selection, tuning and calibration inside the folds."""
