"""A destination that is down, slow or rejects objects costs time, but no result."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from pydicom.uid import Comprehensive3DSRStorage

from dicom_templates.result_kinds import ResultKind
from node.config import DeliverySettings, Destination
from node.dicom.association import Peer, associated
from node.dicom.commitment import request_commitment
from node.dicom.contexts import contexts_for
from node.dicom.query import count_images, find_instances
from node.domain.delivery import DeliveryState
from node.domain.records import NewResult
from node.domain.study import StudyState
from node.errors import TransientError
from node.operate.retry import restart_study
from node.show.why import explain
from tests.node.analyses import CLASSES
from tests.node.hostile import UNRESOLVABLE
from tests.node.nodes import Pacs, running_pacs
from tests.node.outboxes import MINUTE, STUDY, outbox
from tests.node.store.suite.studies import lease, ready
from tests.patience import PATIENCE_S
from tests.peers import CtnStorage, free_port


def at(port: int) -> Destination:
    return Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=port)


@contextmanager
def listening_and_deaf() -> Iterator[tuple[int, list[int]]]:
    """Accept connections and close each at once; yield the port and the list of accepted connections."""
    connections: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drop() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connections.append(1)
                connection.close()

        thread = threading.Thread(target=drop, daemon=True)
        thread.start()
        yield server.getsockname()[1], connections
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_pacs_that_is_down_for_a_day_is_tried_a_hundred_times_and_gets_all_of_it(tmp_path: Path) -> None:
    settings = DeliverySettings(timeout_s=PATIENCE_S)
    day_in_longest_waits = 86400 / settings.retry_longest_s
    with listening_and_deaf() as (port, connections), outbox(tmp_path, at(port), settings) as post:
        post.sweep_for(MINUTE, 24 * 60)
        tried = len(connections)
        assert post.state is StudyState.DELIVERING
        assert set(post.states) == {DeliveryState.WAITING}
    # With back-off and jitter: less than once a minute, and often enough to notice soon that it is back.
    assert day_in_longest_waits < tried < 1.5 * day_in_longest_waits + 10
    pacs = Pacs(port=port)
    pacs.start()
    with outbox(tmp_path / "again", at(port), settings) as post:
        post.courier.sweep()
        assert post.state is StudyState.DELIVERED
    pacs.stop()


def test_a_pacs_that_comes_back_after_a_day_gets_every_result_once(tmp_path: Path) -> None:
    pacs = Pacs(port=free_port())
    with outbox(tmp_path, at(pacs.port)) as post:
        post.sweep_for(15 * MINUTE, 24 * 4)
        assert {delivery.reason for delivery in post.deliveries} == {"it cannot be reached"}
        pacs.start()
        post.sweep_for(15 * MINUTE, 2)
        assert post.state is StudyState.DELIVERED
    pacs.stop()
    assert sorted(pacs.uids) == sorted(set(pacs.uids))
    assert len(pacs.uids) == len(CLASSES)


def test_what_an_operator_asks_for_is_tried_at_once_and_once_only(tmp_path: Path) -> None:
    pacs = Pacs(port=free_port())
    with outbox(tmp_path, at(pacs.port)) as post:
        post.courier.sweep()
        failures = post.courier.breaker.failures
        assert failures == 1
        ready(post.store, "1.2", post.clock.now())
        more = [NewResult(ResultKind.SR, "1.2.8", "1.2.840", "none.dcm", ("pacs",))]
        post.store.record_results(lease(post.store, post.clock.now()), more, {}, post.clock.now())
        post.courier.sweep()
        assert post.courier.breaker.failures == failures, "its back-off is not over, and nobody asked"
        for number in (1, 2):
            assert "outbox" in restart_study(post.store, STUDY, post.clock.now()).words
            post.courier.sweep()
            post.courier.sweep()
            assert post.courier.breaker.failures == failures + number
        pacs.start()
        restart_study(post.store, STUDY, post.clock.now())
        post.courier.sweep()
        assert post.state is StudyState.DELIVERED
    pacs.stop()
    assert len(pacs.uids) == len(CLASSES)


def test_the_log_has_a_line_for_what_each_association_took(tmp_path: Path, written: StringIO) -> None:
    def status(number: int) -> int:
        return 0xA900 if number == 1 else 0

    with running_pacs(status=status) as pacs, outbox(tmp_path, at(pacs.port)) as post:
        post.courier.sweep()
    lines = map(json.loads, written.getvalue().splitlines())
    (told,) = [line for line in lines if line["event"] == "results_sent"]
    assert (told["study"], told["destination"]) == (STUDY, "pacs")
    assert (told["kept"], told["refused"], told["seconds"]) == (len(CLASSES) - 1, 1, 0.0)


@pytest.mark.parametrize("host", UNRESOLVABLE)
def test_a_pacs_whose_name_does_not_resolve_is_down(tmp_path: Path, host: str) -> None:
    with outbox(tmp_path, replace(at(104), host=host)) as post:
        post.courier.sweep()
        assert set(post.states) == {DeliveryState.WAITING}
        reason = "its host name cannot be resolved"
        assert {delivery.reason for delivery in post.deliveries} == {reason}
        assert post.courier.breaker.reason == reason


@pytest.mark.parametrize("host", UNRESOLVABLE)
def test_every_call_of_a_peer_whose_name_does_not_resolve_says_so(host: str) -> None:
    peer = Peer("PACS", host, 104, "OSTEONODE", 5.0)
    calls = (
        lambda: count_images(peer, "1.2"),
        lambda: find_instances(peer, "1.2", ["1.3"]),
        lambda: request_commitment(peer, "1.2", [], lambda _report: None),
    )
    for call in calls:
        with pytest.raises(TransientError, match="its host name cannot be resolved"):
            call()


def test_a_pacs_that_takes_the_connection_and_says_nothing_is_left_when_its_time_is_over(
    tmp_path: Path,
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        outbox(tmp_path, at(mute.getsockname()[1]), DeliverySettings(timeout_s=0.5)) as post,
    ):
        post.courier.sweep()
        assert set(post.states) == {DeliveryState.WAITING}
        assert all(delivery.reason for delivery in post.deliveries)


def test_a_pacs_that_flaps_gets_every_result_once(tmp_path: Path) -> None:
    """It accepts one object, aborts at the next, is down for a while, and so on."""
    pacs = Pacs(port=free_port())
    with outbox(tmp_path, at(pacs.port)) as post:
        for _ in range(len(CLASSES)):
            pacs.abort_at = pacs._requests + 1
            pacs.start()
            post.sweep_for(20 * MINUTE, 1)
            pacs.stop()
            post.sweep_for(20 * MINUTE, 2)
        assert post.state is StudyState.DELIVERED
    assert sorted(pacs.uids) == sorted(set(pacs.uids))
    assert len(pacs.uids) == len(CLASSES)


def test_a_pacs_that_answers_slowly_gets_everything_once(tmp_path: Path) -> None:
    def slowly(_number: int) -> int:
        time.sleep(0.5)
        return 0

    with running_pacs(status=slowly) as pacs, outbox(tmp_path, pacs.destination) as post:
        post.courier.sweep()
        assert post.state is StudyState.DELIVERED
        assert len(pacs.uids) == len(CLASSES)


def test_a_pacs_that_answers_too_slowly_is_tried_again_with_the_same_uids(tmp_path: Path) -> None:
    """Objects accepted before the timeout are sent again; the archive receives duplicates, no new objects."""
    asked: list[int] = []

    def too_slowly_once(number: int) -> int:
        asked.append(number)
        if len(asked) == 1:
            time.sleep(1.5)
        return 0

    impatient = DeliverySettings(timeout_s=0.5)
    with (
        running_pacs(status=too_slowly_once) as pacs,
        outbox(tmp_path, pacs.destination, impatient) as post,
    ):
        while post.state is not StudyState.DELIVERED:
            post.sweep_for(20 * MINUTE, 1)
        assert len(asked) > len(CLASSES)
        assert len(set(pacs.uids)) == len(CLASSES)


@pytest.mark.parametrize("status", [0xA700, 0xC000])
def test_each_object_has_its_own_back_off(tmp_path: Path, status: int) -> None:
    """An object that the archive has no room for does not delay the others."""
    with (
        running_pacs(status=lambda number: status if number == 0 else 0) as pacs,
        outbox(tmp_path, pacs.destination) as post,
    ):
        post.courier.sweep()
        assert post.states.count(DeliveryState.SENT) == len(CLASSES) - 1
        assert post.states.count(DeliveryState.WAITING) == 1
        post.courier.sweep()
        assert post.states.count(DeliveryState.WAITING) == 1, "not before its time"
        post.sweep_for(MINUTE, 2)
        assert post.state is StudyState.DELIVERED
        assert len(pacs.uids) == len(CLASSES)


@pytest.mark.parametrize(
    ("status", "state", "attempts"),
    [
        pytest.param(0xA700, DeliveryState.WAITING, 30, id="out of resources: as long as it takes"),
        pytest.param(0xC000, DeliveryState.FAILED, 3, id="cannot understand: a few times"),
        pytest.param(0xA900, DeliveryState.FAILED, 1, id="does not match: never again"),
    ],
)
def test_how_often_an_object_is_sent_depends_on_the_answer(
    tmp_path: Path, status: int, state: DeliveryState, attempts: int
) -> None:
    settings = DeliverySettings(attempts=3, timeout_s=PATIENCE_S)
    with (
        running_pacs(status=lambda _: status) as pacs,
        outbox(tmp_path, pacs.destination, settings) as post,
    ):
        post.sweep_for(20 * MINUTE, 30)
        assert set(post.states) == {state}
        assert {delivery.attempts for delivery in post.deliveries} == {attempts}


@pytest.mark.peers
def test_ctn_gets_what_it_accepts_and_the_rest_is_recorded(tmp_path: Path) -> None:
    """CTN dates from 1995: it accepts SR up to Comprehensive, but not Comprehensive 3D SR or SEG."""
    classes = CLASSES | {ResultKind.SR: str(Comprehensive3DSRStorage)}
    with CtnStorage(tmp_path / "ctn") as ctn:
        destination = Destination(name="ctn", ae_title="CTN", host="127.0.0.1", port=ctn.port)
        with outbox(tmp_path / "node", destination, classes=classes) as post:
            post.courier.sweep()
            by_kind = {delivery.result.kind: delivery.state for delivery in post.deliveries}
            assert by_kind == {
                ResultKind.SR: DeliveryState.NOT_ACCEPTED,
                ResultKind.SEG: DeliveryState.NOT_ACCEPTED,
                ResultKind.TEXT: DeliveryState.SENT,
                ResultKind.SUMMARY: DeliveryState.SENT,
            }
            assert post.state is StudyState.DELIVERED
            found = post.store.study("1.2.826.0.1.1")
            assert found is not None
            assert found.reason == "2 of 4 deliveries were of a kind the destination does not take"
        assert len(ctn.received()) == 2


def test_our_own_associations_do_not_wait_for_full_packets() -> None:
    with running_pacs() as pacs:
        peer = Peer("PACS", "127.0.0.1", pacs.port, "OSTEONODE", 3.0)
        with associated(peer, contexts_for(CLASSES.values())) as association:
            connection = association.dul.socket.socket
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_verification_finds_that_a_pacs_lost_what_it_took(tmp_path: Path) -> None:
    """If the PACS accepts all objects but finds none, the study does not become delivered."""
    settings = DeliverySettings(attempts=3, timeout_s=PATIENCE_S)
    with running_pacs(finds=()) as pacs:
        destination = replace(pacs.destination, verify=True)
        with outbox(tmp_path, destination, settings) as post:
            post.courier.sweep()
            assert set(post.states) == {DeliveryState.UNCONFIRMED}
            post.sweep_for(20 * MINUTE, 4)
            assert post.state is StudyState.FAILED
            found = post.store.study("1.2.826.0.1.1")
            assert found is not None
            assert "does not find it" in found.reason
            assert len(pacs.uids) == len(CLASSES)


def test_a_node_that_ended_while_it_looked_looks_again_as_it_starts(tmp_path: Path) -> None:
    """The leases of the earlier node were released, so the next one need not wait until they run out."""
    finds: list[str] = []
    with (
        running_pacs(finds=finds) as pacs,
        outbox(tmp_path, replace(pacs.destination, verify=True)) as post,
    ):
        post.courier.sweep()
        finds += pacs.uids
        post.clock.go_on(seconds=MINUTE.total_seconds())
        now = post.clock.now()
        end, state = now + 10 * MINUTE, DeliveryState.UNCONFIRMED
        assert post.store.lease_deliveries("pacs", "the one that ended", now, end, state=state)
        assert post.store.release_leases(now) == len(CLASSES)
        post.courier.sweep()
        assert post.state is StudyState.DELIVERED


def test_verification_waits_for_a_pacs_that_is_slow_to_file(tmp_path: Path) -> None:
    finds: list[str] = []
    with (
        running_pacs(finds=finds) as pacs,
        outbox(tmp_path, replace(pacs.destination, verify=True)) as post,
    ):
        post.courier.sweep()
        assert set(post.states) == {DeliveryState.UNCONFIRMED}
        finds += pacs.uids
        post.sweep_for(20 * MINUTE, 2)
        assert post.state is StudyState.DELIVERED
        assert len(pacs.uids) == len(CLASSES), "looked for again, not sent again"
        assert "does not find it" not in explain(post.store, "1.2.826.0.1.1")


def test_a_courier_whose_destination_was_changed_begins_nothing_more(tmp_path: Path) -> None:
    with running_pacs() as pacs, outbox(tmp_path, pacs.destination) as post:
        post.courier.retire()
        assert post.courier.sweep() == 0
        assert not pacs.received
