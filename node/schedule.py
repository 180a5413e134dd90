"""The timers: APScheduler wakes the sweeps. It keeps no truth; a run that is missed loses nothing."""

from collections.abc import Callable
from dataclasses import replace

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from node.domain.status import SweepRun
from node.observe import Log, guarded
from node.ports import Clock

__all__ = ["Schedule"]

_THREADS = 32


class Schedule:
    """Sweeps by name, each in one thread at a time.

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
            "interval",
            seconds=seconds,
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

    def stop(self) -> None:
        """Begin nothing more, and wait for the sweeps that run."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)
