"""What a peer sends, as bytes in and events out: no socket, no thread, no clock that runs."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import ImplicitVRLittleEndian

from node.config import NodeSettings
from node.receive.data_transfer import (
    DatasetFragment,
    DataTransfer,
    Event,
    LimitExceeded,
    Malformed,
    OtherFragment,
    OtherPdu,
    StoreRequested,
)
from node.receive.limits import ConnectionLimits
from node.receive.pdata import StoreRequest
from node.receive.transfer_states import (
    MESSAGE_TRANSITIONS,
    READING_TRANSITIONS,
    FragmentKind,
    Message,
    Reading,
    Step,
)
from tests.node.wire import (
    COMMAND,
    LAST,
    P_DATA,
    RELEASE_RQ,
    echo_request,
    fragment,
    in_fragments,
    pdu,
    store_request,
)

STORAGE, OTHER = 1, 3
"""Presentation contexts: one that is accepted for storage, and one that is not."""
DATASET = bytes(range(256)) * 3
REQUEST = fragment(STORAGE, store_request(b"1.2.3"), control=COMMAND | LAST)
ECHO = fragment(OTHER, echo_request(), control=COMMAND | LAST)
WITH_DATASET = fragment(OTHER, store_request(b"1.2.3", field=0x0100), control=COMMAND | LAST)
SETTINGS = NodeSettings(max_pdu_bytes=16384, max_instance_mb=1, idle_timeout_s=10.0)


class Peer:
    """Feeds a `DataTransfer`, and keeps what came of it."""

    def __init__(self, settings: NodeSettings = SETTINGS, *, unserved: int = 0) -> None:
        self.now_s = 0.0
        limits = ConnectionLimits(settings, lambda: unserved, lambda: self.now_s)
        self.transfer = DataTransfer(limits, {STORAGE: str(ImplicitVRLittleEndian)}.get)
        self.transfer.step(Step.ESTABLISHED)
        self.events: list[Event] = []
        self.datasets: list[bytes] = []
        self._dataset = b""
        self.rest = b""
        """What was sent last and not taken."""

    def send(self, content: bytes, *, pieces: Sequence[int] = ()) -> "Peer":
        """Send bytes as far as they are taken; with `pieces`, no more at once than these lengths."""
        lengths = iter(pieces)
        if self.transfer.has_read_ahead:
            self._note_all(self.transfer.received(0))
        while content and self.transfer.reading is Reading.DATA_TRANSFER:
            buffer = self.transfer.next_buffer()
            count = min(len(buffer), len(content), next(lengths, len(content)))
            buffer[:count] = content[:count]
            content = content[count:]
            self._note_all(self.transfer.received(count))
        self.rest = content
        return self

    def _note_all(self, events: Sequence[Event]) -> None:
        for event in events:
            self._note(event)

    def _note(self, event: Event) -> None:
        match event:
            case DatasetFragment(part, is_last):
                # Its memory is used again, so it is copied at once.
                self._dataset += bytes(part)
                self.events.append(DatasetFragment(memoryview(bytes(part)), is_last))
                if is_last:
                    self.datasets.append(self._dataset)
                    self._dataset = b""
            case OtherFragment(context, control, part):
                self.events.append(OtherFragment(context, control, memoryview(bytes(part))))
            case _:
                self.events.append(event)

    @property
    def kinds(self) -> list[type[Event]]:
        """Return the classes of the events so far."""
        return [type(event) for event in self.events]


def test_an_object_is_requested_comes_and_waits_for_its_answer() -> None:
    peer = Peer().send(pdu(P_DATA, REQUEST) + pdu(P_DATA, fragment(STORAGE, DATASET)))
    request = StoreRequest(1, "1.2.840.10008.5.1.4.1.1.4", "1.2.3")
    assert peer.events == [
        StoreRequested(STORAGE, request, ImplicitVRLittleEndian),
        DatasetFragment(memoryview(DATASET), is_last=True),
    ]
    assert peer.transfer.reading is Reading.ANSWERING


@given(
    pieces=st.lists(st.integers(1, 400), max_size=60),
    length=st.integers(1, 900),
    a_pdu=st.integers(1, 5),
)
def test_it_does_not_matter_how_the_bytes_are_split(pieces: list[int], length: int, a_pdu: int) -> None:
    """Fragments in any number of PDUs, PDUs in any number of reads: PS3.8 annex E."""
    fragments = [
        *in_fragments(store_request(b"1.2.3"), length, COMMAND),
        *in_fragments(DATASET, length, 0),
    ]
    stream = b"".join(
        pdu(P_DATA, b"".join(fragments[at : at + a_pdu])) for at in range(0, len(fragments), a_pdu)
    )
    peer = Peer().send(stream, pieces=pieces)
    assert peer.datasets == [DATASET]
    assert peer.kinds.count(StoreRequested) == 1
    assert peer.transfer.reading is Reading.ANSWERING
    assert not peer.transfer.is_within_pdu
    assert not peer.transfer.is_within_message


def test_it_does_not_matter_where_the_bytes_are_split() -> None:
    stream = pdu(P_DATA, ECHO + REQUEST) + pdu(P_DATA, fragment(STORAGE, DATASET))
    for at in range(1, len(stream)):
        assert Peer().send(stream[:at]).send(stream[at:]).datasets == [DATASET]


def test_another_message_is_passed_on_with_its_command_in_one_fragment() -> None:
    parts = [fragment(OTHER, echo_request()[:9], control=COMMAND)]
    parts.append(fragment(OTHER, echo_request()[9:], control=COMMAND | LAST))
    peer = Peer().send(b"".join(pdu(P_DATA, part) for part in parts))
    assert peer.events == [OtherFragment(OTHER, COMMAND | LAST, memoryview(echo_request()))]
    assert not peer.transfer.is_within_message


def test_a_dataset_of_another_message_is_passed_on_to_its_end() -> None:
    peer = Peer().send(pdu(P_DATA, WITH_DATASET + fragment(OTHER, b"ab", control=0)))
    assert peer.transfer.is_within_message
    peer.send(pdu(P_DATA, fragment(OTHER, b"cd") + ECHO + REQUEST))
    assert peer.kinds == [*[OtherFragment] * 4, StoreRequested]
    assert peer.transfer.message is Message.DATASET


@given(pieces=st.lists(st.integers(1, 400), max_size=60))
def test_another_pdu_is_left_unread_for_pynetdicom(pieces: list[int]) -> None:
    """As much of it as has been read, which is at least its header; the rest is still in the connection."""
    release = pdu(RELEASE_RQ, bytes(4))
    peer = Peer().send(pdu(P_DATA, ECHO) + release, pieces=pieces)
    assert peer.kinds == [OtherFragment, OtherPdu]
    assert peer.transfer.reading is Reading.PYNETDICOM
    assert not peer.transfer.is_within_pdu
    assert peer.transfer.has_unread
    header, read = peer.transfer.take_unread(6), peer.transfer.take_unread(4)
    assert header + read + peer.rest == release
    assert len(header) == 6
    assert not peer.transfer.has_unread


def test_what_follows_an_object_waits_until_it_is_answered() -> None:
    """No asynchronous window is negotiated (PS3.7 D.3.3.3)."""
    stored = pdu(P_DATA, REQUEST + fragment(STORAGE, DATASET))
    peer = Peer().send(stored + stored)
    assert len(peer.datasets) == 1
    assert not peer.transfer.has_read_ahead
    peer.transfer.step(Step.MORE_DATA_BEFORE_ANSWER)
    assert peer.transfer.reading is Reading.PAUSED
    assert peer.transfer.is_answering
    peer.transfer.step(Step.ANSWERED)
    assert peer.transfer.has_read_ahead
    assert len(peer.send(b"").datasets) == 2
    peer.transfer.step(Step.ANSWERED)
    assert not peer.transfer.has_read_ahead
    assert len(peer.send(stored).datasets) == 3


@given(pieces=st.lists(st.integers(1, 400), max_size=60), objects=st.integers(2, 5))
def test_objects_sent_without_waiting_for_answers_are_all_received(pieces: list[int], objects: int) -> None:
    stored = pdu(P_DATA, REQUEST) + pdu(P_DATA, fragment(STORAGE, DATASET))
    peer = Peer().send(objects * stored, pieces=pieces)
    for number in range(1, objects + 1):
        assert peer.datasets == number * [DATASET]
        peer.transfer.step(Step.ANSWERED)
        peer.send(peer.rest)
    assert peer.datasets == objects * [DATASET]


def test_no_more_is_moved_than_was_read_ahead() -> None:
    """Reading ends at the end of a long PDU, or one header further."""
    peer = Peer(replace(SETTINGS, max_pdu_bytes=100_000))
    long = pdu(P_DATA, fragment(STORAGE, bytes(90_000), control=0))
    peer.send(pdu(P_DATA, REQUEST) + long[:20_000])
    assert len(peer.transfer.next_buffer()) == len(long) - 20_000 + 6


def test_an_answer_after_an_abort_changes_nothing() -> None:
    peer = Peer().send(pdu(P_DATA, REQUEST + fragment(STORAGE, DATASET)))
    peer.transfer.step(Step.HANDED_BACK)
    peer.transfer.step(Step.ANSWERED)
    assert not peer.transfer.is_ours
    peer.transfer.step(Step.ENDED)
    peer.transfer.step(Step.ANSWERED)
    assert peer.transfer.reading is Reading.ENDED


def test_an_empty_pdu_is_no_message_and_no_end() -> None:
    assert Peer().send(pdu(P_DATA, b"") * 3 + pdu(P_DATA, ECHO)).kinds == [OtherFragment]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(fragment(STORAGE, b"ab"), id="a dataset without its command"),
        pytest.param(REQUEST + fragment(OTHER, b"ab"), id="a dataset in another context"),
        pytest.param(REQUEST + ECHO, id="a message within another"),
        pytest.param(WITH_DATASET + ECHO, id="a message within one that is no object"),
        pytest.param(REQUEST + fragment(STORAGE, b"ab")[:-1], id="a fragment that is cut off"),
        pytest.param(b"\0\0\0\1\1", id="an item too short to be one"),
        pytest.param(
            fragment(OTHER, store_request(b"1.2.3"), control=COMMAND | LAST), id="a context for no objects"
        ),
        pytest.param(fragment(STORAGE, b"abc", control=COMMAND | LAST), id="a command that is none"),
        pytest.param(2 * (REQUEST + fragment(STORAGE, DATASET)), id="two objects in one PDU"),
    ],
)
def test_what_breaks_the_protocol_is_the_last_event(content: bytes) -> None:
    peer = Peer().send(pdu(P_DATA, content) + pdu(P_DATA, ECHO))
    assert peer.kinds.index(Malformed) == len(peer.kinds) - 1
    assert peer.transfer.reading is Reading.ENDED
    assert not peer.transfer.is_within_pdu, "pynetdicom must find the beginning of a PDU"


@given(st.binary(max_size=300))
def test_any_bytes_make_events_or_an_end(content: bytes) -> None:
    peer = Peer().send(pdu(P_DATA, content)).send(content)
    assert peer.transfer.reading in set(Reading) - {Reading.PAUSED}


def endless() -> Iterator[bytes]:
    yield pdu(P_DATA, WITH_DATASET)
    while True:
        yield pdu(P_DATA, fragment(OTHER, bytes(16000), control=0))


def test_a_message_that_is_no_object_may_not_be_as_long_as_one() -> None:
    peer = Peer(replace(SETTINGS, max_instance_mb=100))
    parts = endless()
    for _ in range(100):
        peer.send(next(parts))
    assert peer.kinds[-1] is Malformed


def test_a_command_may_not_be_endless() -> None:
    peer = Peer(replace(SETTINGS, max_instance_mb=100))
    for _ in range(100):
        peer.send(pdu(P_DATA, fragment(OTHER, bytes(16000), control=COMMAND)))
    assert peer.kinds == [Malformed]


@pytest.mark.parametrize("length", [SETTINGS.max_pdu_bytes + 2000, 2**32 - 1])
def test_a_pdu_longer_than_was_agreed_ends_it_at_its_header(length: int) -> None:
    peer = Peer().send(pdu(P_DATA, b"", length=length))
    assert peer.kinds == [LimitExceeded]
    assert peer.transfer.reading is Reading.ENDED
    assert len(peer.transfer.next_buffer()) <= 16384, "no memory for it"


def test_an_object_that_comes_too_slowly_ends_it_and_a_pause_before_it_does_not() -> None:
    peer = Peer()
    peer.now_s = 1000.0
    peer.send(pdu(P_DATA, REQUEST) + pdu(P_DATA, fragment(STORAGE, b"ab", control=0)))
    assert LimitExceeded not in peer.kinds
    peer.now_s += SETTINGS.idle_timeout_s + 1
    assert peer.send(pdu(P_DATA, fragment(STORAGE, b"ab", control=0))).kinds[-1] is LimitExceeded


def test_a_peer_that_does_not_wait_for_answers_is_ended() -> None:
    assert Peer(unserved=3).send(pdu(P_DATA, ECHO)).kinds == [LimitExceeded]
    assert Peer(unserved=2).send(pdu(P_DATA, ECHO)).kinds == [OtherFragment]


def test_each_state_is_reached_and_only_the_end_is_final() -> None:
    seen, due = set(), [Reading.PYNETDICOM]
    while due:
        state = due.pop()
        seen.add(state)
        due += [
            after
            for (before, _), after in READING_TRANSITIONS.items()
            if before is state and after not in seen
        ]
    assert seen == set(Reading)
    final = {
        state for state in Reading
        if all(after is state for (before, _), after in READING_TRANSITIONS.items() if before is state)
    }  # fmt: skip
    assert final == {Reading.ENDED}
    assert {step for _, step in READING_TRANSITIONS} == set(Step)


def test_the_end_can_come_in_any_state_and_an_answer_in_any_but_one() -> None:
    assert all((state, Step.ENDED) in READING_TRANSITIONS for state in Reading)
    assert {state for state, step in READING_TRANSITIONS if step is Step.ANSWERED} == set(Reading) - {
        Reading.DATA_TRANSFER
    }


@pytest.mark.parametrize("state", Reading)
@pytest.mark.parametrize("step", Step)
def test_what_is_not_in_the_table_cannot_happen(state: Reading, step: Step) -> None:
    transfer = Peer().transfer
    transfer.reading = state
    if (state, step) in READING_TRANSITIONS:
        transfer.step(step)
        assert transfer.reading is READING_TRANSITIONS[state, step]
    else:
        with pytest.raises(ValueError, match="is not allowed while reading"):
            transfer.step(step)


def test_a_message_is_a_command_and_at_most_one_dataset() -> None:
    """PS3.7 6.3: commands begin where no dataset is open, and datasets follow the commands that have one."""
    begins = {
        FragmentKind.COMMAND,
        FragmentKind.STORE_REQUEST,
        FragmentKind.OTHER_WITH_DATASET,
        FragmentKind.OTHER_ALONE,
    }
    expected = {(state, kind) for state in (Message.NONE, Message.COMMAND) for kind in begins} | {
        (state, kind)
        for state in (Message.DATASET, Message.OTHER_DATASET)
        for kind in (FragmentKind.DATASET, FragmentKind.DATASET_END)
    }
    assert set(MESSAGE_TRANSITIONS) == expected
    ends = {kind for (_, kind), after in MESSAGE_TRANSITIONS.items() if after is Message.NONE}
    assert ends == {FragmentKind.OTHER_ALONE, FragmentKind.DATASET_END}
