"""The archives that are asked: one class for each way of asking, below one class that judges the answers."""
