from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from analysis.cohort.cohort_table import CohortRow
from analysis.errors import RefusedError
from node.science.same_images import refuse_repeated_patients


def write_study(folder: Path, number: int, *, patient: str = "") -> CohortRow:
    """Write two images of noise and one that is empty, and return the row of the cohort table."""
    study = folder / f"study{number}"
    study.mkdir()
    rng, series = np.random.default_rng(number), generate_uid()
    for index in range(3):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.SOPClassUID, image.SOPInstanceUID = MRImageStorage, generate_uid()
        image.SeriesInstanceUID, image.PatientID = series, patient or f"ID{number}"
        image.Rows = image.Columns = 8
        image.BitsAllocated = image.BitsStored = 16
        pixels = rng.integers(0, 1000, (8, 8)) if index else np.zeros((8, 8))
        image.PixelData = pixels.astype(np.uint16).tobytes()
        image.save_as(study / f"{index}.dcm", enforce_file_format=True)
    return CohortRow(number + 2, f"P{number}", study, 100.0)


def copy_of(row: CohortRow, folder: Path, change: Callable[[Dataset], None], number: int) -> CohortRow:
    """Copy the images of a row into another study."""
    study = folder / f"copy{number}"
    study.mkdir()
    for path in row.study.iterdir():
        image = dcmread(path)
        change(image)
        image.save_as(study / path.name)
    return CohortRow(number + 2, f"P{number}", study, 100.0)


def with_new_uids(image: Dataset) -> None:
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    image.SeriesInstanceUID, image.PatientID = generate_uid(), "another"


def with_new_pixels(image: Dataset) -> None:
    image.PatientID = "another"
    image.PixelData = bytes(reversed(image.PixelData[:-1])) + b"\1"


def test_different_patients_are_let_through_also_with_equal_empty_slices(tmp_path: Path) -> None:
    refuse_repeated_patients([write_study(tmp_path, number) for number in range(3)])


@pytest.mark.parametrize(
    ("change", "word"),
    [(with_new_uids, "the same images (by their pixels)"), (with_new_pixels, "the same series or instance")],
)
def test_images_under_two_identifiers_are_found_by_uid_and_by_pixels(
    tmp_path: Path, change: Callable[[Dataset], None], word: str
) -> None:
    rows = [write_study(tmp_path, number) for number in range(3)]
    rows.append(copy_of(rows[1], tmp_path, change, 3))
    with pytest.raises(RefusedError) as error:
        refuse_repeated_patients(rows)
    (reason,) = error.value.reasons
    assert f"lines 3, 5: {word}" in reason
    assert reason.count("lines") == 1
    assert "ID1" not in reason


def test_one_patient_with_two_rows_is_found_by_the_patient_id(tmp_path: Path) -> None:
    rows = [write_study(tmp_path, number, patient="X" if number < 2 else "") for number in range(4)]
    with pytest.raises(RefusedError, match="lines 2, 3: the same Patient ID in the images"):
        refuse_repeated_patients(rows)


def test_a_patient_id_that_most_images_share_is_a_placeholder(tmp_path: Path) -> None:
    refuse_repeated_patients([write_study(tmp_path, number, patient="ANON") for number in range(4)])


def test_files_that_are_no_images_are_left_to_the_measurement(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.dcm").write_text("no image")
    row = CohortRow(9, "P9", tmp_path / "text", 100.0)
    refuse_repeated_patients([row, write_study(tmp_path, 1), CohortRow(10, "P10", tmp_path / "gone", 1.0)])
