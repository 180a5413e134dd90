"""Reads measurement reports again: what they cite, and how two of them differ."""
