"""No source slows another: reading, recording and accepting are shared among sources, not connections."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from struct import pack
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.association import Association

from node.app import Node
from node.config import Source, default
from node.domain.study import StudyState
from node.log import get_log
from node.receive import admission, connection, storage_scp
from node.receive.admission import AdmissionControl
from node.receive.data_transfer import DataTransfer, Event
from node.receive.ledger import _Entry, _fair_group
from node.receive.side_work import SideWork
from node.receive.socket_reader import Shares, SocketReader
from node.show.why import explain
from tests.node.nodes import (
    STUDY,
    encode,
    in_quarantine,
    quick,
    quick_node,
    send,
    slice_of,
    state_of,
)
from tests.node.wire import (
    COMMAND,
    LAST,
    P_DATA,
    associate,
    fragment,
    pdu,
    request_association,
    store_request,
    wire_to,
)
from tests.patience import PATIENCE_S, wait_until


class Sender:
    """A connection that always has something to read."""

    def __init__(self, source: Hashable, turns: list[Hashable]) -> None:
        self.source = source
        self._turns = turns
        self.ours, self._theirs = socket.socketpair()
        self._theirs.send(b"x")

    def read_available(self) -> None:
        """Take a turn, and leave the byte."""
        self._turns.append(self.source)

    def close(self) -> None:
        """Close both ends."""
        self.ours.close()
        self._theirs.close()


def test_ten_connections_of_one_source_have_no_more_turns_than_the_one_of_another() -> None:
    ticks = count()
    reader = SocketReader(get_log(), tick=lambda: next(ticks) / 10_000)  # whatever this machine does beside
    turns: list[Hashable] = []
    senders = [Sender("many", turns) for _ in range(10)] + [Sender("one", turns)]
    for sender in senders:
        reader.watch(sender.ours.fileno(), sender)
    reader.start()
    wait_until(lambda: len(turns) > 200)
    reader.stop()
    for sender in senders:
        reader.forget(sender.ours.fileno())
        sender.close()
    assert 80 < turns[20:200].count("one") < 100


def times_of(turns_s: dict[str, float], until_s: float) -> Counter[str]:
    """Let all take turns, each of its length; return how much time each had."""
    shares, now_s, had = Shares(), 0.0, Counter[str]()
    while now_s < until_s:
        who = cast("str | None", shares.next_of(turns_s, now_s))
        if who is None:
            now_s += shares.rest_s(turns_s, now_s)
            continue
        shares.charge(who, now_s, now_s + turns_s[who])
        now_s += turns_s[who]
        had[who] += turns_s[who]  # type: ignore[assignment]
    return had


def test_who_takes_whole_turns_leaves_most_of_the_time_to_others() -> None:
    had = times_of({"long": 0.004, "short": 0.0001, "short too": 0.0001}, 10.0)
    assert had["long"] == pytest.approx(2.5, rel=0.1)
    assert had["short"] == pytest.approx(3.75, rel=0.1)
    assert times_of({"short": 0.0001, "short too": 0.0005}, 10.0)["short"] == pytest.approx(5.0, rel=0.1)


def test_who_is_alone_does_not_rest() -> None:
    assert times_of({"long": 0.004}, 10.0)["long"] == pytest.approx(10.0, rel=0.01)


def test_a_turn_in_which_the_disk_stalled_costs_its_source_little() -> None:
    shares = Shares()
    shares.charge("other", 0.0, 0.0001)
    shares.charge("stalled", 0.0001, 10.0)
    shares.charge("other", 10.0, 10.0001)
    assert shares.rest_s(["stalled"], 10.0001) < 0.2
    now_s, before_s = 10.2, 0.0
    while shares.next_of(["other", "stalled"], now_s) == "other":
        shares.charge("other", now_s, now_s + 0.001)
        now_s, before_s = now_s + 0.001, before_s + 0.001
    assert before_s < 0.1


def test_each_source_has_its_places_in_a_group() -> None:
    def entry(source: str) -> _Entry:
        return _Entry(lambda: cast("Any", None), lambda _outcome: None, source)

    flood, one = [entry("flood") for _ in range(10)], entry("one")
    assert _fair_group([*flood, one], 2) == [*flood[:2], one]
    assert _fair_group(flood, 64) == flood


class Asking:
    """An association that is open."""

    is_released = is_aborted = is_rejected = False

    def __init__(self, host: str) -> None:
        self.requestor = SimpleNamespace(address=host)

    def is_alive(self) -> bool:
        """Tell that its thread runs."""
        return True


def asking(control: AdmissionControl, host: str, calling: str = "ANY") -> Association:
    """Have an association admitted."""
    association = cast("Association", Asking(host))
    assert control.admit(association, "OSTEONODE", calling, host) is None
    return association


def test_who_asks_too_often_waits_while_others_are_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "allow_accept", lambda _association: None)
    now = [0.0]
    everyone = Source(network=default().sources[0].network, max_associations=20)
    control = AdmissionControl(default().node, [everyone], tick=lambda: now[0])
    often = asking(control, "127.0.0.1")
    assert [control.pause_s(often) for _ in range(50)] == [0.0] * 50, "nobody else is there"
    assert not control.is_shared()
    other = asking(control, "127.0.0.2")
    pauses = [control.pause_s(often) for _ in range(30)]
    assert pauses[:10] == [0.0] * 10
    assert pauses[-1] == pytest.approx(1.0)
    assert control.pause_s(other) == 0.0
    assert control.is_shared()
    now[0] = 60.0
    assert control.pause_s(often) == 0.0


def test_each_address_has_a_share_of_its_own_and_no_ae_title_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "allow_accept", lambda _association: None)
    everyone = Source(network=default().sources[0].network)
    named = replace(everyone, ae_title="NAMED")
    control = AdmissionControl(default().node, [named, everyone])
    one, same, other = (
        asking(control, f"127.0.0.{end}", calling) for end, calling in ((1, "A"), (1, "B"), (2, "A"))
    )
    apart = asking(control, "127.0.0.1", "NAMED")
    assert control.source_of(one) == control.source_of(same)
    assert len({control.source_of(sender) for sender in (one, other, apart)}) == 3
    assert control.source_of(cast("Association", Asking("127.0.0.1"))) is None


def shortest_rest_s(*, is_shared: bool) -> float:
    """Let a task fail and others take 50 ms each; return the shortest time between two of them."""
    work = SideWork(get_log(), lambda: is_shared)
    work.start()
    began: list[float] = []
    ended: list[float] = []

    def fail(_pause: object) -> None:
        raise ValueError("of a peer")

    def take_long(_pause: object) -> None:
        began.append(time.monotonic())
        time.sleep(0.05)
        ended.append(time.monotonic())

    for task in (fail, take_long, take_long, take_long):
        work.hand_in(task)
    wait_until(lambda: len(ended) == 3)
    rest_s = min(began[1] - ended[0], began[2] - ended[1])
    for _ in range(5):
        work.hand_in(take_long)
    work.stop()
    assert len(ended) == 8
    assert not work.is_running
    return rest_s


def test_side_work_goes_on_after_a_failure_and_rests_for_others() -> None:
    assert shortest_rest_s(is_shared=True) > 0.08


def test_side_work_for_nobody_else_goes_on_after_a_failure_without_a_rest() -> None:
    """The machine may let it rest as well, but not each time."""
    assert min(shortest_rest_s(is_shared=False) for _ in range(5)) < 0.08


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with quick_node(quick(tmp_path)) as made:
        yield made


def test_a_long_header_is_read_and_a_refused_object_is_kept_beside_the_others(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one of them is at it, other objects are received, recorded and answered."""
    held, began = threading.Event(), threading.Event()
    quarantine = storage_scp.StorageScp.quarantine

    def slowly(*arguments: Any) -> None:
        began.set()
        assert held.wait(PATIENCE_S)
        quarantine(*arguments)

    monkeypatch.setattr(storage_scp.StorageScp, "quarantine", slowly)
    many = b"".join(pack("<HH2sH", 8, 0x0005, b"CS", 0) for _ in range(25_000))
    with wire_to(node.port) as hostile, wire_to(node.port) as honest:
        request_association(hostile, ExplicitVRLittleEndian)
        hostile.send(pdu(P_DATA, fragment(1, store_request(b"1.2.3"), control=COMMAND | LAST)))
        for at in range(0, len(many), 50_000):
            last = LAST if at + 50_000 >= len(many) else 0
            hostile.send(pdu(P_DATA, fragment(1, many[at : at + 50_000], control=last)))
        assert began.wait(PATIENCE_S)
        image = slice_of(1)
        honest.send(associate(ExplicitVRLittleEndian))
        honest.receive()
        request = fragment(1, store_request(image.SOPInstanceUID.encode()), control=COMMAND | LAST)
        honest.send(pdu(P_DATA, request + fragment(1, encode(image, ExplicitVRLittleEndian))))
        assert honest.status() == 0
        held.set()
        assert hostile.status() == 0xC000
    assert [entry.reason for entry in in_quarantine(node.store)] == [
        "it has more than 20000 elements before its SeriesInstanceUID"
    ]


def test_a_header_is_read_further_if_its_uids_stand_behind_much(node: Node) -> None:
    image = slice_of(2)
    content = encode(image, ExplicitVRLittleEndian)
    many = b"".join(pack("<HH2sH", 8, 0x0005, b"CS", 0) for _ in range(8_000))
    for number, before in enumerate((many, pack("<HH2sHL", 9, 0x1010, b"OB", 0, 90_000) + bytes(90_000))):
        with wire_to(node.port) as wire:
            request_association(wire, ExplicitVRLittleEndian)
            whole = content.replace(b"1.2.826.0.1.1.1.2\0", f"1.2.826.0.1.1.1.{number + 3}\0".encode())
            at = whole.index(b"\x10\x00\x10\x00")
            request = store_request(f"1.2.826.0.1.1.1.{number + 3}".encode())
            wire.send(pdu(P_DATA, fragment(1, request, control=COMMAND | LAST)))
            body = whole[:at] + before + whole[at:]
            for start in range(0, len(body), 50_000):
                last = LAST if start + 50_000 >= len(body) else 0
                wire.send(pdu(P_DATA, fragment(1, body[start : start + 50_000], control=last)))
            assert wire.status() == 0


def test_of_tiny_pdus_few_are_taken_in_a_turn(monkeypatch: pytest.MonkeyPatch, node: Node) -> None:
    monkeypatch.setattr(connection, "TURN_S", -1.0)
    all_sent = threading.Event()
    events, reads = [], Counter[int]()
    turns = count()
    received, read_in_turn = DataTransfer.received, connection.Connection._read_in_turn

    def counted(self: DataTransfer, number: int) -> Sequence[Event]:
        found = received(self, number)
        events.append(len(found))
        reads[next_turn[0]] += 1
        return found

    next_turn = [0]

    def held(self: connection.Connection) -> None:
        assert all_sent.wait(PATIENCE_S)
        next_turn[0] = next(turns)
        read_in_turn(self)

    monkeypatch.setattr(DataTransfer, "received", counted)
    monkeypatch.setattr(connection.Connection, "_read_in_turn", held)
    with wire_to(node.port) as wire:
        request_association(wire)
        wire.send(pdu(P_DATA, fragment(1, store_request(b"1.2.3"), control=COMMAND | LAST)))
        wire.send(pdu(P_DATA, fragment(1, b"\0\0", control=0)) * 5_000, pdu(P_DATA, fragment(1, b"\0\0")))
        all_sent.set()
        assert wire.status() == 0xC000
    assert max(events) < 400
    assert max(reads.values()) == 1


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_nesting_of_ten_thousand_costs_the_object_only(node: Node, *, is_closed: bool) -> None:
    opened = pack("<HH2sHL", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF) + pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    closed = pack("<HHL", 0xFFFE, 0xE00D, 0) + pack("<HHL", 0xFFFE, 0xE0DD, 0)
    deep = opened * 10_000 + closed * 10_000 * is_closed
    image = slice_of(1)
    sound = encode(image, ExplicitVRLittleEndian)
    request = store_request(image.SOPInstanceUID.encode())
    with wire_to(node.port) as wire:
        request_association(wire, ExplicitVRLittleEndian)
        for content, status in ((deep + sound, 0xC000), (sound, 0)):
            wire.send(pdu(P_DATA, fragment(1, request, control=COMMAND | LAST)))
            for at in range(0, len(content), 50_000):
                last = LAST if at + 50_000 >= len(content) else 0
                wire.send(pdu(P_DATA, fragment(1, content[at : at + 50_000], control=last)))
            assert wire.status() == status
    assert [entry.reason for entry in in_quarantine(node.store)] == [
        "its sequences are nested deeper than 16"
    ]


def test_a_nesting_of_ten_thousand_behind_the_uids_costs_its_study_only(tmp_path: Path) -> None:
    """It is received as any object is, and what reads it later neither crashes nor hangs."""
    opened = pack("<HH2sHL", 0x21, 0x1140, b"SQ", 0, 0xFFFFFFFF) + pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    closed = pack("<HHL", 0xFFFE, 0xE00D, 0) + pack("<HHL", 0xFFFE, 0xE0DD, 0)
    image = slice_of(1)
    sound = encode(image, ExplicitVRLittleEndian)
    at = sound.index(b"\x28\x00\x10\x00")
    content = sound[:at] + opened * 10_000 + closed * 10_000 + sound[at:]
    with (
        quick_node(quick(tmp_path), examine="examine_by_headers", processes=True) as node,
        wire_to(node.port) as wire,
    ):
        request_association(wire, ExplicitVRLittleEndian)
        request = store_request(image.SOPInstanceUID.encode())
        wire.send(pdu(P_DATA, fragment(1, request, control=COMMAND | LAST)))
        for start in range(0, len(content), 50_000):
            last = LAST if start + 50_000 >= len(content) else 0
            wire.send(pdu(P_DATA, fragment(1, content[start : start + 50_000], control=last)))
        assert wire.status() == 0
        wire.connection.close()
        other = "1.2.826.0.1.5"
        assert send(node.port, slice_of(1, study=other)) == [0]
        wait_until(lambda: state_of(node, other) is StudyState.NOT_FOR_US)
        wait_until(lambda: state_of(node) is StudyState.REFUSED)
        assert "damaged DICOM file" in explain(node.store, STUDY)
