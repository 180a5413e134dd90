"""The timers of the sweeps, with APScheduler; they hold no state, so a missed run loses nothing."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger

from node.domain.status import SweepRun
from node.log import Log, guarded
from node.ports import Clock

__all__ = ["SWEEP_S", "Schedule"]

SWEEP_S = 0.5
"""Usual interval of the sweeps of a node in seconds."""

_THREADS = 32
_MISSED_S = 60
_LOOK_S = 0.5
_STEP_S = 1.0
"""A clock that is set back by less than this delays a sweep only slightly."""


class _Pause(BaseTrigger):  # type: ignore[misc]  # the library has no types
    """Fires once this time has passed since the last run, and not once for each run that was missed.

    The library's interval trigger counts missed runs one by one, which takes minutes after a clock that was
    wrong by years is corrected.
    """

    def __init__(self, seconds: float) -> None:
        self._pause = timedelta(seconds=seconds)

    def get_next_fire_time(self, _previous: datetime | None, now: datetime) -> datetime:
        """See APScheduler."""
        return now + self._pause


class Schedule:
    """Runs sweeps by name, each in one thread at a time.

    They keep their intervals even if the clock is set forward or back. APScheduler alone would sleep until a
    clock that was set back has caught up.

    Parameters
    ----------
    clock : Clock
        Gives the time of the next run.
    log : Log
        Logs the faults of sweeps.
    long : int, optional
        How many sweeps may run for hours; each gets a thread that it takes from no other.
    """

    def __init__(self, clock: Clock, log: Log, *, long: int = 0) -> None:
        self._clock = clock
        self._log = log
        self._runs: dict[str, SweepRun] = {}
        self._names: set[str] = set()
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._watch_clock, name="clock watch", daemon=True)
        self._scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(_THREADS + long)},
            # A sweep that is still running, or was late, does not run twice: the next run finds everything.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone="UTC",
        )

    def every(self, seconds: float, name: str, sweep: Callable[[], object]) -> None:
        """Run a sweep at once and then at this interval, until `remove` or `stop`."""
        self._names.add(name)
        self._scheduler.add_job(
            self._noted(name, seconds, guarded(name, sweep, self._log)),
            _Pause(seconds),
            id=name,
            next_run_time=self._clock.now(),
        )

    def by_cron(self, expression: str, name: str, task: Callable[[], object]) -> None:
        """Run a task at the times of a cron expression, where this machine is; times missed are left out."""
        self._scheduler.add_job(
            guarded(name, task, self._log),
            CronTrigger.from_crontab(expression),
            id=name,
            misfire_grace_time=_MISSED_S,
        )

    def remove(self, name: str) -> None:
        """Start a sweep no more; a run that has begun goes on to its end."""
        self._names.discard(name)
        with suppress(JobLookupError):
            self._scheduler.remove_job(name)

    def soon(self, name: str, after: timedelta = timedelta()) -> None:
        """Run a sweep now, or after a time, instead of at its next time.

        A sweep already running will pick up the new work.
        """
        if self._scheduler.running:
            with suppress(JobLookupError):
                self._scheduler.modify_job(name, next_run_time=self._clock.now() + after)

    def runs(self) -> tuple[SweepRun, ...]:
        """Return the latest run of each sweep that has run, and was not removed."""
        return tuple(run for run in tuple(self._runs.values()) if run.name in self._names)

    def _noted(self, name: str, seconds: float, run: Callable[[], bool]) -> Callable[[], None]:
        def run_and_note() -> None:
            begun = self._runs[name] = SweepRun(name, seconds, self._clock.now())
            went_well = run()
            self._runs[name] = replace(begun, ended_at=self._clock.now(), broke=not went_well)

        return run_and_note

    def start(self) -> None:
        """Start the timers."""
        self._scheduler.start()
        self._watch.start()

    def stop(self) -> None:
        """Start no more sweeps, and wait for those that are running."""
        self._stopping.set()
        if self._scheduler.running:
            self._watch.join()
            self._scheduler.shutdown(wait=True)

    def _watch_clock(self) -> None:
        """Compare wall clock and monotonic clock, and wake all sweeps if the wall clock was set back."""
        ahead = self._ahead()
        while not self._stopping.wait(_LOOK_S):
            before, ahead = ahead, self._ahead()
            if ahead < before - _STEP_S:
                self._log.warning("clock_set_back", seconds=round(before - ahead, 1))
                for job in self._scheduler.get_jobs():
                    self.soon(job.id)

    def _ahead(self) -> float:
        return self._clock.now().timestamp() - time.monotonic()
