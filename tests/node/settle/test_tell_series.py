"""What was decided of each series of a study, as the page of a study tells it."""

from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import SegmentationStorage

from node.domain.completeness import SeriesDecision
from node.settle.tell_series import tell_series
from tests.node.nodes import slice_of

STUDY = "1.2.826.0.1.1"
T1W = {"SeriesDescription": "t1_tse_sag", "RepetitionTime": 600.0, "EchoTime": 10.0}
T2W = {"SeriesDescription": "t2_tse_sag", "RepetitionTime": 3500.0, "EchoTime": 100.0}


def sagittal(folder: Path, series: str, **facts: object) -> list[Path]:
    """Write nine sagittal slices of a lumbar spine."""
    paths = []
    for number in range(9):
        image = slice_of(number, study=STUDY, series=series)
        place = {
            "ImageOrientationPatient": [0, 1, 0, 0, 0, -1], "ImagePositionPatient": [4.4 * number, -140, 140],
            "PixelSpacing": [35, 35], "SliceThickness": 4.0, "BodyPartExamined": "LSPINE",
            "ScanningSequence": "SE", "FrameOfReferenceUID": STUDY,
            "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
            "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        }  # fmt: skip
        for name, value in (place | facts).items():
            setattr(image, name, value)
        paths.append(folder / f"{series}-{number}.dcm")
        image.save_as(paths[-1], enforce_file_format=True)
    return paths


def segmentation(folder: Path, series: str) -> Path:
    """Write as much of a segmentation as names its series."""
    mask = slice_of(1, study=STUDY, series=f"9{series}", sop_class=SegmentationStorage)
    of = Dataset()
    of.SeriesInstanceUID = f"{STUDY}.{series}"
    mask.ReferencedSeriesSequence = [of]
    path = folder / f"seg-{series}.dcm"
    mask.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Return a T1 series, a T2 series, and an image that is neither."""
    other = tmp_path / "other.dcm"
    slice_of(1, study=STUDY, series="3").save_as(other, enforce_file_format=True)
    return [*sagittal(tmp_path, "1", **T1W), *sagittal(tmp_path, "2", **T2W), other]


def words(told: tuple[SeriesDecision, ...]) -> dict[str, str]:
    return {one.series_uid.removeprefix(f"{STUDY}."): one.words for one in told}


def test_those_that_results_are_made_of_come_first(images: list[Path], tmp_path: Path) -> None:
    told = tell_series(images, [segmentation(tmp_path, "2")])
    assert [(one.series_uid, one.is_used) for one in told] == [
        (f"{STUDY}.2", True),
        (f"{STUDY}.1", False),
        (f"{STUDY}.3", False),
    ]
    assert words(told)["2"] == ("sagittal lumbar T2w, slices evenly 4.4 mm apart; the results are made of it")
    assert words(told)["1"].endswith("; not in the results: see the reason above and in the steps below")
    assert words(told)["3"].startswith("not analysed: ")


def test_without_results_a_whole_series_can_be_analysed_and_one_with_a_gap_cannot(
    images: list[Path],
) -> None:
    told = words(tell_series([*images[:3], *images[4:]], []))
    assert told["2"].endswith("; it can be analysed")
    assert told["1"].startswith("sagittal lumbar T1w, and not analysed: ")


def test_a_file_that_is_no_image_is_told(images: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"nothing")
    assert tell_series([*images, broken], [])[-1] == SeriesDecision(
        "", "unreadable", is_used=False, words="not a DICOM file"
    )
