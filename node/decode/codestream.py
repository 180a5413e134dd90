"""What the frame of a compressed image says of its own size, read before any decoder sees it.

A decoder believes its codestream and not the header around it: 300 bytes of JPEG 2000 that claim 65535 rows
and columns make it ask for gigabytes, and a size that contradicts the header can crash it.

References
----------
ISO/IEC 10918-1 B.2.2, frame header of JPEG; ISO/IEC 14495-1 C.2.2, of JPEG-LS; ISO/IEC 15444-1 A.5.1, SIZ;
DICOM PS3.5 Annex G, RLE.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from struct import Struct
from struct import error as StructError  # noqa: N812 - an exception despite its name

from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import (
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from analysis.domain.reason import Reason
from analysis.errors import RefusedError
from node.decode.header_values import number

__all__ = ["check_frame", "frame_size"]

_JPEG = {JPEGLossless, JPEGLosslessSV1, JPEGLSLossless}
_JPEG_2000 = {JPEG2000Lossless, HTJ2KLossless, HTJ2KLosslessRPCL}

_START_OF_IMAGE, _START_OF_SCAN, _END_OF_IMAGE = 0xD8, 0xDA, 0xD9
_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""SOF0 to SOF15, and SOF55 of JPEG-LS; C4, C8 and CC hold tables."""
_FILL = 0xFF
_FRAME = Struct(">BHHB")
"""Sample precision, rows, columns, components."""
_LENGTH = Struct(">H")

_CODESTREAM = b"\xff\x4f\xff\x51"
"""SOC and SIZ, with which a JPEG 2000 codestream begins, also inside of a JP2 file."""
_SIZ = Struct(">HHIIIIIIIIH")
"""Length, capabilities, extent and offset of the image, size and offset of a tile, components."""
_MOST_BEFORE_CODESTREAM = 4096
_MOST_TILES = 65535

_RLE_HEADER = Struct("<16I")


@dataclass(frozen=True, slots=True)
class FrameSize:
    """The size that a frame claims.

    Attributes
    ----------
    rows, columns : int or None
        None where the encoding does not tell them.
    samples : int
        Samples per pixel.
    bits : int
        Bits per sample.
    """

    rows: int | None
    columns: int | None
    samples: int
    bits: int

    def __str__(self) -> str:
        extent = "" if self.rows is None else f"{self.rows} × {self.columns} pixels, "
        return f"{extent}{self.samples} × {self.bits} bits"


def check_frame(dataset: Dataset, index: int) -> None:
    """Refuse a compressed frame whose own header contradicts the header of its object.

    Parameters
    ----------
    dataset : Dataset
        The object, with pixel data and file meta information.
    index : int
        Index of the frame, from 0.

    Raises
    ------
    RefusedError
        If the frame claims another size, or none that can be read.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return
    frames = int(number(dataset, "NumberOfFrames") or 1)
    # As pydicom finds the frame, so that what is judged here is what the decoder gets.
    table = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
    offsets = tuple(dataset[keyword].value for keyword in table) if table[0] in dataset else None
    frame = get_frame(dataset.PixelData, index, number_of_frames=frames, extended_offsets=offsets)
    claimed = frame_size(frame, syntax)
    told = FrameSize(
        rows=int(number(dataset, "Rows") or 0),
        columns=int(number(dataset, "Columns") or 0),
        samples=int(number(dataset, "SamplesPerPixel") or 1),
        bits=int(number(dataset, "BitsAllocated") or 0),
    )
    agrees = (
        claimed is not None
        and claimed.rows in {None, told.rows}
        and claimed.columns in {None, told.columns}
        and claimed.samples == told.samples
        and 0 < claimed.bits <= told.bits
    )
    if not agrees:
        words = Reason("no_size") if claimed is None else str(claimed)
        raise RefusedError(Reason("frame_contradicts_header", claimed=words, told=str(told)))


def frame_size(frame: bytes, transfer_syntax_uid: str) -> FrameSize | None:
    """Read the size that a frame claims; None if it is no frame of its transfer syntax.

    Examples
    --------
    >>> siz = _SIZ.pack(41, 0, 65535, 65535, 0, 0, 65535, 65535, 0, 0, 1) + bytes([11, 1, 1])
    >>> print(frame_size(_CODESTREAM + siz, JPEG2000Lossless))
    65535 × 65535 pixels, 1 × 12 bits
    """
    try:
        if transfer_syntax_uid == RLELossless:
            return _rle_size(frame)
        if transfer_syntax_uid in _JPEG:
            return _jpeg_size(frame)
        if transfer_syntax_uid in _JPEG_2000:
            return _jpeg_2000_size(frame)
    except (IndexError, StructError):
        pass
    return None


def _jpeg_size(frame: bytes) -> FrameSize | None:
    for marker, start in _segments(frame):
        if marker in _FRAME_MARKERS:
            bits, rows, columns, samples = _FRAME.unpack_from(frame, start)
            return FrameSize(rows, columns, samples, bits)
    return None


def _segments(frame: bytes) -> Iterator[tuple[int, int]]:
    """Yield marker and start of the content of each segment before the first scan."""
    if frame[:2] != bytes((_FILL, _START_OF_IMAGE)):
        return
    position = 2
    while frame[position] == _FILL:
        marker = frame[position + 1]
        if marker == _FILL:
            position += 1
            continue
        if marker in {_START_OF_SCAN, _END_OF_IMAGE}:
            return
        (length,) = _LENGTH.unpack_from(frame, position + 2)
        yield marker, position + 4
        position += 2 + length


def _jpeg_2000_size(frame: bytes) -> FrameSize | None:
    start = frame.find(_CODESTREAM, 0, _MOST_BEFORE_CODESTREAM)
    if start < 0:
        return None
    at = start + len(_CODESTREAM)
    _, _, right, bottom, left, top, width, height, _, _, samples = _SIZ.unpack_from(frame, at)
    if not (right > left and bottom > top and width and height):
        return None
    # Each tile costs the decoder memory, however few pixels it holds.
    if -(-right // width) * -(-bottom // height) > _MOST_TILES:
        return None
    depths = {frame[at + _SIZ.size + 3 * number] for number in range(samples)}
    if len(depths) != 1:
        return None
    return FrameSize(bottom - top, right - left, samples, (depths.pop() & 0x7F) + 1)


def _rle_size(frame: bytes) -> FrameSize | None:
    """Read the number of segments, which is that of the bytes of one pixel; RLE tells no rows and columns."""
    count, *offsets = _RLE_HEADER.unpack_from(frame)
    if not 0 < count <= len(offsets):
        return None
    used = [*offsets[:count], len(frame)]
    if used[0] < _RLE_HEADER.size or any(after <= before for before, after in pairwise(used)):
        return None
    return FrameSize(None, None, 1, 8 * count)
