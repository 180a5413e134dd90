"""Hypothesis profiles for all tests, and how many of them run side by side."""

import os

import pytest
from hypothesis import HealthCheck, settings

from node.dicom.libraries import configure_libraries

# No deadline, because a busy machine is not a fault of the code. CI draws the same examples every time,
# so that a failure is due to the change; locally they differ from run to run, and so find more.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

# As every entry point of the program does.
configure_libraries()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run one worker more than there are cores, since many tests wait; one file alone needs none."""
    one_file = len(config.args) == 1 and ".py" in config.args[0]
    return 0 if one_file else (os.cpu_count() or 1) + 1
