"""A run for feedback tries the first of what is alike; a gate says why it is one."""

import pytest

from tests.peers import REPOSITORY
from tests.thoroughness import first_of, is_explained, share_of


def test_a_share_is_never_nothing_and_never_more_than_all() -> None:
    assert [1 <= share_of(count) <= count for count in (1, 2, 5, 100)] == [True] * 4


def test_all_but_the_first_are_gates_with_the_reason() -> None:
    first, *others = first_of("a", "b", "c", why="alike")
    assert first == "a"
    assert [one.values for one in others] == [("b",), ("c",)]
    assert all(is_explained(one.marks) for one in others)


def test_a_gate_without_a_reason_is_noticed() -> None:
    assert is_explained([pytest.mark.gate("it installs three Pythons").mark])
    assert not is_explained([pytest.mark.gate.mark])
    assert not is_explained([pytest.mark.gate("").mark])


def test_ci_runs_the_gates() -> None:
    ci = (REPOSITORY / ".ci" / "run").read_text()
    assert 'uv run pytest -m "not nightly"' in ci
    assert "HYPOTHESIS_PROFILE=ci" in ci, "all cases"
