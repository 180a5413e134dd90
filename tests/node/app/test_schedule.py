"""Timers keep running when the clock is set."""

import datetime as dt
from collections.abc import Iterator
from io import StringIO

import pytest

from node.app.schedule import Schedule
from node.log import get_log
from tests.node.nodes import MovedClock
from tests.patience import wait_until


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MovedClock:
    """Return a clock that APScheduler uses too."""
    clock = MovedClock()

    class Moved(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
            return clock.now().astimezone(tz)

    monkeypatch.setattr("apscheduler.schedulers.base.datetime", Moved)
    return clock


@pytest.fixture
def runs(clock: MovedClock) -> Iterator[list[dt.datetime]]:
    """Return the moments at which a sweep ran."""
    moments: list[dt.datetime] = []
    schedule = Schedule(clock, get_log())
    schedule.every(0.05, "sweep", lambda: moments.append(clock.now()))
    schedule.start()
    yield moments
    schedule.stop()


@pytest.mark.parametrize("by", [{"hours": -1}, {"hours": 1}, {"days": 365 * 30}, {"days": -365}])
def test_a_sweep_goes_on_after_the_clock_was_set(
    clock: MovedClock, runs: list[dt.datetime], written: StringIO, by: dict[str, float]
) -> None:
    wait_until(lambda: len(runs) >= 3)
    clock.move(**by)
    before = len(runs)
    wait_until(lambda: len(runs) >= before + 5)
    assert ("clock_set_back" in written.getvalue()) == (min(by.values()) < 0)
