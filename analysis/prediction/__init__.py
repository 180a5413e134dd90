"""The trained model: its values, its bundle on disk, its card, and its answers."""
