"""Hypothesis profiles for all tests, and how they are spread over processes."""

# ruff: noqa: E402 - numpy reads the number of its threads as it is imported
import os
import sys
from typing import Any

# A process that keeps nothing of what it compiles compiles its imports anew: seconds, in each of the hundreds
# that the tests start. As `.ci/run` does, but before any test is imported.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Set before numpy is imported, and inherited by each process that a test starts. With several processes on
# each core, the threads of these libraries wait for one another in loops: training took ten times the
# processor time that it takes with one thread.
for _library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_library, "1")

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from node.dicom.libraries import configure_libraries
from tests.processor_time import (
    pytest_addoption,
    pytest_runtest_makereport,
    pytest_runtest_protocol,
    pytest_terminal_summary,
)
from tests.thoroughness import is_explained, share_of

__all__ = [
    "pytest_addoption",
    "pytest_runtest_makereport",
    "pytest_runtest_protocol",
    "pytest_terminal_summary",
]

# No deadline, because a busy machine is not a fault of the code. CI draws the same examples every time,
# so that a failure is due to the change; locally they are fewer and differ from run to run, and so find more.
_always = settings(
    deadline=None, max_examples=share_of(100), suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("dev", _always)
settings.register_profile("ci", _always, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

# As every entry point of the program does.
configure_libraries()

_TOGETHER = (
    ("tests/analysis/evaluation/",),
    ("tests/analysis/learning/", "tests/analysis/prediction/"),
    ("tests/dicom_templates/codes/",),
)
"""Folders whose files share what took long to compute."""
_APART = ("tests/end_to_end/test_install.py",)
"""Files whose tests take long, and share next to nothing."""


class FilesSideBySide(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """The tests of a file run in one process, so that they share what their fixtures start."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(_APART):
            return nodeid
        file: str = super()._split_scope(nodeid)
        return next((folders[0] for folders in _TOGETHER if nodeid.startswith(folders)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesSideBySide:
    """Return the scheduler."""
    return FilesSideBySide(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """Run the gates, too, where each argument is a file or a test: who names it wants all of it."""
    if hasattr(config, "workerinput") or any(word.startswith("-m") for word in config.invocation_params.args):
        return  # a worker is told by the process that started it
    if all(".py" in argument for argument in config.args):
        config.option.markexpr = "not nightly"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have a slow test; at the end, the other processes would wait for them.

    Raises
    ------
    pytest.UsageError
        If a gate does not say why it is none of the tests that each run of `uv run pytest` makes.
    """
    for item in items:
        if not is_explained(item.iter_markers("gate")):
            raise pytest.UsageError(f"{item.nodeid}: write pytest.mark.gate(why)")
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("gate")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run one worker more than there are cores, since many tests wait; one file alone needs none."""
    one_file = len(config.args) == 1 and ".py" in config.args[0]
    return 0 if one_file else (os.cpu_count() or 1) + 1
