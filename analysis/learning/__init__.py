"""From a feature table to a model; everything that learns does so inside the folds."""
