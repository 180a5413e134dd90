"""The operator's questions and orders: what is there, why has this study no result, try again, clear away."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from node.app import store_url
from node.config import Configuration
from node.correct import put_corrections
from node.domain.assembly import Patience
from node.domain.delivery import DeliveryState
from node.domain.records import Delivery, HistoryEntry, Study
from node.domain.study import TRANSITIONS, StudyEvent, StudyState
from node.errors import PermanentError
from node.instance_store import DiskInstanceStore
from node.ledger import CONFLICT
from node.retention import purge
from node.store import SqlStore

__all__ = ["clear_away", "explain", "open_store", "release", "retry"]

_MEANING = {
    StudyState.RECEIVING: "images are still coming; it is looked at once none came for the quiet time",
    StudyState.SETTLED: "it fell quiet and its headers are being read",
    StudyState.NOT_FOR_US: "it holds nothing that this node analyses",
    StudyState.WAITING_FOR_PAIR: "something is missing, and the node waits for it",
    StudyState.READY: "it waits for a free worker",
    StudyState.ANALYSING: "it is being analysed",
    StudyState.REPORTED: "its results were made and are about to be put into the outbox",
    StudyState.REFUSED: "it cannot be analysed honestly",
    StudyState.FAILED: "it was set aside for a person to look at",
    StudyState.DELIVERING: "its results were made and wait to be taken by a destination",
    StudyState.DELIVERED: "its results were sent",
}
_ADVICE = {
    StudyState.NOT_FOR_US: "If it should be analysed, send sagittal T1 and T2 images of the lumbar spine.",
    StudyState.REFUSED: "Send what is missing, and the study is looked at again by itself.",
    StudyState.FAILED: "Mend the cause, then run `osteonode retry` with this UID.",
    StudyState.DELIVERING: "Nothing is lost; each destination is tried again until it answers.",
}


def open_store(configuration: Configuration) -> SqlStore:
    """Open the store of a node, which may be running meanwhile.

    Raises
    ------
    PermanentError
        If no node has worked with this configuration yet.
    """
    if not configuration.store.url and not configuration.storage.directory.is_dir():
        raise PermanentError(f"no node has run with the storage {configuration.storage.directory} yet")
    return SqlStore(store_url(configuration))


def explain(store: SqlStore, study_uid: str) -> str:
    """Answer "why has this study no result?" in one paragraph, without patient data."""
    study = store.study(study_uid)
    if study is None:
        return f"Nothing of study {study_uid} ever arrived here. Was it sent to this AE title and port?"
    images = store.instances(study_uid)
    count = len(images)
    parts = [
        f"Study {study_uid} is {_words(study.state)}: {_MEANING[study.state]}.",
        _sentence("The reason", study.reason),
        _sentence("It was judged complete so", _judged(store.history(study_uid), study.revision)),
        f"{count} {'image is' if count == 1 else 'images are'} here.",
        _corrected(len(store.quarantined((image.sop_uid for image in images), CONFLICT))),
        f"The first came at {_time(study.first_arrival)}, the last at {_time(study.last_arrival)}.",
        f"It is in this state since {_time(study.changed_at)}.",
        _sentence("Tried without success", f"{study.attempts} times" if study.attempts else ""),
        _when(study),
        *_delivery_sentences(store.deliveries(study_uid)),
        _ADVICE.get(study.state, ""),
    ]
    return " ".join(part for part in parts if part)


def retry(store: SqlStore, study_uid: str, now: datetime) -> str:
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
        raise PermanentError(f"the study is {_words(study.state)}; there is nothing to retry yet")
    moved = store.advance(study, StudyEvent.RETRIED, now, reason="an operator asked for it", deadline=now)
    if moved is None:
        raise PermanentError("the study changed in this moment; look again")
    store.forgive_cut_off(study_uid)
    return "It will be examined and analysed again."


def release(store: SqlStore, configuration: Configuration, study_uid: str, now: datetime) -> str:
    """Put corrected images in their place where a study is held for its identity; otherwise `retry`."""
    patience = Patience(
        quiet=timedelta(seconds=configuration.assembly.quiet_s),
        wait=timedelta(seconds=configuration.assembly.max_wait_s),
    )
    instance_store = DiskInstanceStore(configuration.storage.directory)
    count = put_corrections(store, instance_store, study_uid, now, patience)
    if count:
        return f"{count} corrected images took the place of the first; the study will be examined again."
    return retry(store, study_uid, now)


def clear_away(
    store: SqlStore, configuration: Configuration, now: datetime, age: timedelta, *, failed: bool = False
) -> int:
    """Remove originals and results of studies finished at least that long ago; return how many studies."""
    return purge(store, DiskInstanceStore(configuration.storage.directory), now - age, failed=failed)


def _judged(history: Sequence[HistoryEntry], revision: int) -> str:
    """Tell by what a study with these images was judged to be complete; empty if it was not."""
    found = [
        step.reason for step in history if step.event is StudyEvent.FOUND_READY and step.revision == revision
    ]
    return found[-1] if found else ""


def _corrected(count: int) -> str:
    if not count:
        return ""
    return f"{count} of them came again with other bytes; the first stand, and the others are in quarantine."


def _words(state: StudyState) -> str:
    return state.value.replace("_", " ")


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _sentence(subject: str, text: str) -> str:
    return f"{subject}: {text.rstrip('.')}." if text else ""


def _when(study: Study) -> str:
    if study.deadline is None:
        return ""
    return f"The node looks at it again at {_time(study.deadline)}."


def _delivery_sentences(deliveries: Sequence[Delivery]) -> list[str]:
    """Sum up each destination in a sentence, leaving out what newer results replaced."""
    by_destination: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        if delivery.state is not DeliveryState.SUPERSEDED:
            by_destination[delivery.destination].append(delivery)
    return [_destination_sentence(name, theirs) for name, theirs in by_destination.items()]


def _destination_sentence(name: str, deliveries: Sequence[Delivery]) -> str:
    counts: dict[str, int] = defaultdict(int)
    for delivery in deliveries:
        counts[delivery.state.value] += 1
    summary = ", ".join(f"{count} {state}" for state, count in counts.items())
    reasons = dict.fromkeys(delivery.reason for delivery in deliveries if delivery.reason)
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return f"To {name}: {summary}{why}."
