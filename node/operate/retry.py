"""`osteonode retry`: a study is corrected, delivered again or analysed again."""

from datetime import datetime

from node.config import Configuration
from node.domain.records import NewResult
from node.domain.study import TRANSITIONS, StudyEvent
from node.errors import PermanentError
from node.operate.corrections import apply_corrections
from node.ports import OperatorCommands
from node.show.why import words_of
from node.store import open_instance_store

__all__ = ["restart_study", "retry_study"]


def retry_study(store: OperatorCommands, configuration: Configuration, study_uid: str, now: datetime) -> str:
    """Do the first of these that applies to a study, and return a sentence that says what was done.

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
        return f"{count} corrected images took the place of the first; the study will be examined again."
    if _redirect(store, configuration, study_uid, now):
        return "What waited for a destination that is no more goes to those that are configured now."
    return restart_study(store, study_uid, now)


def restart_study(store: OperatorCommands, study_uid: str, now: datetime) -> str:
    """Deliver or analyse a finished study again, and return a sentence that says which.

    Where deliveries failed, the existing results are sent again. Any other finished study is examined and
    analysed again; a series that was cut off and not sent again then counts as complete, because the operator
    asks for it.

    Raises
    ------
    PermanentError
        If the study is unknown, or the node is still working on it.
    """
    study = store.study(study_uid)
    if study is None:
        raise PermanentError(f"study {study_uid} is unknown here")
    if (study.state, StudyEvent.RESENT) in TRANSITIONS and store.resend(study, now):
        return "Its results are in the outbox again."
    if (study.state, StudyEvent.RETRIED) not in TRANSITIONS:
        raise PermanentError(f"the study is {words_of(study.state)}; there is nothing to retry yet")
    moved = store.advance(study, StudyEvent.RETRIED, now, reason="an operator asked for it", deadline=now)
    if moved is None:
        raise PermanentError("the study changed in this moment; look again")
    store.forgive_cut_off(study_uid)
    return "It will be examined and analysed again."


def _redirect(store: OperatorCommands, configuration: Configuration, study_uid: str, now: datetime) -> bool:
    study = store.study(study_uid)
    if study is None:
        return False
    results = [
        NewResult(
            one.kind, one.sop_uid, one.sop_class_uid, one.name,
            configuration.receivers(one.kind, one.sop_class_uid), one.series_uid,
        )
        for one in store.results(study_uid) if one.current
    ]  # fmt: skip
    return store.redirect(study, results, [it.name for it in configuration.destinations], now)
