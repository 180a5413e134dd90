"""Senders that hold the line, lie about lengths or want too much: each is cut off and delays no other."""

import errno
import os
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from io import StringIO
from ipaddress import ip_network
from pathlib import Path
from struct import pack
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import MRImageStorage
from pynetdicom.sop_class import Verification

from node.app import Node
from node.config import AuditSettings, LogSettings, Source
from node.dicom import pynetdicom_internals
from node.log import configure
from node.receive import connection
from node.receive.connection import Connection
from node.receive.limits import ConnectionLimits
from node.receive.quota import Allowance, is_too_slow
from tests.node.nodes import quick, quick_node, send, slice_of
from tests.node.wire import (
    ASSOCIATE_AC,
    COMMAND,
    LAST,
    P_DATA,
    RELEASE_RP,
    RELEASE_RQ,
    Wire,
    associate,
    echo_request,
    fragment,
    in_fragments,
    pdu,
    request_association,
    store_parts,
    store_pdu,
    store_request,
    wire_to,
)
from tests.patience import PATIENCE_S, application_entity, wait_until

GREETING_S = 1.0
IDLE_S = 1.5
TRIES = 5
"""A sender that the machine delays is cut off as well; one try that succeeds shows that it is let in."""


@pytest.fixture(scope="module")
def strict_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Return a node that is strict about lengths, and has time."""
    base = quick(tmp_path_factory.mktemp("strict"))
    limits = replace(base.node, max_pdu_bytes=16384, max_instance_mb=1)
    with quick_node(replace(base, node=limits)) as node:
        yield node


@pytest.fixture(scope="module")
def hasty_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Return a node that is strict about times."""
    base = quick(tmp_path_factory.mktemp("hasty"))
    limits = replace(
        base.node,
        greeting_timeout_s=GREETING_S,
        idle_timeout_s=IDLE_S,
        slowest_kb_per_s=4.0,
        max_pdu_bytes=16384,
        max_associations=4,
    )
    with quick_node(replace(base, node=limits)) as node:
        yield node


class FrozenTicks:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def read(self) -> float:
        """Return its seconds."""
        return self.now_s


def is_let_in(node: Node, *datasets: Dataset) -> bool:
    """Tell whether a sender that is quick enough for the node has its objects stored."""
    for _ in range(TRIES):
        # Where the association ends instead of an answer, there is no status.
        with suppress(ConnectionRefusedError, AttributeError, RuntimeError):
            if not any(send(node.port, *datasets)):
                return True
    return False


def test_a_silent_client_is_cut_off_and_delays_nobody(hasty_node: Node, study: str) -> None:
    with ExitStack() as stack:
        # More than there may be associations: they must not take the places of those who speak.
        silent = [stack.enter_context(wire_to(hasty_node.port)) for _ in range(6)]
        assert is_let_in(hasty_node, slice_of(1, study=study))
        assert all(wire.is_closed() for wire in silent)


@pytest.mark.parametrize("begun", [b"\x01", associate()[:50]], ids=["a header", "a request"])
def test_a_client_that_stops_in_its_first_pdu_is_cut_off(
    hasty_node: Node, begun: bytes, written: StringIO
) -> None:
    with wire_to(hasty_node.port) as wire:
        wire.send(begun)
        assert wire.is_closed()
    wait_until(lambda: "it stopped in the middle of a PDU" in written.getvalue())


def all_are_sent(wire: Wire, pieces: Iterable[bytes], *, pause_s: float = 0.0) -> bool:
    """Send piece by piece; tell whether the node let itself be sent all of them."""
    try:
        for piece in pieces:
            wire.send(piece)
            time.sleep(pause_s)
    except OSError:
        return False
    return True


def is_cut_off_dripping(port: int, begun: bytes, drop: bytes) -> bool:
    """Send drop by drop until the node has enough; tell whether it had."""
    with wire_to(port) as wire:
        request_association(wire)
        wire.send(begun)
        return not all_are_sent(wire, (drop for _ in range(3000)), pause_s=IDLE_S / 10)


def test_a_pdu_that_drips_byte_by_byte_is_cut_off(hasty_node: Node, study: str) -> None:
    header = pdu(P_DATA, b"", length=16000)
    assert is_cut_off_dripping(hasty_node.port, header, b"\0")
    assert is_let_in(hasty_node, slice_of(1, study=study))


def test_an_object_that_drips_pdu_by_pdu_is_cut_off(hasty_node: Node, written: StringIO) -> None:
    # Each PDU is whole, so no silence is ever long.
    request = pdu(P_DATA, fragment(1, store_request(b"1.2.3"), control=COMMAND | LAST))
    assert is_cut_off_dripping(hasty_node.port, request, pdu(P_DATA, fragment(1, b"\0\0", control=0)))
    wait_until(lambda: "slowest_kb_per_s" in written.getvalue())


def test_a_pause_between_objects_is_no_slowness(
    tmp_path: Path, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FrozenTicks()
    monkeypatch.setattr(connection, "ConnectionLimits", partial(ConnectionLimits, tick=clock.read))
    with quick_node(quick(tmp_path)) as node, wire_to(node.port) as wire:
        request_association(wire)
        for number in range(3):
            wire.send(store_pdu(study, number))
            assert wire.status() == 0
            clock.now_s += 0.6 * node.configuration.node.idle_timeout_s


@pytest.mark.parametrize("length", [16384 + 2000, 2**31, 2**32 - 1])
def test_a_pdu_longer_than_was_agreed_is_not_waited_for(
    strict_node: Node, length: int, written: StringIO
) -> None:
    with wire_to(strict_node.port) as wire:
        request_association(wire)
        wire.send(pdu(P_DATA, b"\0" * 100, length=length))
        assert wire.is_closed()
    wait_until(lambda: "longer than was agreed" in written.getvalue())


def test_a_request_that_claims_gigabytes_is_not_waited_for(strict_node: Node) -> None:
    with wire_to(strict_node.port) as wire:
        wire.send(pdu(1, b"\0" * 100, length=2**32 - 1))
        assert wire.is_closed()


def test_an_object_that_is_too_large_is_cut_off_while_it_comes(strict_node: Node, written: StringIO) -> None:
    """It is far larger than what may be under way in the buffers of the network."""
    part = pdu(P_DATA, fragment(1, b"\0" * 16000, control=0))
    with wire_to(strict_node.port) as wire:
        request_association(wire)
        wire.send(pdu(P_DATA, fragment(1, store_request(b"1.2.3"), control=COMMAND | LAST)))
        assert not all_are_sent(wire, (part for _ in range(10_000)))
    wait_until(lambda: "max_instance_mb" in written.getvalue())


def test_an_object_just_over_the_limit_is_answered(strict_node: Node, study: str) -> None:
    dataset = slice_of(1, study=study)
    dataset.PixelData = bytes(1024 * 1024)
    assert send(strict_node.port, dataset) == [0xA700]


def test_requests_that_wait_for_no_answer_are_cut_off(strict_node: Node, written: StringIO) -> None:
    one = pdu(P_DATA, fragment(1, echo_request(), control=COMMAND | LAST))
    with wire_to(strict_node.port) as wire, suppress(OSError):
        request_association(wire)
        for _ in range(500):
            wire.send(one * 100)
    wait_until(lambda: "without waiting for answers" in written.getvalue())


def test_objects_that_wait_for_no_answer_wait_in_the_network(strict_node: Node, study: str) -> None:
    """No asynchronous window is negotiated; the next object is read once this one has its answer."""
    with wire_to(strict_node.port) as wire:
        request_association(wire)
        wire.send(*(store_pdu(study, number) for number in range(1, 6)))
        assert [wire.status() for _ in range(5)] == [0] * 5
    assert len(strict_node.store.instances(study)) == 5


def test_other_requests_come_between_objects(strict_node: Node, study: str) -> None:
    echo = fragment(1, echo_request(), control=COMMAND | LAST)
    with wire_to(strict_node.port) as wire:
        request_association(wire)
        for number in range(1, 4):
            wire.send(store_pdu(study, number))
            assert wire.status() == 0
            wire.send(pdu(P_DATA, echo))
            assert wire.status() == 0
        wire.send(pdu(RELEASE_RQ, bytes(4)))
        assert wire.receive()[0] == RELEASE_RP
    assert len(strict_node.store.instances(study)) == 3


@pytest.mark.parametrize("length", [1, 7, 100])
def test_messages_come_in_fragments_of_any_length(strict_node: Node, study: str, length: int) -> None:
    """PS3.8 annex E: any number of fragments in a PDU, of the command as well as of the dataset."""
    request, payload = store_parts(study, 1)
    fragments = [*in_fragments(request, length, COMMAND), *in_fragments(payload, length, 0)]
    with wire_to(strict_node.port) as wire:
        request_association(wire)
        for at in range(0, len(fragments), 30):
            wire.send(pdu(P_DATA, b"".join(fragments[at : at + 30])))
        assert wire.status() == 0
    assert len(strict_node.store.instances(study)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        fragment(1, b"\0\0", control=COMMAND),
        fragment(3, b"\0\0", control=0),
        fragment(1, b"\0\0", control=0)[:-1],
        b"\0\0\0\1\1" + fragment(1, b"\0\0", control=0),
    ],
    ids=["a command", "another context", "a fragment that is cut off", "an item too short to be one"],
)
def test_what_cannot_come_within_an_object_ends_the_association_and_leaves_nothing(
    strict_node: Node, study: str, wrong: bytes
) -> None:
    request, payload = store_parts(study, 1)
    with wire_to(strict_node.port) as wire:
        request_association(wire)
        wire.send(
            pdu(P_DATA, fragment(1, request, control=COMMAND | LAST)),
            pdu(P_DATA, fragment(1, payload[:100], control=0)),
            pdu(P_DATA, wrong),
            pdu(P_DATA, fragment(1, payload[100:])),
        )
        assert wire.is_closed(), "it was answered"
    assert send(strict_node.port, slice_of(2, study=study)) == [0]
    assert len(strict_node.store.instances(study)) == 1
    assert not list((strict_node.configuration.storage.directory / "incoming").iterdir())


def test_two_objects_in_one_pdu_end_the_association(strict_node: Node, study: str) -> None:
    """The second cannot wait in the network for the answer to the first."""
    both = b"".join(store_pdu(study, number)[6:] for number in (1, 2))
    with wire_to(strict_node.port) as wire:
        request_association(wire)
        wire.send(pdu(P_DATA, both))
        assert wire.status() in {0, None}
        assert wire.is_closed()
    wait_until(lambda: len(strict_node.store.instances(study)) == 1)
    wait_until(lambda: strict_node.store.cut_off_series(study))
    wait_until(lambda: not strict_node._listener._receipts._open)


@pytest.mark.parametrize("context", [1, 5], ids=["one for echoes", "one that was not accepted"])
def test_an_object_in_a_context_for_none_ends_the_association(
    strict_node: Node, study: str, context: int
) -> None:
    request, payload = store_parts(study, 1)
    with wire_to(strict_node.port) as wire:
        wire.send(associate(sop_class=Verification))
        assert wire.receive()[0] == ASSOCIATE_AC
        wire.send(pdu(P_DATA, fragment(context, request, control=COMMAND | LAST)))
        wire.send(pdu(P_DATA, fragment(context, payload)))
        assert wire.is_closed()
    assert not strict_node.store.instances(study)


def test_one_that_stops_within_an_object_delays_nobody_and_leaves_nothing(
    hasty_node: Node, study: str
) -> None:
    request, payload = store_parts(study, 1)
    with wire_to(hasty_node.port) as wire:
        request_association(wire)
        wire.send(pdu(P_DATA, fragment(1, request, control=COMMAND | LAST)))
        wire.send(pdu(P_DATA, fragment(1, payload))[:-10])
        assert is_let_in(hasty_node, *(slice_of(number, study=study) for number in (2, 3)))
        assert wire.is_closed()
    wait_until(lambda: not list((hasty_node.configuration.storage.directory / "incoming").iterdir()))
    assert len(hasty_node.store.instances(study)) == 2


def test_a_node_that_stops_does_not_wait_for_the_rest_of_an_object(tmp_path: Path, study: str) -> None:
    request, payload = store_parts(study, 1)
    base = quick(tmp_path)
    patient = replace(base, node=replace(base.node, idle_timeout_s=3600.0))
    with quick_node(patient) as node, wire_to(node.port) as wire:
        request_association(wire)
        wire.send(pdu(P_DATA, fragment(1, request, control=COMMAND | LAST)))
        wire.send(pdu(P_DATA, fragment(1, payload))[:-10])
        node.stop()
        assert wire.is_closed()


def test_a_source_has_its_own_limit_of_associations(tmp_path: Path, study: str) -> None:
    loopback = ip_network("127.0.0.0/8")
    sources = (Source("GREEDY", loopback, max_associations=1), Source("*", loopback))
    with quick_node(replace(quick(tmp_path), sources=sources)) as node:
        ae = application_entity("GREEDY")
        ae.add_requested_context(MRImageStorage, "1.2.840.10008.1.2.1")
        held = ae.associate("127.0.0.1", node.port, ae_title="OSTEONODE")
        assert held.is_established
        second = ae.associate("127.0.0.1", node.port, ae_title="OSTEONODE")
        assert second.is_rejected
        assert second.acceptor.primitive.result_source == 3
        assert second.acceptor.primitive.diagnostic == 2
        assert send(node.port, slice_of(1, study=study), calling="OTHER") == [0]
        held.release()
        wait_until(lambda: ae.associate("127.0.0.1", node.port, ae_title="OSTEONODE").is_established)


@pytest.mark.parametrize("quota", [{"max_instances_per_hour": 2}, {"max_mb_per_hour": 2}], ids=str)
def test_a_source_that_used_up_its_hour_is_told_to_come_later(
    tmp_path: Path, study: str, quota: dict[str, Any]
) -> None:
    loopback = ip_network("127.0.0.0/8")
    sources = (Source("GREEDY", loopback, **quota), Source("*", loopback))

    def image(number: int) -> object:
        dataset = slice_of(number, study=study)
        dataset.PixelData = bytes(900 * 1024)
        return dataset

    with quick_node(replace(quick(tmp_path), sources=sources)) as node:
        assert send(node.port, *map(image, range(3)), calling="GREEDY") == [0, 0, 0xA700]  # type: ignore[arg-type]
        assert send(node.port, image(2), calling="OTHER") == [0]  # type: ignore[arg-type]


@given(
    st.floats(1, 1e6),
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 4000)), max_size=30),
)
def test_no_hour_ever_gives_more_than_two_allowances(
    per_hour: float, wishes: list[tuple[float, float]]
) -> None:
    """What is granted within any hour is at most what was saved up and what the hour adds."""
    allowance = Allowance.full(per_hour, 0.0)
    now = 0.0
    granted: list[tuple[float, float]] = []
    for amount, pause in wishes:
        now += pause
        after = allowance.after(amount, now)
        if after is not None:
            allowance = after
            granted.append((now, amount))
    for start, _ in granted:
        within = sum(amount for at, amount in granted if start <= at < start + 3600)
        assert within <= 2 * per_hour * (1 + 1e-9)


@given(st.integers(0, 10**9), st.floats(0, 1e5), st.floats(0, 1e3), st.floats(0, 1e6))
def test_more_bytes_are_never_slower(size: int, seconds: float, grace_s: float, rate: float) -> None:
    def slow(size: int) -> bool:
        return is_too_slow(size, seconds, grace_s=grace_s, bytes_per_s=rate)

    assert slow(size) >= slow(size + 1)
    assert not (seconds <= grace_s and slow(size))


@contextmanager
def stuck_database(node: Node) -> Iterator[None]:
    """Let nothing be entered for a while."""
    record, free = node.store.record_arrivals, threading.Event()

    def record_later(*arguments: Any) -> Any:
        assert free.wait(PATIENCE_S)
        return record(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(node.store, "record_arrivals", record_later)
        try:
            yield
        finally:
            free.set()


def reset(wire: Wire) -> None:
    """End a connection as a crash does: what is still to come is thrown away."""
    wire.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
    wire.connection.close()


def test_connections_that_break_while_their_objects_are_kept_leave_nothing_and_are_left_alone(
    tmp_path: Path, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A descriptor that is still watched is soon another's, which would never be read."""
    turns = 0
    read = Connection._read_in_turn

    def count(connection: Connection) -> None:
        nonlocal turns
        turns += 1
        read(connection)

    monkeypatch.setattr(Connection, "_read_in_turn", count)
    with quick_node(quick(tmp_path)) as node:
        reader = node._listener._reader
        with stuck_database(node):
            for number in range(1, 8):
                with wire_to(node.port) as wire:
                    request_association(wire)
                    wire.send(store_pdu(study, number))
                    reset(wire)
            time.sleep(1)
            assert turns < 200, "a connection that waits for an answer is read again and again"
        wait_until(lambda: len(node.store.instances(study)) == 7)
        wait_until(lambda: not reader._watched)
        assert send(node.port, slice_of(8, study=study)) == [0]


def test_what_is_in_doubt_when_its_association_ends_counts_as_cut_off_and_is_audited(
    tmp_path: Path, study: str
) -> None:
    """Its row comes after the end of its association was noted."""
    trail = tmp_path / "audit.xml"
    with quick_node(replace(quick(tmp_path), audit=AuditSettings(file=trail))) as node:
        with stuck_database(node), wire_to(node.port) as wire:
            request_association(wire)
            wire.send(store_pdu(study, 1), store_pdu(study, 2))
            reset(wire)
            time.sleep(1)
        wait_until(lambda: node.store.cut_off_series(study))
        listener = node._listener
        wait_until(lambda: not listener.associations._open and not listener._receipts._open)
        wait_until(lambda: study in trail.read_text())


def test_a_sender_that_waits_for_our_answer_is_not_idle(hasty_node: Node, study: str) -> None:
    def is_served(first: int) -> bool:
        with wire_to(hasty_node.port) as wire, suppress(OSError, AssertionError):
            request_association(wire)
            with stuck_database(hasty_node):
                wire.send(store_pdu(study, first))
                time.sleep(2 * IDLE_S)
            if wire.status() != 0:
                return False
            # Nor has it been idle since.
            time.sleep(0.6 * IDLE_S)
            wire.send(store_pdu(study, first + 1))
            return wire.status() == 0
        return False

    assert any(is_served(2 * attempt) for attempt in range(TRIES))


def test_an_object_that_is_put_aside_holds_up_no_reading(strict_node: Node, study: str) -> None:
    request, _ = store_parts(study, 1)
    _, other = store_parts(study, 2)
    free = threading.Event()
    quarantine = strict_node.instance_store.quarantine
    with pytest.MonkeyPatch.context() as patch, wire_to(strict_node.port) as bad:
        patch.setattr(
            strict_node.instance_store, "quarantine", lambda it: (free.wait(PATIENCE_S), quarantine(it))[1]
        )
        request_association(bad)
        bad.send(pdu(P_DATA, fragment(1, request, control=COMMAND | LAST) + fragment(1, other)))
        with wire_to(strict_node.port) as wire:
            request_association(wire)
            wire.send(pdu(P_DATA, fragment(1, echo_request(), control=COMMAND | LAST)))
            assert wire.status() == 0
        free.set()
        assert bad.status() == 0xA900


def test_a_log_that_cannot_be_written_ends_nothing(
    strict_node: Node, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    nowhere = StringIO()
    nowhere.write = full  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", nowhere)
    configure(LogSettings())
    try:
        with wire_to(strict_node.port) as wire:
            request_association(wire)
            wire.send(pdu(P_DATA, b"", length=2**31))
            assert wire.is_closed()
        with pytest.MonkeyPatch.context() as disk:
            disk.setattr(os, "writev", full)
            assert send(strict_node.port, slice_of(1, study=study)) == [0xA700]
        assert send(strict_node.port, slice_of(1, study=study)) == [0]
        assert strict_node._listener.listening
    finally:
        structlog.reset_defaults()


def test_nothing_that_carries_data_waits_for_a_tick(
    tmp_path: Path, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timers and orders to stop are looked at now and then; all else has a bell."""
    monkeypatch.setattr(pynetdicom_internals, "_TICK_S", 10 * PATIENCE_S)
    with quick_node(quick(tmp_path)) as node, wire_to(node.port) as wire:
        request_association(wire)
        for number in (1, 2):
            wire.send(store_pdu(study, number))
            assert wire.status() == 0
            wire.send(pdu(P_DATA, fragment(1, echo_request(), control=COMMAND | LAST)))
            assert wire.status() == 0
        wire.send(pdu(RELEASE_RQ, bytes(4)))
        assert wire.receive()[0] == RELEASE_RP
