"""Reading files: complete series are decoded correctly, and any other is refused with its reason."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian, RLELossless

from analysis.domain.acquisition import AcquisitionFacts
from analysis.domain.volume import Grid, Volume
from analysis.errors import RefusedError
from dicom_templates.objects.mr_image import ImageIdentity, mr_images
from node.analyse.study import analyse_files
from node.config import default
from node.decode import check_stack, decode, files_below, scan, studies_below
from node.domain.completeness import decide
from node.settle.examine_headers import examine_headers

NOW = datetime(2026, 1, 5, tzinfo=UTC)

AXES = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""A sagittal stack: slices go to the right, rows downwards, columns backwards."""

FACTS = AcquisitionFacts(
    repetition_time_ms=600, echo_time_ms=10, scanning_sequence=("SE",), series_description="t1_tse_sag"
)
IDENTITY = ImageIdentity(
    patient_id="1", patient_name="A^B", study_uid="1.2.3", series_uid="1.2.3.4",
    frame_of_reference_uid="1.2.3.5", study_date="20260101", study_time="080000",
)  # fmt: skip


@pytest.fixture
def volume() -> Volume:
    voxels = np.random.default_rng(1).integers(0, 1000, (6, 24, 20)).astype(np.float32)
    return Volume(voxels, Grid((6, 24, 20), (4.4, 0.8, 0.7), (12.0, -60.0, 80.0), AXES))


@pytest.fixture
def write(tmp_path: Path, volume: Volume) -> Callable[..., list[Path]]:
    """Return a function that writes the volume as a series, with a change to each instance."""

    def write_series(change: Callable[[int, Dataset], object] = lambda _number, _dataset: None) -> list[Path]:
        paths = []
        for number, dataset in enumerate(mr_images(volume, FACTS, IDENTITY)):
            change(number, dataset)
            # The names sort in the opposite order, so the order must come from geometry.
            path = tmp_path / f"{99 - number}.dcm"
            dataset.save_as(path, enforce_file_format=True)
            paths.append(path)
        return paths

    return write_series


def refusal_of(paths: list[Path]) -> str:
    series, unreadable = scan(paths)
    assert not unreadable
    with pytest.raises(RefusedError) as caught:
        decode(series[0])
    return str(caught.value)


def test_what_was_written_is_read_back_voxel_by_voxel_and_place_by_place(
    write: Callable[..., list[Path]], volume: Volume
) -> None:
    (series,), unreadable = scan(write())
    read, headers = decode(series)

    assert not unreadable
    assert read.volume.grid.matches(volume.grid)
    assert read.volume.voxels == pytest.approx(volume.voxels, abs=0.5)
    assert read.facts.repetition_time_ms == 600
    depths = [float(header.ImagePositionPatient[0]) for header in headers]
    assert depths == sorted(depths, reverse=True)


def test_the_digest_does_not_depend_on_how_the_pixels_travelled(write: Callable[..., list[Path]]) -> None:
    (plain,), _ = scan(write())
    expected = decode(plain)[0].digest

    def pack(_: int, dataset: Dataset) -> None:
        dataset.compress(RLELossless, generate_instance_uid=False)

    (packed,), _ = scan(write(pack))
    assert decode(packed)[0].digest == expected

    def implicit(_: int, dataset: Dataset) -> None:
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    (other,), _ = scan(write(implicit))
    assert decode(other)[0].digest == expected


def test_the_digest_changes_with_one_voxel(write: Callable[..., list[Path]]) -> None:
    (plain,), _ = scan(write())
    expected = decode(plain)[0].digest

    def touch(number: int, dataset: Dataset) -> None:
        if number == 3:
            dataset.PixelData = b"\xff" + dataset.PixelData[1:]

    (touched,), _ = scan(write(touch))
    assert decode(touched)[0].digest != expected


def test_an_instance_that_is_there_twice_counts_once(
    write: Callable[..., list[Path]], tmp_path: Path
) -> None:
    paths = write()
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(paths[2].read_bytes())
    (series,), _ = scan([*paths, copy])
    assert len(series.paths) == 6


def test_a_file_that_is_not_dicom_is_told(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not an image, and long enough to hold a preamble" * 10)
    empty = tmp_path / "empty.dcm"
    empty.touch()
    series, unreadable = scan([text, empty])
    assert series == ()
    assert [file.reason for file in unreadable] == ["not a DICOM file"] * 2


def test_a_missing_slice_is_refused(write: Callable[..., list[Path]]) -> None:
    paths = write()
    assert "a slice is missing" in refusal_of(paths[:2] + paths[3:])


def test_a_stack_without_every_other_slice_is_refused(write: Callable[..., list[Path]]) -> None:
    """It is evenly spaced too; only the declared spacing shows that slices are missing."""
    assert "apart, and their headers say 4.4 mm" in refusal_of(write()[::2])


@pytest.mark.parametrize(("declared", "thickness"), [("0.4", "4"), ("", "4"), ("4.4", "")])
def test_a_declared_spacing_that_may_be_a_gap_speaks_against_no_stack(
    write: Callable[..., list[Path]], declared: str, thickness: str
) -> None:
    def declare(_: int, dataset: Dataset) -> None:
        dataset.SpacingBetweenSlices, dataset.SliceThickness = declared, thickness

    series, _ = scan(write(declare)[::2])
    assert check_stack(series[0]).spacing_mm == pytest.approx(8.8)


def test_slices_with_pixels_of_two_sizes_are_refused(write: Callable[..., list[Path]]) -> None:
    def stretch(number: int, dataset: Dataset) -> None:
        dataset.PixelSpacing = [0.8, 0.7 + 0.1 * (number % 2)]

    assert "size of their pixels" in refusal_of(write(stretch))


def test_two_slices_at_one_place_are_refused(write: Callable[..., list[Path]]) -> None:
    def move(number: int, dataset: Dataset) -> None:
        if number == 4:
            dataset.ImagePositionPatient = [12.0 - 3 * 4.4, -60.0, 80.0]

    assert "two slices lie at one place" in refusal_of(write(move))


def test_a_truncated_object_is_refused(write: Callable[..., list[Path]]) -> None:
    paths = write()
    paths[3].write_bytes(paths[3].read_bytes()[:-100])
    assert "damaged or truncated" in refusal_of(paths)


def test_files_with_one_fault_are_told_once_with_their_number(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text("Dear colleague")
    assert studies_below([tmp_path]) == ((), ("a.txt and 2 more: not a DICOM file",))
    told = analyse_files(sorted(tmp_path.iterdir()), default(), tmp_path / "out")
    assert told.refusals == ("3 × not a DICOM file",)


def test_equal_series_are_refused_once_with_their_number(
    tmp_path: Path, write: Callable[..., list[Path]]
) -> None:
    """As of an Enhanced series of many objects, each a stack of its own."""
    whole = write(lambda _number, dataset: setattr(dataset, "ScanningSequence", "GR"))
    for number in range(20):
        for path in whole:
            image = dcmread(path)
            image.SeriesInstanceUID = f"1.2.3.9.{number}"
            image.SOPInstanceUID = f"{image.SOPInstanceUID}.{number}"
            image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
            image.save_as(tmp_path / f"{number}_{path.name}", enforce_file_format=True)
    paths = sorted(tmp_path.glob("*.dcm"))
    first, told = analyse_files(paths, default(), tmp_path / "out").refusals
    assert "no whole sagittal T1w or T2w" in first
    assert told.startswith("21 × MR, 6 instances: its scanning sequence (GR)")
    (other,) = examine_headers(paths).others
    assert other == told
    decision = decide(examine_headers(paths), NOW, NOW)
    assert decision.reason.count("GR") == 1


def test_an_object_truncated_within_its_header_is_told_as_unreadable(
    write: Callable[..., list[Path]],
) -> None:
    paths = write()
    paths[3].write_bytes(paths[3].read_bytes()[:500])
    series, unreadable = scan(paths)
    assert len(series[0].paths) == 5
    assert unreadable[0].reason.startswith("the DICOM object is cut off before its StudyInstanceUID")


def test_a_ct_is_refused(write: Callable[..., list[Path]]) -> None:
    def relabel(_: int, dataset: Dataset) -> None:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
        dataset.Modality = "CT"

    assert "the series is CT, not MR images" in refusal_of(write(relabel))


def test_images_compressed_with_loss_are_refused(write: Callable[..., list[Path]]) -> None:
    def lossy(_: int, dataset: Dataset) -> None:
        dataset.LossyImageCompression = "01"

    assert "with loss" in refusal_of(write(lossy))


def test_pixels_without_size_are_refused(write: Callable[..., list[Path]]) -> None:
    def shrink(_: int, dataset: Dataset) -> None:
        dataset.PixelSpacing = [0, 0]

    assert "no usable PixelSpacing" in refusal_of(write(shrink))


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_an_image_that_does_not_tell_its_place_is_refused(
    write: Callable[..., list[Path]], keyword: str
) -> None:
    def strip(number: int, dataset: Dataset) -> None:
        if number == 0:
            delattr(dataset, keyword)

    assert keyword in refusal_of(write(strip))


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
@pytest.mark.parametrize("written", [b"1,5 ", b"NaN "])
def test_an_image_that_does_not_tell_what_its_pixels_stand_for_is_refused(
    write: Callable[..., list[Path]], keyword: str, written: bytes
) -> None:
    def damage(number: int, dataset: Dataset) -> None:
        if number == 2:
            tag = Tag(keyword)
            dataset[tag] = RawDataElement(tag, "DS", len(written), written, 0, False, True)

    assert keyword in refusal_of(write(damage))


def test_headers_alone_are_enough_to_judge_a_stack(write: Callable[..., list[Path]]) -> None:
    (series,), _ = scan(write())
    assert check_stack(series).spacing_mm == pytest.approx(4.4)


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        files_below([tmp_path / "nowhere"])


def test_a_scan_leaves_the_pixels_on_disk(write: Callable[..., list[Path]]) -> None:
    paths = write()
    (series,), _ = scan(paths)
    assert all("PixelData" not in header for header in series.headers)
    assert "PixelData" in dcmread(paths[0])
