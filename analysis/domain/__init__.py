"""The values that the stages of the analysis exchange; frozen, and valid once built."""
