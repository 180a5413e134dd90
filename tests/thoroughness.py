"""How many cases a test tries: a part of them for feedback, all of them in continuous integration."""

import os

__all__ = ["share_of"]

_TRIES_ALL = os.environ.get("HYPOTHESIS_PROFILE") == "ci"
"""As `.ci/run` sets it."""
_PART = 4


def share_of(count: int) -> int:
    """Return how many of so many cases this run tries: all of them, or a quarter.

    For cases that are alike: generated, or points of one kind. What one case alone tests is another test.

    Parameters
    ----------
    count : int
        How many are tried in continuous integration; at least 1.
    """
    return count if _TRIES_ALL else -(-count // _PART)
