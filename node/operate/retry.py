"""`osteonode retry`: a study is corrected, delivered again or analysed again, at once."""

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from node.config import Configuration
from node.domain.delivery import ORDERED
from node.domain.records import Study
from node.domain.study import TRANSITIONS, StudyEvent, StudyState
from node.domain.wish import brought_by
from node.errors import PermanentError
from node.operate.corrections import apply_corrections
from node.operate.order_trail import Entered
from node.ports import OperatorCommands, Store
from node.show.orders import Order
from node.show.why import words_of
from node.store import open_instance_store

__all__ = ["Action", "Done", "restart_study", "retry_failed", "retry_study"]

_WITH_RESULTS = frozenset({StudyState.DELIVERING, StudyState.DELIVERED, StudyState.FAILED})
_IN_WORK = frozenset({StudyState.SETTLED, StudyState.READY})
_ALL = 1_000_000_000


class Action(StrEnum):
    """What a retry did."""

    CORRECTED = "corrected"
    REDIRECTED = "redirected"
    RESENT = "resent"
    RESTARTED = "restarted"


class Done(NamedTuple):
    """What a retry did, and the sentence for it."""

    action: Action
    words: str


def retry_study(store: OperatorCommands, configuration: Configuration, study_uid: str, now: datetime) -> Done:
    """Do the first of these that applies to a study, and say what was done.

    1. Replace images of unclear identity by the corrected ones that were sent since.
    2. Send results that wait for a destination that is no longer configured to the configured ones.
    3. Restart it; see `restart_study`.

    Raises
    ------
    PermanentError
        If the study is unknown, or the node is still working on it.
    """
    instance_store = open_instance_store(configuration)
    count = apply_corrections(store, instance_store, study_uid, now, configuration.assembly.patience)
    if count:
        words = f"{count} corrected images took the place of the first; the study will be examined again."
        return Done(Action.CORRECTED, words)
    if _redirect(store, configuration, study_uid, now):
        words = "What waited for a destination that is no more goes to those that are configured now."
        return Done(Action.REDIRECTED, words)
    return restart_study(store, study_uid, now)


def restart_study(store: OperatorCommands, study_uid: str, now: datetime) -> Done:
    """Deliver or analyse a study again, and say which.

    Where deliveries failed, the existing results are sent again; where they wait for the next attempt, that
    is made at once. Any other finished study, and one that waits for another attempt after a fault, is
    examined and analysed again; a series that was cut off and not sent again then counts as complete, because
    the operator asks for it.

    Raises
    ------
    PermanentError
        If the study is unknown, or the node is still working on it.
    """
    study = store.study(study_uid)
    if study is None:
        raise PermanentError(f"study {study_uid} is unknown here")
    if study.state in _WITH_RESULTS and store.resend(study, now):
        return Done(Action.RESENT, "Its results are in the outbox again.")
    if (study.state, StudyEvent.RETRIED) not in TRANSITIONS or _goes_on_by_itself(study, now):
        raise PermanentError(f"the study is {words_of(study.state)}; there is nothing to retry yet")
    moved = store.advance(study, StudyEvent.RETRIED, now, reason=ORDERED, deadline=now)
    if moved is None:
        raise PermanentError("the study changed in this moment; look again")
    store.forgive_cut_off(study_uid)
    return Done(Action.RESTARTED, "It will be examined and analysed again.")


def retry_failed(
    store: Store, configuration: Configuration, now: datetime, entered: Entered
) -> Iterator[tuple[Study, Done | PermanentError]]:
    """Retry every study that was set aside and whose images are still here; see `retry_study`.

    Parameters
    ----------
    store, configuration, now : Store, Configuration, datetime
        As for `retry_study`.
    entered : callable
        Enters each order in the audit trail.

    Yields
    ------
    study : Study
        As it was, the one that changed last first.
    answer : Done or PermanentError
        What was done, or why nothing could be.
    """
    for study in store.failed_studies(datetime.fromtimestamp(0, UTC), _ALL).latest:
        try:
            with entered(Order.RETRY, study.study_uid):
                answer: Done | PermanentError = retry_study(store, configuration, study.study_uid, now)
        except PermanentError as error:
            answer = error
        yield study, answer


def _goes_on_by_itself(study: Study, now: datetime) -> bool:
    """Tell whether the node works on a study without waiting for a back-off to end."""
    return study.state in _IN_WORK and (study.deadline is None or study.deadline <= now)


def _redirect(store: OperatorCommands, configuration: Configuration, study_uid: str, now: datetime) -> bool:
    study = store.study(study_uid)
    if study is None:
        return False
    among = configuration.receivers_of(brought_by(store.wishes(study_uid)), now.date())
    results = [
        one.queued_for(
            tuple(name for name in configuration.receivers(one.kind, one.sop_class_uid) if name in among)
        )
        for one in store.results(study_uid)
        if one.current
    ]
    return store.redirect(study, results, [it.name for it in configuration.destinations], now)
