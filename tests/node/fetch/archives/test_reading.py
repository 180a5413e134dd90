"""How bodies are read and rates are kept, whatever the pieces are that they come in."""

from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import NodeError, TransientError
from node.fetch.archives.brake import Brake
from node.fetch.archives.multipart import FileParts
from node.receive.received_object import file_header

_TYPE = "multipart/related; boundary=b"
_MR, _RLE = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.5"


class Kept:
    """Takes files."""

    def __init__(self) -> None:
        self.files: list[tuple[str, bytes]] = []
        self._latest = bytearray()
        self._named = ""

    def begin(self, sop_class_uid: str, sop_uid: str, syntax: str) -> "Kept":
        """Begin a file."""
        assert (sop_class_uid, syntax) == (_MR, _RLE)
        self._named, self._latest = sop_uid, bytearray()
        return self

    def write(self, fragment: memoryview) -> None:
        """Take bytes."""
        self._latest += fragment

    def close(self) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """End a file."""
        self.files.append((self._named, bytes(self._latest)))


def body_of(files: list[tuple[str, bytes]]) -> bytes:
    parts = (
        b"--b\r\n\r\n" + bytes(128) + b"DICM" + file_header(_MR, uid, _RLE) + content + b"\r\n"
        for uid, content in files
    )
    return b"".join(parts) + b"--b--\r\n"


# Contents that look like the end of a part, and are none.
_content = st.lists(
    st.sampled_from([b"\r", b"\n", b"-", b"b", b"--b", b"\r\n--", b"\r\n--a", b"x" * 50])
).map(b"".join)


@given(st.lists(_content, min_size=1, max_size=4), st.lists(st.integers(1, 200), min_size=1))
def test_files_are_read_whatever_the_pieces_are(contents: list[bytes], sizes: list[int]) -> None:
    files = [
        (f"1.2.{number}", content) for number, content in enumerate(contents) if b"\r\n--b" not in content
    ]
    kept, body, at = Kept(), body_of(files), 0
    parts = FileParts(_TYPE, kept.begin, kept.finish)
    while at < len(body):
        for size in sizes:
            parts.feed(body[at : at + size])
            at += size
    parts.close()
    assert kept.files == files


@given(st.binary(max_size=400), st.integers(0, 400))
def test_noise_is_refused_or_read_and_nothing_else(noise: bytes, at: int) -> None:
    body = body_of([("1.2.3", b"x" * 50)])
    kept = Kept()
    parts = FileParts(_TYPE, kept.begin, kept.finish)
    try:
        parts.feed(body[:at] + noise + body[at:])
        parts.close()
    except (NodeError, AssertionError):
        return


@given(st.integers(0, 300))
def test_a_body_that_is_cut_off_is_never_taken_for_a_whole_one(at: int) -> None:
    body = body_of([("1.2.3", b"x" * 50)])
    kept = Kept()
    parts = FileParts(_TYPE, kept.begin, kept.finish)
    parts.feed(body[: min(at, len(body) - 5)])
    with pytest.raises(TransientError):
        parts.close()


class _Waited(Event):
    """Notes how long it is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        """Let the time pass."""
        self.now_s += timeout or 0
        return self.is_set()


def test_the_average_rate_is_kept_and_a_pause_is_not_saved_up() -> None:
    stopping = _Waited()
    brake = Brake(2.0, stopping, tick=lambda: stopping.now_s)
    for _ in range(5):
        brake.spend(4 * 1024 * 1024)
    assert stopping.now_s == pytest.approx(10)
    stopping.now_s += 3600
    brake.spend(20 * 1024 * 1024)
    assert stopping.now_s == pytest.approx(3620)


def test_a_node_that_stops_waits_for_no_rate() -> None:
    stopping = Event()
    stopping.set()
    with pytest.raises(TransientError, match="stopping"):
        Brake(0.001, stopping).spend(10**12)
