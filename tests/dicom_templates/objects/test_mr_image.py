"""MR images of a volume: valid, exact and reproducible."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.uid import UID, MRImageStorage

from analysis.domain.acquisition import AcquisitionFacts
from analysis.domain.volume import Grid, Volume
from dicom_templates.objects.mr_image import ImageIdentity, mr_images
from dicom_templates.origin.uids import derive_uid
from tests import peers
from tests.thoroughness import share_of

FACTS = AcquisitionFacts(
    repetition_time_ms=620.0,
    echo_time_ms=9.6,
    echo_train_length=3,
    flip_angle_deg=150.0,
    scanning_sequence=("SE",),
    sequence_variant=("SK", "SP"),
    scan_options=("SAT1",),
    image_type=("ORIGINAL", "PRIMARY", "M"),
    acquisition_type="2D",
    field_strength_t=1.5,
    vendor="SIEMENS",
    model="Aera",
    body_part="LSPINE",
    series_description="t1_tse_sag",
    slice_thickness_mm=4.0,
)
IDENTITY = ImageIdentity(
    patient_id="SIM0001",
    patient_name="SIMULATED^0001",
    study_uid=derive_uid("study"),
    series_uid=derive_uid("series"),
    frame_of_reference_uid=derive_uid("frame of reference"),
    study_date="20260105",
    study_time="093000",
    birth_date="19610701",
    sex="F",
    age="064Y",
    comments="SIMULATED DATA",
)
ANGLES = st.floats(-0.4, 0.4)
LENGTHS = st.floats(0.2, 9.0)


def turned_axes(about_up: float, about_back: float) -> npt.NDArray[np.float64]:
    """Return sagittal axes of a patient who lies slightly rotated."""
    c, s = np.cos(about_up), np.sin(about_up)
    d, t = np.cos(about_back), np.sin(about_back)
    sagittal = np.array([[-1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
    first = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    second = np.array([[d, 0, t], [0, 1, 0], [-t, 0, d]])
    return np.asarray(sagittal @ first @ second)


def small_volume(voxels: npt.NDArray[np.float32] | None = None) -> Volume:
    if voxels is None:
        voxels = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)
    shape = (voxels.shape[0], voxels.shape[1], voxels.shape[2])
    return Volume(voxels, Grid(shape, (4.4, 0.7, 0.6), (31.0, -140.0, 120.0), turned_axes(0.05, -0.02)))


def read_back(dataset: Dataset) -> Dataset:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return dcmread(buffer)


def modality_values(dataset: Dataset) -> npt.NDArray[np.float64]:
    stored: npt.NDArray[np.float64] = dataset.pixel_array.astype(np.float64)
    return stored * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))


def test_whole_numbers_are_stored_exactly_and_without_a_rescale() -> None:
    volume = small_volume()
    read = [read_back(image) for image in mr_images(volume, FACTS, IDENTITY)]
    assert np.array_equal([image.pixel_array for image in read], volume.voxels)
    assert not any("RescaleSlope" in image for image in read)


@settings(max_examples=share_of(30), deadline=None)
@given(low=st.floats(-1e4, 1e4), width=st.floats(1e-3, 1e6))
def test_other_values_come_back_within_a_step_of_the_storage(low: float, width: float) -> None:
    voxels = np.linspace(low, low + width, 60, dtype=np.float32).reshape(3, 4, 5)
    read = [read_back(image) for image in mr_images(small_volume(voxels), FACTS, IDENTITY)]
    values = np.array([modality_values(image) for image in read])
    precision = float(np.spacing(np.abs(voxels).max())) + width / 65000
    assert np.abs(values - voxels).max() <= 2 * precision


@settings(max_examples=share_of(40), deadline=None)
@given(about_up=ANGLES, about_back=ANGLES, spacing=st.tuples(LENGTHS, LENGTHS, LENGTHS))
def test_every_voxel_lies_where_the_headers_say(
    about_up: float, about_back: float, spacing: tuple[float, float, float]
) -> None:
    """The mapping of DICOM PS3.3 C.7.6.2.1.1 gives the positions of the volume's grid."""
    grid = Grid((3, 4, 5), spacing, (12.5, -80.25, 101.0), turned_axes(about_up, about_back))
    volume = Volume(np.zeros(grid.shape, np.float32), grid)
    for number, image in enumerate(mr_images(volume, FACTS, IDENTITY)):
        read = read_back(image)
        first = np.array(read.ImagePositionPatient, dtype=float)
        along_row, along_column = np.array(read.ImageOrientationPatient, dtype=float).reshape(2, 3)
        between_rows, between_columns = (float(length) for length in read.PixelSpacing)
        row, column = 3, 4
        position = first + along_row * between_columns * column + along_column * between_rows * row
        assert np.allclose(position, grid.to_mm((number, row, column)), atol=1e-4)


def test_slices_follow_each_other_at_the_spacing_they_declare() -> None:
    images = list(mr_images(small_volume(), FACTS, IDENTITY))
    locations = [float(image.SliceLocation) for image in images]
    assert np.allclose(np.diff(locations), float(images[0].SpacingBetweenSlices))


def test_equal_arguments_give_equal_files_and_every_instance_its_own_uid() -> None:
    def files() -> list[bytes]:
        written = []
        for image in mr_images(small_volume(), FACTS, IDENTITY):
            buffer = BytesIO()
            image.save_as(buffer, enforce_file_format=True)
            written.append(buffer.getvalue())
        return written

    assert files() == files()
    uids = {image.SOPInstanceUID for image in mr_images(small_volume(), FACTS, IDENTITY)}
    assert len(uids) == 3
    assert all(UID(uid).is_valid for uid in uids)


def test_what_the_facts_do_not_know_is_not_invented() -> None:
    image = read_back(next(mr_images(small_volume(), AcquisitionFacts(), IDENTITY)))
    assert image.SOPClassUID == MRImageStorage
    assert image.EchoTime is None
    assert image.RepetitionTime is None
    assert "FlipAngle" not in image
    assert "MagneticFieldStrength" not in image


@pytest.mark.peers
@pytest.mark.parametrize(
    "facts",
    [FACTS, AcquisitionFacts(), replace(FACTS, scanning_sequence=("SE", "IR"), inversion_time_ms=150.0)],
    ids=["complete", "empty", "inversion recovery"],
)
def test_dciodvfy_finds_no_error(facts: AcquisitionFacts, tmp_path: Path) -> None:
    checker = peers.program("dciodvfy", "dicom3tools")
    voxels = np.linspace(-3.5, 900.25, 60, dtype=np.float32).reshape(3, 4, 5)
    for number, image in enumerate(mr_images(small_volume(voxels), facts, IDENTITY)):
        path = tmp_path / f"{number}.dcm"
        image.save_as(path, enforce_file_format=True)
        said = peers.run([checker, path])
        assert not [line for line in said.splitlines() if line.startswith("Error")], said
