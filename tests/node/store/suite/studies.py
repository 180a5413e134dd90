"""Studies at the points of their way from which the laws of the store begin."""

from datetime import UTC, datetime, timedelta

from analysis.domain.reason import Reason
from dicom_templates.options import Predecessor
from dicom_templates.result_kinds import ResultKind
from node.domain.completeness import Patience
from node.domain.delivery import DeliveryState
from node.domain.records import (
    Arrival,
    DeliveryBatch,
    Instance,
    NewResult,
    Study,
    StudyLease,
)
from node.domain.study import StudyEvent
from node.ports import Store

__all__ = [
    "DESTINATIONS",
    "LEASE",
    "PATIENCE",
    "PREDECESSOR",
    "SECOND",
    "START",
    "arrival",
    "batch_for",
    "end_all",
    "lease",
    "ready",
    "refused",
    "reported",
    "results_of",
    "settle",
    "the_study",
]

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PATIENCE = Patience(quiet=timedelta(seconds=5), wait=timedelta(minutes=10))
LEASE = timedelta(minutes=5)
DESTINATIONS = ("a", "b")
MR = "1.2.840.10008.5.1.4.1.1.4"
GREYSCALE_PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"
PREDECESSOR = Predecessor("1.2.3", "2.25.9", "2.25.8", "1.1")


def arrival(study: str, number: int, *, matters: bool = True, association: str = "") -> Arrival:
    """Make an arrival; only an MR image matters to a result."""
    instance = Instance(
        sop_uid=f"{study}.1.{number}",
        series_uid=f"{study}.1",
        study_uid=study,
        sop_class_uid=MR if matters else GREYSCALE_PRESENTATION_STATE,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        sha256=f"{number:064x}",
        size=100,
        patient_key="0" * 64,
    )
    return Arrival(instance, "SENDER", "127.0.0.1", association)


def results_of(study: str, revision: int) -> list[NewResult]:
    """Make the result set of a study; revisions 2n and 2n + 1 have the same set."""
    # As when an object was added that does not matter.
    version = revision // 2
    return [
        NewResult(
            kind,
            f"2.25.{study.rsplit('.', maxsplit=1)[-1]}.{version}.{n}",
            "1.2.3",
            f"{study}/{n}.dcm",
            DESTINATIONS,
        )
        for n, kind in enumerate((ResultKind.SR, ResultKind.SEG))
    ]


def the_study(store: Store, study: str = "1.1") -> Study:
    """Return a study that is there."""
    found = store.study(study)
    assert found is not None
    return found


def settle(store: Store, event: StudyEvent, study: str = "1.1", now: datetime = START) -> Study:
    """Judge a study that is being received."""
    settled = store.advance(the_study(store, study), StudyEvent.FELL_QUIET, now, deadline=now)
    assert settled is not None
    judged = store.advance(settled, event, now, deadline=now)
    assert judged is not None
    return judged


def ready(store: Store, study: str = "1.1", now: datetime = START) -> None:
    """Bring a study to the point at which it waits for a worker."""
    store.record_arrivals([arrival(study, 1)], now, PATIENCE)
    settle(store, StudyEvent.FOUND_READY, study, now)


def lease(store: Store, now: datetime = START) -> StudyLease:
    """Lease the study that waits for a worker."""
    taken = store.lease_study("w", now, now + LEASE)
    assert taken is not None
    return taken


def reported(store: Store, now: datetime = START) -> list[NewResult]:
    """Bring a study to the point at which its results wait to be sent."""
    ready(store, now=now)
    results = results_of("1.1", 1)
    store.record_results(lease(store, now), results, {"Osteoporosis": "12 %"}, now, key="key")
    return results


def refused(store: Store, reason: Reason) -> Study:
    """Bring a study to the point at which the report of its refusal is due."""
    ready(store)
    store.record_refusal(lease(store), [reason], START, reasons_to_report=[reason])
    return the_study(store)


def batch_for(store: Store, destination: str, now: datetime = START) -> DeliveryBatch:
    """Lease what is to be sent to a destination."""
    taken = store.lease_deliveries(destination, "c", now, now + LEASE)
    assert taken is not None
    return taken


def end_all(store: Store, batch: DeliveryBatch, state: DeliveryState, reason: str = "") -> None:
    """Record the same end for every delivery of a batch."""
    for delivery in batch.deliveries:
        store.record_delivery(batch, delivery, state, status=0, reason=reason, now=START)
