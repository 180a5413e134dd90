"""Storage commitment: where it is configured, no study counts as delivered without it."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from node.config import DeliverySettings
from node.deliver.commitment_reports import CommitmentReports
from node.domain.delivery import CommitmentReport, DeliveryState
from node.domain.study import StudyState
from node.log import get_log
from node.store.sql import SqlStore
from tests.node.analyses import CLASSES
from tests.node.nodes import Pacs, quick, quick_node, send, slice_of, state_of
from tests.node.outboxes import MINUTE, STUDY, outbox
from tests.patience import PATIENCE_S, application_entity, wait_until
from tests.peers import Orthanc, free_port


@dataclass(slots=True)
class Archive(Pacs):
    """A PACS that supports storage commitment.

    Attributes
    ----------
    requests : list of Dataset
        The requests that it received.
    says : callable
        Takes a request and returns the report; None to send no report.
    refuses : bool
        Whether it answers requests with a failure.
    reports_when : Event or None
        What it waits for before it reports; None to report shortly after its answer.
    patience_s : float
        How long it waits for the answer to its report.
    answers : list of int
        Statuses that its reports were answered with; -1 for none.
    """

    requests: list[Dataset] = field(default_factory=list)
    says: Callable[[Dataset], Dataset | None] = lambda _request: None
    refuses: bool = False
    reports_when: threading.Event | None = None
    patience_s: float = 30.0
    answers: list[int] = field(default_factory=list)

    def extend(self, handlers: list[Any]) -> None:
        """Offer storage commitment."""
        self._ae.add_supported_context(StorageCommitmentPushModel)
        handlers.append((evt.EVT_N_ACTION, self._asked))

    def _asked(self, event: evt.Event) -> tuple[int, None]:
        if self.refuses:
            return 0x0110, None
        request = event.action_information
        self.requests.append(request)
        report = self.says(request)
        if report is not None:
            threading.Thread(target=self._report, args=(event.assoc, report)).start()
        return 0x0000, None

    def _report(self, association: Any, report: Dataset) -> None:
        if self.reports_when is None:
            time.sleep(0.2)
        else:
            self.reports_when.wait(PATIENCE_S)
        association.dimse_timeout = self.patience_s
        status, _ = association.send_n_event_report(
            report,
            2 if "FailedSOPSequence" in report else 1,
            StorageCommitmentPushModel,
            StorageCommitmentPushModelInstance,
        )
        self.answers.append(status.get("Status", -1))


def keeps_all(request: Dataset) -> Dataset:
    report = Dataset()
    report.TransactionUID = request.TransactionUID
    report.ReferencedSOPSequence = request.ReferencedSOPSequence
    return report


def loses_the_first(request: Dataset) -> Dataset:
    report = Dataset()
    report.TransactionUID = request.TransactionUID
    lost, *kept = request.ReferencedSOPSequence
    lost.FailureReason = 0x0112
    report.FailedSOPSequence = [lost]
    report.ReferencedSOPSequence = kept
    return report


def started(archive: Archive) -> Archive:
    archive.start()
    return archive


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the node wait for the report of an archive that is sure to come, however slow the machine is."""
    monkeypatch.setattr("node.dicom.commitment._LINGER_S", 60.0)


@pytest.mark.peers
def test_orthanc_reports_over_an_association_of_its_own(tmp_path: Path) -> None:
    port = free_port()
    settings = {"DicomModalities": {"node": {"AET": "OSTEONODE", "Host": "127.0.0.1", "Port": port}}}
    with Orthanc(tmp_path / "orthanc", settings) as orthanc:
        pacs = Pacs(port=orthanc.dicom_port).destination
        destination = replace(pacs, ae_title="ORTHANC", storage_commitment=True, verify=True)
        configuration = quick(tmp_path / "node", destination)
        configuration = replace(configuration, node=replace(configuration.node, port=port))
        with quick_node(configuration) as node:
            send(port, slice_of(1))
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
            deliveries = node.store.deliveries("1.2.826.0.1.1")
            assert {delivery.state for delivery in deliveries} == {DeliveryState.SENT}
            assert {delivery.status for delivery in deliveries} == {0}


@pytest.mark.usefixtures("patient")
def test_an_archive_may_report_over_the_same_association(tmp_path: Path) -> None:
    archive = started(Archive(says=keeps_all))
    with outbox(tmp_path, replace(archive.destination, storage_commitment=True)) as post:
        post.courier.sweep()
        assert post.state is StudyState.DELIVERED
    archive.stop()
    (request,) = archive.requests
    asked = {item.ReferencedSOPInstanceUID for item in request.ReferencedSOPSequence}
    assert asked == set(archive.uids)


@pytest.mark.usefixtures("patient")
def test_an_association_is_not_released_before_the_report_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report is answered in a thread of pynetdicom that its release does not wait for."""
    send = DIMSEServiceProvider.send_msg

    def send_late(provider: DIMSEServiceProvider, message: Any, context: int) -> None:
        if isinstance(message, N_EVENT_REPORT) and message.MessageIDBeingRespondedTo:
            time.sleep(0.3)
        send(provider, message, context)

    monkeypatch.setattr(DIMSEServiceProvider, "send_msg", send_late)
    archive = started(Archive(says=keeps_all))
    with outbox(tmp_path, replace(archive.destination, storage_commitment=True)) as post:
        post.courier.sweep()
        assert post.state is StudyState.DELIVERED
        wait_until(lambda: archive.answers)
    archive.stop()
    assert archive.answers == [0x0000]


def test_a_report_that_crosses_the_release_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, receive = Association.release, DIMSEServiceProvider.receive_primitive
    begins, has_arrived = threading.Event(), threading.Event()

    def release_behind_the_report(association: Association) -> None:
        if association.accepted_contexts[0].abstract_syntax == StorageCommitmentPushModel:
            has_arrived.clear()
            begins.set()
            assert has_arrived.wait(PATIENCE_S)
        release(association)

    def receive_and_tell(provider: DIMSEServiceProvider, primitive: Any) -> None:
        receive(provider, primitive)
        if provider.assoc.is_requestor and provider.message is None:
            has_arrived.set()

    monkeypatch.setattr("node.dicom.commitment._LINGER_S", 0.0)
    monkeypatch.setattr(Association, "release", release_behind_the_report)
    monkeypatch.setattr(DIMSEServiceProvider, "receive_primitive", receive_and_tell)
    archive = started(Archive(says=keeps_all, reports_when=begins, patience_s=0.2))
    with outbox(tmp_path, replace(archive.destination, storage_commitment=True)) as post:
        post.courier.sweep()
        wait_until(lambda: archive.answers)
        wait_until(lambda: post.state is StudyState.DELIVERED)
    archive.stop()
    assert archive.answers == [-1], "no answer may stand behind a release request"


@pytest.mark.usefixtures("patient")
def test_what_an_archive_lost_is_sent_again(tmp_path: Path) -> None:
    reports = iter((loses_the_first, keeps_all))

    def says(request: Dataset) -> Dataset:
        return next(reports)(request)

    archive = started(Archive(says=says))
    with outbox(tmp_path, replace(archive.destination, storage_commitment=True)) as post:
        post.courier.sweep()
        assert post.states.count(DeliveryState.SENT) == len(CLASSES) - 1
        assert post.states.count(DeliveryState.WAITING) == 1
        post.sweep_for(20 * MINUTE, 2)
        assert post.state is StudyState.DELIVERED
    archive.stop()
    assert len(archive.uids) == len(CLASSES) + 1


def test_an_archive_that_never_reports_is_asked_again_and_the_study_is_not_called_delivered(
    tmp_path: Path,
) -> None:
    archive = started(Archive())
    with outbox(tmp_path, replace(archive.destination, storage_commitment=True)) as post:
        post.sweep_for(20 * MINUTE, 4)
        assert set(post.states) == {DeliveryState.UNCONFIRMED}
        assert post.state is not StudyState.DELIVERED
        last = archive.requests[-1].TransactionUID
        every = frozenset(archive.uids)
        post.commitments.take(CommitmentReport("2.25.1", every, {}))
        assert set(post.states) == {DeliveryState.UNCONFIRMED}, "nobody else can report"
        post.commitments.take(CommitmentReport(last, every, {}))
        assert set(post.states) == {DeliveryState.SENT}
    archive.stop()
    assert len(archive.requests) == 4
    assert len(archive.uids) == len(CLASSES), "asked again, not sent again"


def test_an_archive_may_report_to_a_node_that_was_started_again_meanwhile(tmp_path: Path) -> None:
    """Requests are recorded in the store, not in the memory of the node that sent them."""
    archive = started(Archive())
    with outbox(tmp_path, replace(archive.destination, storage_commitment=True)) as post:
        post.courier.sweep()
        clock, url = post.clock, post.store._engine.url
        post.store.close()
        store = SqlStore(url.render_as_string())
        store.release_leases(clock.now())
        again = CommitmentReports(store, clock, DeliverySettings(), "the next one", get_log())
        again.take(CommitmentReport(archive.requests[0].TransactionUID, frozenset(archive.uids), {}))
        assert {delivery.state for delivery in store.deliveries(STUDY)} == {DeliveryState.SENT}
        assert store.study(STUDY).state is StudyState.DELIVERED  # type: ignore[union-attr]
        store.close()
    archive.stop()


@pytest.mark.usefixtures("patient")
def test_an_archive_that_says_no_is_asked_again(tmp_path: Path) -> None:
    archive = started(Archive(says=keeps_all, refuses=True))
    with outbox(tmp_path, replace(archive.destination, storage_commitment=True)) as post:
        post.courier.sweep()
        assert {delivery.reason for delivery in post.deliveries} == {
            "it answered 0x0110 to a request for storage commitment"
        }
        assert set(post.states) == {DeliveryState.UNCONFIRMED}
        archive.refuses = False
        post.sweep_for(20 * MINUTE, 2)
        assert post.state is StudyState.DELIVERED
    archive.stop()
    assert len(archive.uids) == len(CLASSES)


def test_a_destination_that_offers_none_keeps_the_study_open(tmp_path: Path) -> None:
    pacs = Pacs()
    pacs.start()
    with outbox(tmp_path, replace(pacs.destination, storage_commitment=True)) as post:
        post.courier.sweep()
        assert {delivery.reason for delivery in post.deliveries} == {"it offers no storage commitment"}
        assert set(post.states) == {DeliveryState.UNCONFIRMED}
    pacs.stop()


def test_our_listener_reads_a_report_of_an_archive_that_proposes_its_role(tmp_path: Path) -> None:
    """The listener streams objects to disk, but a report is not an object."""
    silent = started(Archive())
    committing = replace(silent.destination, storage_commitment=True)
    with quick_node(quick(tmp_path, committing)) as node:
        send(node.port, slice_of(1))
        wait_until(lambda: silent.requests and state_of(node) is StudyState.DELIVERING)
        ae = application_entity("ARCHIVE")
        ae.add_requested_context(StorageCommitmentPushModel)
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        association = ae.associate("127.0.0.1", node.port, ae_title="OSTEONODE", ext_neg=[role])
        assert association.is_established
        status, _ = association.send_n_event_report(
            keeps_all(silent.requests[-1]),
            1,
            StorageCommitmentPushModel,
            StorageCommitmentPushModelInstance,
        )
        assert status.Status == 0x0000
        association.release()
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
    silent.stop()
