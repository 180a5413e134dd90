"""A frame that lies about its size reaches no decoder, and a decoder that crashes costs one series."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from struct import pack
from typing import NoReturn

import pytest
from pydicom import FileDataset, dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from analysis.errors import RefusedError
from node.decode import apart as apart_module
from node.decode import decode, scan, voxels
from node.decode.apart import LostError, apart
from tests.node.decode.test_damaged_instances import DAMAGED, HEALTHY, Study, outcome

pytestmark = pytest.mark.filterwarnings("ignore")

HUGE = 65535
HUGE_IMAGE = pack(">6I", HUGE, HUGE, 0, 0, HUGE, HUGE)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(tmp_path_factory.mktemp("study"))


def at(marker: bytes, offset: int, content: bytes) -> Callable[[bytearray], None]:
    """Return a change of a frame, some bytes behind a marker."""

    def change(frame: bytearray) -> None:
        start = frame.index(marker) + len(marker) + offset
        frame[start : start + len(content)] = content

    return change


def first(content: bytes) -> Callable[[bytearray], None]:
    def change(frame: bytearray) -> None:
        frame[: len(content)] = content

    return change


SOF_JPEG, SOF_LS, SIZ = b"\xff\xc3", b"\xff\xf7", b"\xff\x51"
Lie = tuple[str, UID, Callable[[bytearray], None], str]
LIES: list[Lie] = [
    (
        "JPEG 2000, huge",
        JPEG2000Lossless,
        at(SIZ, 4, pack(">6I", HUGE, HUGE, 0, 0, HUGE, HUGE)),
        "65535 × 65535 pixels",
    ),
    ("JPEG 2000, tiny tiles", JPEG2000Lossless, at(SIZ, 4, pack(">6I", HUGE, HUGE, 0, 0, 1, 1)), "no size"),
    ("JPEG 2000, no tiles", JPEG2000Lossless, at(SIZ, 20, pack(">II", 0, 0)), "no size"),
    ("JPEG 2000, an offset", JPEG2000Lossless, at(SIZ, 12, pack(">II", 4, 4)), "× 8 pixels"),
    ("JPEG 2000, components", JPEG2000Lossless, at(SIZ, 36, pack(">H", 3)), "claim"),
    ("JPEG 2000, bits", JPEG2000Lossless, at(SIZ, 38, b"\x1f"), "1 × 32 bits"),
    ("JPEG 2000, none", JPEG2000Lossless, first(b"\0\0\0\0\0\0\0\0"), "no size"),
    ("JPEG-LS, rows", JPEGLSLossless, at(SOF_LS, 3, pack(">H", HUGE)), "65535 × 12 pixels"),
    ("JPEG-LS, columns", JPEGLSLossless, at(SOF_LS, 5, pack(">H", 13)), "16 × 13 pixels"),
    ("JPEG-LS, no rows", JPEGLSLossless, at(SOF_LS, 3, pack(">H", 0)), "0 × 12 pixels"),
    ("JPEG-LS, samples", JPEGLSLossless, at(SOF_LS, 7, b"\x03"), "3 × "),
    ("JPEG-LS, no bits", JPEGLSLossless, at(SOF_LS, 2, b"\0"), "1 × 0 bits"),
    ("JPEG, rows", JPEGLosslessSV1, at(SOF_JPEG, 3, pack(">H", HUGE)), "65535 × 12 pixels"),
    ("JPEG, bits", JPEGLosslessSV1, at(SOF_JPEG, 2, b"\x20"), "1 × 32 bits"),
    ("JPEG, no frame", JPEGLosslessSV1, at(SOF_JPEG, -2, b"\xff\xfe"), "no size"),
    ("RLE, segments", RLELossless, first(pack("<I", 15)), "no size"),
    ("RLE, no segments", RLELossless, first(pack("<I", 0)), "no size"),
    ("RLE, one segment", RLELossless, first(pack("<I", 17)), "no size"),
    ("RLE, backwards", RLELossless, first(pack("<3I", 2, 600, 64)), "no size"),
]


def spoil(path: Path, to: Path, change: Callable[[bytearray], None]) -> Path:
    """Write an object with a changed frame."""
    dataset = dcmread(path)
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    changed = bytearray(frame)
    change(changed)
    dataset.PixelData = encapsulate([bytes(changed)])
    dataset.save_as(to, enforce_file_format=True)
    return to


def aborting(*_: object, **__: object) -> NoReturn:
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
    os.abort()


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie[0])
def test_a_frame_that_contradicts_its_header_reaches_no_decoder(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: Lie
) -> None:
    _, syntax, change, claimed = lie
    honest, *others = study.others[syntax]
    own, lying = pixel_array, spoil(honest, tmp_path / "lying.dcm", change)

    def decoder(dataset: FileDataset, **options: object) -> object:
        return aborting() if Path(str(dataset.filename)) == lying else own(dataset, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(voxels, "pixel_array", decoder)
    (series,), _ = scan([lying, *others])
    with pytest.raises(RefusedError, match="the compressed pixels of an instance claim") as caught:
        decode(series)
    assert claimed in str(caught.value)


def test_a_decoder_that_aborts_costs_its_series_and_writes_nothing(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    own = pixel_array

    def decoder(dataset: FileDataset, **options: object) -> object:
        is_compressed = dataset.file_meta.TransferSyntaxUID.is_compressed
        return aborting() if is_compressed else own(dataset, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(voxels, "pixel_array", decoder)
    measured, reasons = outcome([*study.healthy, *study.others[JPEGLSLossless]])
    assert measured == {HEALTHY}
    assert reasons == ["the pixel data of an instance could not be decoded: the decoder was ended by SIGABRT"]
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir()), "a core dump would be patient data in a place of its own"


def test_a_decoder_that_does_not_end_is_ended(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(*_: object, **__: object) -> NoReturn:
        while True:
            pass

    monkeypatch.setattr(voxels, "pixel_array", endless)
    monkeypatch.setattr(apart_module, "_WALL_PER_CPU", 1000.0)  # what ends it is the processor time
    monkeypatch.setattr(voxels, "_SECONDS", 0.1)
    monkeypatch.setattr(voxels, "_SECONDS_PER_SLICE", 0.1)
    measured, reasons = outcome(study.others[RLELossless])
    assert not measured
    assert reasons == ["the pixel data of an instance could not be decoded: it took too long"]


def test_a_decoder_that_waits_is_ended() -> None:
    with pytest.raises(LostError, match="too long"):
        apart(lambda: time.sleep(60), cpu_limit_s=0.1)


def test_a_decoder_that_panics_is_a_refusal() -> None:
    def panic() -> NoReturn:
        raise BaseException("PLANTED^NAME")  # noqa: TRY002 - as a decoder in Rust does

    with pytest.raises(RefusedError, match="BaseException") as caught:
        apart(panic, cpu_limit_s=5)
    assert "PLANTED" not in str(caught.value)


def children() -> set[str]:
    """Return the processes that this one has; other tests of the same run may have left some that stay."""
    found: set[str] = set()
    for thread in Path(f"/proc/{os.getpid()}/task").iterdir():
        with suppress(OSError):  # a thread that has just ended
            found.update((thread / "children").read_text().split())
    return found


def test_no_process_is_left_and_values_come_back(study: Study) -> None:
    before = children()
    assert apart(lambda: {"a": 1}, cpu_limit_s=5) == {"a": 1}
    assert outcome(study.others[JPEG2000Lossless])[0] == {DAMAGED}
    assert children() <= before
