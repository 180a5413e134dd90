"""Tells which tests cost most, in processor time: it hardly depends on what else the machine does.

``uv run pytest --processor-time 25`` lists them at the end. A process that a test starts counts once the test
has waited for its end.
"""

import os
from collections import defaultdict
from collections.abc import Generator

import pytest

__all__ = [
    "pytest_addoption",
    "pytest_runtest_makereport",
    "pytest_runtest_protocol",
    "pytest_terminal_summary",
]

_PROPERTY = "processor_s"
_used = {"s": 0.0}
"""Processor time of this worker when it was last looked at."""


def _since_last() -> float:
    times = os.times()
    now = times.user + times.system + times.children_user + times.children_system
    past, _used["s"] = _used["s"], now
    return now - past


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--processor-time", type=int, default=0, metavar="N", help="list the N costliest tests")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Count from the beginning of a test, not from the end of the one before it."""
    _since_last()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the processor time of a phase of a test to its report, in seconds."""
    report = yield
    report.user_properties.append((_PROPERTY, _since_last()))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List the tests that cost most, and what all cost together."""
    count = config.getoption("--processor-time")
    if not count:
        return
    used: defaultdict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == _PROPERTY:
                    used[report.nodeid] += value
    terminalreporter.section(f"processor time: {sum(used.values()):.0f} s in all tests")
    for test in sorted(used, key=used.__getitem__, reverse=True)[:count]:
        terminalreporter.write_line(f"{used[test]:7.1f} s {test}")
