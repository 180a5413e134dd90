"""The operator's questions and orders: what is there, why has this study no result, try again, clear away."""

from datetime import datetime, timedelta

from node.config import Configuration
from node.domain.records import NewResult
from node.domain.study import TRANSITIONS, StudyEvent
from node.errors import PermanentError
from node.operate.correct import put_corrections
from node.ports import Orders, Retention, Store
from node.show.why import words_of
from node.store import Upgrade, lock_storage, open_database, open_instance_store, store_url, upgrade
from node.store.retention import purge

__all__ = ["clear_away", "open_store", "release", "retry", "upgrade_store"]


def open_store(configuration: Configuration) -> Store:
    """Open the store of a node, which may be running meanwhile.

    Raises
    ------
    PermanentError
        If no node has worked with this configuration yet.
    """
    if not configuration.store.url and not configuration.storage.directory.is_dir():
        raise PermanentError(f"no node has run with the storage {configuration.storage.directory} yet")
    return open_database(configuration)


def upgrade_store(configuration: Configuration) -> Upgrade:
    """Bring the database of a node that is stopped to the version that this OsteoNode works with.

    Raises
    ------
    PermanentError
        If the node runs, or the database is empty or none that this OsteoNode knows.
    """
    with lock_storage(configuration.storage.directory):
        return upgrade(store_url(configuration))


def retry(store: Orders, study_uid: str, now: datetime) -> str:
    """Let a study be delivered or examined once more, and say which.

    Failed deliveries are tried again with the results at hand; any other finished study is examined and
    analysed anew, and what was cut off and not sent again then counts as whole: the operator says so.

    Raises
    ------
    PermanentError
        If the study is unknown, or the node is still working on it by itself.
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


def release(store: Orders, configuration: Configuration, study_uid: str, now: datetime) -> str:
    """Put corrected images in their place, send what waits for a destination that is no more, or `retry`."""
    instance_store = open_instance_store(configuration)
    count = put_corrections(store, instance_store, study_uid, now, configuration.assembly.patience)
    if count:
        return f"{count} corrected images took the place of the first; the study will be examined again."
    if _redirect(store, configuration, study_uid, now):
        return "What waited for a destination that is no more goes to those that are configured now."
    return retry(store, study_uid, now)


def _redirect(store: Orders, configuration: Configuration, study_uid: str, now: datetime) -> bool:
    study = store.study(study_uid)
    if study is None:
        return False
    results = [
        NewResult(
            one.kind, one.sop_uid, one.sop_class_uid, one.name,
            tuple(it.name for it in configuration.destinations if it.wants(one.kind, one.sop_class_uid)),
            one.series_uid,
        )
        for one in store.results(study_uid) if one.current
    ]  # fmt: skip
    return store.redirect(study, results, [it.name for it in configuration.destinations], now)


def clear_away(
    store: Retention, configuration: Configuration, now: datetime, age: timedelta, *, failed: bool = False
) -> int:
    """Remove originals and results of studies finished at least that long ago; return how many studies."""
    return purge(store, open_instance_store(configuration), now - age, failed=failed)
