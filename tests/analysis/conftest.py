"""Tests run side by side, so none of them may use several threads for what one thread does."""

from collections.abc import Iterator

import pytest

from analysis.threads import single_threaded


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Compute with one thread, as the commands for cohorts do."""
    with single_threaded():
        yield
