"""The values that the stages hand to each other; frozen, and valid once built."""
