"""Seeded bad input: streams of PDUs and datasets that are wrong in every way we can think of."""

import zlib
from collections.abc import Callable, Sequence
from random import Random
from struct import pack

from pydicom import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
)

from tests.node.nodes import encode, slice_of
from tests.node.wire import ABORT, COMMAND, LAST, P_DATA, RELEASE_RQ, associate, fragment, pdu, store_request

__all__ = ["CANARY", "SYNTAXES", "hostile_dataset", "hostile_stream"]

CANARY = "CANARY7"
SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
)
STRINGS = (
    "../../../../tmp/osteonode-escape",
    "/etc/cron.d/osteonode-escape",
    "..\\..\\osteonode-escape",
    "osteonode-escape\x00.dcm",
    "%2e%2e%2fosteonode-escape",
    "$(touch osteonode-escape)",
    "'; DROP TABLE instances; --",
    "{0.__class__}%n%n%s",
    "\x1b$B\x1b(J\x1b]0;osteonode-escape\x07",
    "\r\nfake log line",
    "é\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
    "1." * 40,
    "9" * 5000,
    "",
)
"""Paths, shells, SQL, formats, escapes, lines, lengths."""
_VRS = (
    b"AE",
    b"AT",
    b"DS",
    b"FD",
    b"LO",
    b"OB",
    b"OW",
    b"PN",
    b"SQ",
    b"UN",
    b"UT",
    b"zz",
    b"\0\0",
    b"\xff\xff",
)
_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_TEXTS = (
    "PatientName",
    "PatientID",
    "StudyDescription",
    "SeriesDescription",
    "InstitutionName",
    "StationName",
)

UNRESOLVABLE = ("no.such.host.invalid", "a..b", f"{'x' * 64}.invalid", "256.256.256.256")
"""Host names that no resolver knows; the second and the third cannot even be encoded."""


def hostile_dataset(random: Random, study: str, syntax: UID) -> tuple[bytes, bytes]:
    """Make an encoded dataset that is wrong somewhere, and the SOP Instance UID its request names."""
    dataset = slice_of(random.randrange(10**6), study=study, patient_id=CANARY)
    for keyword in _TEXTS[:1] + _TEXTS[2:]:
        setattr(dataset, keyword, CANARY)
    instance = dataset.SOPInstanceUID
    spoil = random.choice(_WAYS)
    content = spoil(random, dataset, syntax)
    if random.random() < 0.05:
        # An empty or a longer one spoils the command itself; see `_command`.
        instance = random.choice([text for text in STRINGS if 0 < len(text) <= 64])
        return content, instance.encode("latin-1")
    return content, instance.encode()


def _with_strings(random: Random, dataset: Dataset, syntax: UID) -> bytes:
    for keyword in random.sample(_UIDS + _TEXTS, k=random.randint(1, 4)):
        del dataset[keyword]
        # Not as a UI: pydicom would not write what is no UID.
        dataset.add_new(keyword, "LO", random.choice(STRINGS))
    return encode(dataset, syntax)


def _truncated(random: Random, dataset: Dataset, syntax: UID) -> bytes:
    content = encode(dataset, syntax)
    return content[: random.randrange(len(content))]


def _flipped(random: Random, dataset: Dataset, syntax: UID) -> bytes:
    content = bytearray(encode(dataset, syntax))
    for _ in range(random.randint(1, 20)):
        content[random.randrange(min(len(content), 400))] = random.randrange(256)
    return bytes(content)


def _with_lying_length(random: Random, dataset: Dataset, syntax: UID) -> bytes:
    content = bytearray(encode(dataset, syntax))
    at = random.randrange(4, min(len(content), 400) - 4)
    content[at : at + 4] = random.choice(
        [b"\xff\xff\xff\xff", b"\xfe\xff\xff\xff", b"\0\0\0\x80", b"\x7f\xff\xff\xff"]
    )
    return bytes(content)


def _with_wrong_vrs(random: Random, dataset: Dataset, _syntax: UID) -> bytes:
    content = encode(dataset, ExplicitVRLittleEndian)
    for vr in (b"UI", b"PN", b"LO", b"US"):
        if random.random() < 0.5:
            content = content.replace(vr, random.choice(_VRS), random.randint(1, 4))
    return content


def _nested(random: Random, dataset: Dataset, syntax: UID) -> bytes:
    depth = random.choice([3, 15, 17, 100, 10_000])
    explicit = syntax != ImplicitVRLittleEndian
    sequence = (
        pack("<HH2s2sL", 8, 0x2218, b"SQ", b"", 0xFFFFFFFF)
        if explicit
        else pack("<HHL", 8, 0x2218, 0xFFFFFFFF)
    )
    opened = (sequence + pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)) * depth
    closed = (pack("<HHL", 0xFFFE, 0xE00D, 0) + pack("<HHL", 0xFFFE, 0xE0DD, 0)) * random.choice(
        [0, 1, depth]
    )
    content = opened + closed + encode(dataset, ExplicitVRLittleEndian if explicit else syntax)
    return _deflate(content) if syntax == DeflatedExplicitVRLittleEndian else content


def _inflating(random: Random, dataset: Dataset, _syntax: UID) -> bytes:
    dataset.PixelData = bytes(random.choice([10**5, 10**5, 10**7]))
    return _deflate(encode(dataset, ExplicitVRLittleEndian))


def _huge(random: Random, dataset: Dataset, syntax: UID) -> bytes:
    dataset.Rows = dataset.Columns = 65535
    dataset.NumberOfFrames = random.choice(["2147483647", "-1", "0"])
    return encode(dataset, syntax)


def _in_another_syntax(random: Random, dataset: Dataset, _syntax: UID) -> bytes:
    return encode(dataset, random.choice(SYNTAXES[:4]))


def _noise(random: Random, _dataset: Dataset, _syntax: UID) -> bytes:
    return random.randbytes(random.choice([0, 1, 2, 7, 8, 9, 100, 5000]))


def _deflate(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush()


_WAYS: Sequence[Callable[[Random, Dataset, UID], bytes]] = (
    _with_strings, _with_strings, _truncated, _flipped, _flipped, _with_lying_length, _with_wrong_vrs,
    _nested, _inflating, _huge, _in_another_syntax, _noise,
)  # fmt: skip


def hostile_stream(random: Random, study: str) -> bytes:
    """Make what a broken or hostile sender might put on the wire of one connection."""
    dataset = slice_of(random.randrange(10**6), study=study, patient_id=CANARY)
    instance = dataset.SOPInstanceUID.encode()
    content = encode(dataset, ImplicitVRLittleEndian)
    pieces = [
        associate(calling=random.choice(["SENDER", "SENDER", "SENDER", CANARY, "a b", "A" * 16])),
        pdu(P_DATA, fragment(1, _command(random, instance), control=COMMAND | LAST)),
        *_in_fragments(random, content),
        random.choice([pdu(RELEASE_RQ, b"\0" * 4), pdu(ABORT, b"\0" * 4), b""]),
    ]
    for _ in range(random.randint(1, 3)):
        random.choice(_HARMS)(random, pieces)
    return b"".join(pieces)


def _command(random: Random, instance: bytes) -> bytes:
    kind = random.random()
    if kind < 0.1:
        return store_request(random.choice(STRINGS).encode("latin-1"))
    if kind < 0.2:
        return store_request(instance, sop_class=random.choice([*STRINGS, "1.2.3", MRImageStorage]))
    if kind < 0.4:
        return store_request(
            instance, field=random.choice([0x0FFF, 0x0020, 0x0021, 0x0030, 0x0100, 0x0150, 0x8001, 7])
        )
    if kind < 0.5:
        return random.randbytes(random.randrange(200))
    return store_request(instance)


def _in_fragments(random: Random, content: bytes) -> list[bytes]:
    middle = random.randrange(len(content))
    return [
        pdu(P_DATA, fragment(1, content[:middle], control=0)),
        pdu(P_DATA, fragment(1, content[middle:], control=LAST)),
    ]


def _drop(random: Random, pieces: list[bytes]) -> None:
    if pieces:
        pieces.pop(random.randrange(len(pieces)))


def _repeat(random: Random, pieces: list[bytes]) -> None:
    if pieces:
        pieces.insert(random.randrange(len(pieces)), random.choice(pieces))


def _swap(random: Random, pieces: list[bytes]) -> None:
    random.shuffle(pieces)


def _insert_noise(random: Random, pieces: list[bytes]) -> None:
    pieces.insert(random.randrange(len(pieces) + 1), random.randbytes(random.choice([1, 6, 10, 500])))


def _insert_pdu(random: Random, pieces: list[bytes]) -> None:
    content = random.randbytes(random.choice([0, 4, 68, 300]))
    length = random.choice([None, None, 0, 1, 3, 2**16, 2**31, 2**32 - 1])
    pieces.insert(random.randrange(len(pieces) + 1), pdu(random.randrange(10), content, length=length))


def _insert_fragment(random: Random, pieces: list[bytes]) -> None:
    whole = fragment(
        random.choice([0, 1, 2, 3, 255]),
        random.randbytes(random.randrange(50)),
        control=random.randrange(256),
    )
    lying = pack(">L", random.choice([0, 1, 2**16, 2**32 - 1])) + whole[4:]
    pieces.insert(
        random.randrange(len(pieces) + 1), pdu(P_DATA, random.choice([whole, lying, whole + lying]))
    )


def _flip(random: Random, pieces: list[bytes]) -> None:
    if pieces:
        at = random.randrange(len(pieces))
        piece = bytearray(pieces[at])
        for _ in range(random.randint(1, 8)):
            if piece:
                piece[random.randrange(min(len(piece), 200))] = random.randrange(256)
        pieces[at] = bytes(piece)


def _cut(random: Random, pieces: list[bytes]) -> None:
    if pieces:
        at = random.randrange(len(pieces))
        pieces[at] = pieces[at][: random.randrange(len(pieces[at]) + 1)]


_HARMS = (_drop, _repeat, _swap, _insert_noise, _insert_pdu, _insert_fragment, _flip, _flip, _cut)
