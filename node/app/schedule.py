"""The timers: APScheduler wakes the sweeps. It keeps no truth; a run that is missed loses nothing."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from node.domain.status import SweepRun
from node.log import Log, guarded
from node.ports import Clock

__all__ = ["Schedule"]

_THREADS = 32
_LOOK_S = 0.5
_STEP_S = 1.0
"""Set back by less than this, the clock delays a sweep by less than anybody would notice."""


class _Pause(BaseTrigger):  # type: ignore[misc]  # the library has no types
    """Fires when so much time has passed since the last run, and not once for each that was missed.

    The trigger of the library would count them one by one, for minutes after a clock that was wrong by years
    is set right.
    """

    def __init__(self, seconds: float) -> None:
        self._pause = timedelta(seconds=seconds)

    def get_next_fire_time(self, _previous: datetime | None, now: datetime) -> datetime:
        """See APScheduler."""
        return now + self._pause


class Schedule:
    """Sweeps by name, each in one thread at a time.

    Whether the clock is set forward or back, they go on at their intervals. APScheduler alone would sleep
    until a clock that was set back has caught up.

    Parameters
    ----------
    clock : Clock
        For `soon`.
    log : Log
        Gets the fault of a sweep.
    """

    def __init__(self, clock: Clock, log: Log) -> None:
        self._clock = clock
        self._log = log
        self._runs: dict[str, SweepRun] = {}
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._watch_clock, name="clock watch", daemon=True)
        self._scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(_THREADS)},
            # A sweep that is still running, or was late, is not run twice: the next one sees all there is.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone="UTC",
        )

    def every(self, seconds: float, name: str, sweep: Callable[[], object]) -> None:
        """Run a sweep at once and then at this interval, until `stop`."""
        self._scheduler.add_job(
            self._noted(name, seconds, guarded(name, sweep, self._log)),
            _Pause(seconds),
            id=name,
            next_run_time=self._clock.now(),
        )

    def soon(self, name: str) -> None:
        """Run a sweep now instead of at its next time; one that runs already finds the new work itself."""
        if self._scheduler.running and self._scheduler.get_job(name) is not None:
            self._scheduler.modify_job(name, next_run_time=self._clock.now())

    def runs(self) -> tuple[SweepRun, ...]:
        """Return the latest run of each sweep that ever ran."""
        return tuple(self._runs.values())

    def _noted(self, name: str, seconds: float, run: Callable[[], bool]) -> Callable[[], None]:
        def run_and_note() -> None:
            begun = self._runs[name] = SweepRun(name, seconds, self._clock.now())
            went_well = run()
            self._runs[name] = replace(begun, ended_at=self._clock.now(), broke=not went_well)

        return run_and_note

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()
        self._watch.start()

    def stop(self) -> None:
        """Begin nothing more, and wait for the sweeps that run."""
        self._stopping.set()
        if self._scheduler.running:
            self._watch.join()
            self._scheduler.shutdown(wait=True)

    def _watch_clock(self) -> None:
        """Wake every sweep when the clock was set back, as one that only goes on tells."""
        ahead = self._ahead()
        while not self._stopping.wait(_LOOK_S):
            before, ahead = ahead, self._ahead()
            if ahead < before - _STEP_S:
                self._log.warning("clock_set_back", seconds=round(before - ahead, 1))
                for job in self._scheduler.get_jobs():
                    self.soon(job.id)

    def _ahead(self) -> float:
        return self._clock.now().timestamp() - time.monotonic()
