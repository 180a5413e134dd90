"""A sample is a folder of valid DICOM files with their truth, and the same for the same seed."""

import csv
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from pydicom import dcmread

from analysis.domain.segmentation import Level
from analysis.itk import grid_of, to_array
from analysis.phantom import Resolution
from node.science import sample
from node.science.sample import write_sample
from tests import peers

COARSE = Resolution(lateral_mm=4.0, in_plane_mm=2.5)
SERIES = {"localiser", "t1_sag", "t2_sag"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two patients at a coarse resolution."""
    out = tmp_path_factory.mktemp("sample")
    write_sample(out, patients=2, seed=4, resolution=COARSE)
    return out


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_patient_has_a_study_of_three_series(written: Path) -> None:
    for study in (written / "studies").iterdir():
        assert {series.name for series in study.iterdir()} == SERIES
        headers = [dcmread(path, stop_before_pixels=True) for path in study.rglob("*.dcm")]
        assert len({header.StudyInstanceUID for header in headers}) == 1
        assert len({header.SeriesInstanceUID for header in headers}) == 3
        assert len({header.SOPInstanceUID for header in headers}) == len(headers)
        assert len({header.FrameOfReferenceUID for header in headers}) == 1


def test_every_image_says_that_it_is_simulated(written: Path) -> None:
    for path in (written / "studies").rglob("*.dcm"):
        header = dcmread(path, stop_before_pixels=True)
        assert "SIMULATED" in str(header.PatientName)
        assert "SIMULATED" in header.ImageComments
        assert "SIMULATED" in header.PatientComments


def test_the_table_leads_to_the_studies(written: Path) -> None:
    with (written / "cohort.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    columns = ["patient_id", "study", "bmd_mg_cm3", "age", "sex", "scanner", "site", "simulated"]
    assert list(rows[0]) == columns
    for row in rows:
        first = dcmread(next((written / row["study"]).rglob("*.dcm")), stop_before_pixels=True)
        assert row["simulated"] == "yes"
        assert first.PatientID == row["patient_id"]
        assert first.PatientSex == row["sex"]
        assert int(first.PatientAge[:3]) == int(row["age"])
        assert 10 < float(row["bmd_mg_cm3"]) < 250


def test_truth_lies_on_the_grid_of_its_series(written: Path) -> None:
    labels = SimpleITK.ReadImage(written / "truth" / "SIM0001_t1_sag_labels.nii.gz")
    grid = grid_of(labels)
    slices = [dcmread(path) for path in sorted((written / "studies/SIM0001/t1_sag").iterdir())]
    assert grid.shape == (len(slices), slices[0].Rows, slices[0].Columns)
    for number, image in enumerate(slices):
        assert np.allclose(grid.to_mm((number, 0, 0)), np.array(image.ImagePositionPatient, float), atol=1e-3)
    assert {int(level) for level in (Level.L1, Level.L5, Level.S1)} <= set(
        np.unique(to_array(labels)).tolist()
    )


def test_the_same_seed_writes_the_same_bytes_also_in_parallel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: Path
) -> None:
    monkeypatch.setattr(sample, "_PARALLEL_FROM", 2)
    write_sample(tmp_path, patients=2, seed=4, resolution=COARSE)
    assert digests(tmp_path) == digests(written)


def test_progress_is_told_from_none_to_all(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_sample(tmp_path, 1, 3, lambda done, total: told.append((done, total)), resolution=COARSE)
    assert told == [(0, 1), (1, 1)]


@pytest.mark.peers
def test_dciodvfy_and_dcentvfy_find_no_error(written: Path) -> None:
    checker = peers.program("dciodvfy", "dicom3tools")
    for series in sorted((written / "studies").glob("*/*")):
        said = peers.run([checker, next(series.iterdir())])
        assert not [line for line in said.splitlines() if line.startswith("Error")], said
    consistency = peers.program("dcentvfy", "dicom3tools")
    said = peers.run([consistency, *sorted((written / "studies" / "SIM0001").rglob("*.dcm"))])
    assert "Error" not in said
