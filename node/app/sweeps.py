"""The sweeps of all stations, and which stations each of them wakes."""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial

from node.analyse.analyst import Analyst
from node.analyse.refusal_sweep import RefusalReporter
from node.app.resources import Resources
from node.app.schedule import Schedule
from node.deliver.courier import Courier
from node.settle.settler import StudySettler
from node.store.retention import drop_unused, purge, purge_not_for_us

__all__ = ["plan_sweeps"]

_CLOSING_SWEEP_S = 60.0
_RETENTION_SWEEP_S = 3600.0


def plan_sweeps(
    schedule: Schedule,
    resources: Resources,
    *,
    settler: StudySettler,
    analysts: Sequence[Analyst],
    refusal_reporter: RefusalReporter,
    couriers: Sequence[Courier],
    every_s: float,
) -> None:
    """Add all sweeps to the schedule: those along the way of a study, and those that tidy up."""
    analyses = {f"analyse-{number}": analyst for number, analyst in enumerate(analysts)}
    deliveries = {f"deliver-{courier.name}": courier for courier in couriers}
    wake = partial(_then_wake, schedule)
    schedule.every(every_s, "assemble", wake(settler.sweep, analyses))
    for name, analyst in analyses.items():
        schedule.every(every_s, name, wake(analyst.sweep, (*deliveries, "explain")))
    schedule.every(every_s, "explain", wake(refusal_reporter.sweep, deliveries))
    for name, courier in deliveries.items():
        schedule.every(every_s, name, courier.sweep)
    schedule.every(_CLOSING_SWEEP_S, "close", partial(_close, resources))
    schedule.every(_RETENTION_SWEEP_S, "retention", partial(_purge, resources))


def _then_wake(schedule: Schedule, sweep: Callable[[], int], stations: Iterable[str]) -> Callable[[], None]:
    """Return a sweep that runs those of the next stations as soon as it has something for them.

    Without this a study would wait half an interval on average at each station.
    """
    names = tuple(stations)

    def run() -> None:
        if sweep():
            for name in names:
                schedule.soon(name)

    return run


def _close(resources: Resources) -> None:
    """Close studies that a courier could not close because the database did not answer."""
    resources.store.finish_all_deliveries(resources.clock.now())


def _purge(resources: Resources) -> None:
    settings, now = resources.configuration.storage, resources.clock.now()
    drop_unused(resources.store, resources.instance_store)
    purge_not_for_us(
        resources.store, resources.instance_store, now - timedelta(hours=settings.not_for_us_hours)
    )
    purge(resources.store, resources.instance_store, now - timedelta(days=settings.retention_days))
