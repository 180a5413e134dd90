"""No test sets a limit of its own that a slow machine could exceed."""

import ast
from collections.abc import Iterator

import pytest

from tests.patience import PATIENCE_S
from tests.peers import REPOSITORY

_WAITS = {"wait", "settimeout", "join", "result"}
_SHORTEST_LIMIT = 2.0
"""What is shorter is the pause between two looks, or a wait that shall end in vain."""


def short_limits(code: str) -> Iterator[int]:
    """Find the lines with a limit below the patience, or with a sender of pynetdicom, whose limit is 30 s."""
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        limits = [keyword.value for keyword in node.keywords if keyword.arg == "timeout"]
        match node.func:
            case ast.Name("AE"):
                yield node.lineno
            case ast.Attribute(ast.Name("self"), _):
                pass
            case ast.Attribute(_, name) if name in _WAITS:
                limits += node.args
        for limit in limits:
            match limit:
                case ast.Constant(int() | float() as seconds) if _SHORTEST_LIMIT <= seconds < PATIENCE_S:
                    yield node.lineno


@pytest.mark.parametrize(
    "line",
    ["subprocess.run(words, timeout=60)", "process.wait(30)", "plain.settimeout(20.0)", 'AE("SENDER")'],
)
def test_a_short_limit_is_found(line: str) -> None:
    assert list(short_limits(line)) == [1]


def test_no_test_has_a_short_limit() -> None:
    found = [
        f"{path}:{line}"
        for path in (REPOSITORY / "tests").rglob("*.py")
        if path.name != "patience.py" and "benchmarks" not in path.parts
        for line in short_limits(path.read_text())
    ]
    assert not found
