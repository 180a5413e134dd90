"""Hypothesis profiles for all tests."""

import os

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
