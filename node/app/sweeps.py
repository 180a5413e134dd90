"""When each station looks for what is due, and whom it wakes."""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial

from node.analyse.analyst import Analyst
from node.analyse.refusal_sweep import RefusalReporter
from node.app.ground import Ground
from node.app.schedule import Schedule
from node.deliver.courier import Courier
from node.settle.assembler import Assembler
from node.store.retention import purge

__all__ = ["plan_sweeps"]

_CLOSING_SWEEP_S = 60.0
_RETENTION_SWEEP_S = 3600.0


def plan_sweeps(
    schedule: Schedule,
    ground: Ground,
    *,
    assembler: Assembler,
    analysts: Sequence[Analyst],
    explainer: RefusalReporter,
    couriers: Sequence[Courier],
    every_s: float,
) -> None:
    """Enter all sweeps into the schedule: along the way of a study, and those that tidy up."""
    analyses = {f"analyse-{number}": analyst for number, analyst in enumerate(analysts)}
    deliveries = {f"deliver-{courier.name}": courier for courier in couriers}
    wake = partial(_then_wake, schedule)
    schedule.every(every_s, "assemble", wake(assembler.sweep, analyses))
    for name, analyst in analyses.items():
        schedule.every(every_s, name, wake(analyst.sweep, (*deliveries, "explain")))
    schedule.every(every_s, "explain", wake(explainer.sweep, deliveries))
    for name, courier in deliveries.items():
        schedule.every(every_s, name, courier.sweep)
    schedule.every(_CLOSING_SWEEP_S, "close", partial(_close, ground))
    schedule.every(_RETENTION_SWEEP_S, "retention", partial(_purge, ground))


def _then_wake(schedule: Schedule, sweep: Callable[[], int], stations: Iterable[str]) -> Callable[[], None]:
    """Run the sweeps of the next stations as soon as this one has something for them.

    Without this each station would cost a study half an interval of waiting.
    """
    names = tuple(stations)

    def run() -> None:
        if sweep():
            for name in names:
                schedule.soon(name)

    return run


def _close(ground: Ground) -> None:
    """Close what a courier could not, because the store did not answer in that moment."""
    ground.store.finish_all_deliveries(ground.clock.now())


def _purge(ground: Ground) -> None:
    age = timedelta(days=ground.configuration.storage.retention_days)
    purge(ground.store, ground.instance_store, ground.clock.now() - age)
