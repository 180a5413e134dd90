"""Prediction: the model as values, its bundle on disk, its card, and its answers."""
