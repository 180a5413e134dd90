"""How many cases a test tries: a part of them for feedback, all of them in continuous integration."""

import os
from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["first_of", "is_explained", "share_of"]

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


def first_of(*values: Any, why: str) -> list[Any]:
    """Return values for `pytest.mark.parametrize`, of which all but the first are gates.

    Parameters
    ----------
    values
        Alike for what is tested; the first is the one that is most likely to see a fault.
    why : str
        Why one of them is enough outside continuous integration.
    """
    first, *others = values
    return [first, *(pytest.param(value, marks=pytest.mark.gate(why)) for value in others)]


def is_explained(gates: Iterable[pytest.Mark | pytest.MarkDecorator]) -> bool:
    """Tell whether each of the marks `gate` of a test says why."""
    return all(len(gate.args) == 1 and gate.args[0] for gate in gates)
