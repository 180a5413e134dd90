"""The sweeps of all stations, and which stations each of them wakes."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import timedelta
from functools import partial

from node.analyse.analyst import Analyst
from node.analyse.refusal_sweep import RefusalReporter
from node.app.notifying import Messengers
from node.app.resources import Resources
from node.app.schedule import Schedule
from node.app.sending import Couriers
from node.notify.announcer import Announcer
from node.notify.watch import Watch
from node.receive.discards import Discards
from node.settle.settler import StudySettler
from node.store.retention import drop_unused, purge, purge_not_for_us

__all__ = ["plan_deliveries", "plan_notices", "plan_sweeps"]

_SETTLE = "assemble"
_DISCARDS_SWEEP_S = 2.0
_CLOSING_SWEEP_S = 60.0
_RETENTION_SWEEP_S = 3600.0
_WATCH_SWEEPS = 20
"""The conditions of the node are looked at this many times more seldom than studies."""
_NOTICES_KEPT = timedelta(days=30)


def plan_sweeps(
    schedule: Schedule,
    resources: Resources,
    *,
    settler: StudySettler,
    analysts: Sequence[Analyst],
    refusal_reporter: RefusalReporter,
    couriers: Couriers,
    discards: Discards,
    announcer: Announcer,
    watch: Watch,
    messengers: Messengers,
    every_s: float,
) -> None:
    """Add all sweeps to the schedule: those along the way of a study, and those that tidy up."""
    analyses = {f"analyse-{number}": analyst for number, analyst in enumerate(analysts)}
    wake = partial(_then_wake, schedule)
    settle = wake(settler.sweep, lambda: analyses)
    schedule.every(every_s, _SETTLE, partial(_then_at_the_moment, schedule, settle, settler, every_s))
    for name, analyst in analyses.items():
        schedule.every(every_s, name, wake(analyst.sweep, lambda: (*_deliveries(couriers), "explain")))
    schedule.every(every_s, "explain", wake(refusal_reporter.sweep, lambda: _deliveries(couriers)))
    plan_deliveries(schedule, couriers, (), every_s=every_s)
    schedule.every(_DISCARDS_SWEEP_S, "discards", discards.sweep)
    schedule.every(every_s, "announce", wake(announcer.sweep, lambda: _messages(messengers)))
    schedule.every(every_s * _WATCH_SWEEPS, "watch", wake(watch.sweep, lambda: _messages(messengers)))
    plan_notices(schedule, messengers, (), every_s=every_s)
    schedule.every(_CLOSING_SWEEP_S, "close", partial(_close, resources))
    schedule.every(_RETENTION_SWEEP_S, "retention", partial(_purge, resources))


def plan_deliveries(
    schedule: Schedule, couriers: Couriers, planned: Collection[str], *, every_s: float
) -> None:
    """Add the sweeps of the couriers to the schedule, and remove those of destinations that are gone.

    Parameters
    ----------
    schedule, couriers : Schedule, Couriers
        When what is done, and who does it.
    planned : collection of str
        Names of the destinations that have a sweep.
    every_s : float
        Interval of the sweeps in seconds.
    """
    for name in set(planned) - set(couriers.names):
        schedule.remove(_delivery(name))
    for name in couriers.names:
        if name not in planned:
            schedule.every(every_s, _delivery(name), partial(couriers.sweep, name))


def plan_notices(
    schedule: Schedule, messengers: Messengers, planned: Collection[str], *, every_s: float
) -> None:
    """Add the sweeps of the messengers to the schedule, as `plan_deliveries` does for the couriers."""
    for name in set(planned) - set(messengers.names):
        schedule.remove(_message(name))
    for name in messengers.names:
        if name not in planned:
            schedule.every(every_s, _message(name), partial(messengers.sweep, name))


def _message(contact: str) -> str:
    return f"notify-{contact}"


def _messages(messengers: Messengers) -> tuple[str, ...]:
    return tuple(_message(name) for name in messengers.names)


def _delivery(destination: str) -> str:
    return f"deliver-{destination}"


def _deliveries(couriers: Couriers) -> tuple[str, ...]:
    return tuple(_delivery(name) for name in couriers.names)


def _then_wake(
    schedule: Schedule, sweep: Callable[[], int], stations: Callable[[], Iterable[str]]
) -> Callable[[], None]:
    """Return a sweep that runs those of the next stations as soon as it has something for them.

    Without this a study would wait half an interval on average at each station.
    """

    def run() -> None:
        if sweep():
            for name in stations():
                schedule.soon(name)

    return run


def _then_at_the_moment(
    schedule: Schedule, sweep: Callable[[], None], settler: StudySettler, every_s: float
) -> None:
    """Run the sweep of the settler, and again at the moment at which the next study is due.

    Without this the result of every study would come up to an interval after its quiet time.
    """
    sweep()
    after = settler.next_in(timedelta(seconds=every_s))
    if after is not None:
        schedule.soon(_SETTLE, after)


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
    resources.store.forget_discards(now - timedelta(days=settings.retention_days))
    contacts = [one.name for one in resources.configuration.notify]
    resources.notices.forget(now - _NOTICES_KEPT, contacts, now)
    resources.store.forget_examinations(now - timedelta(days=settings.scores_days))
