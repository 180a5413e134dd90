"""The pack holds every slice on one pixel size, with its labels unchanged but for that."""

from pathlib import Path

import numpy as np
import pytest

from analysis.segment.training.pack import PACKED_MM, Packed, pack, unpack
from analysis.segment.training.truth import BACKSPINE, BACKSPINE_MM, BODY, SPIDER, SPIDER_MM, read_cases
from tests.analysis.segment.training.midline import COLUMNS, ROWS, write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Packed]:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    pack(folder, folder / "packed" / "slices.npz")
    return folder, unpack(folder / "packed" / "slices.npz")


def test_every_slice_keeps_its_patient_source_and_side_of_the_split(data: tuple[Path, Packed]) -> None:
    folder, packed = data
    cases = list(read_cases(folder))
    told = [(number, case.source, case.held_out) for number, case in enumerate(cases) for _ in case.images]
    assert list(zip(packed.patient, packed.source, packed.held_out, strict=True)) == told
    np.testing.assert_array_equal(packed.complete, packed.source == SPIDER)
    assert not packed.repainted.any()


def test_slices_are_resampled_to_one_pixel_size(data: tuple[Path, Packed]) -> None:
    folder, packed = data
    finest = max(BACKSPINE_MM, SPIDER_MM) / PACKED_MM
    assert packed.images.shape == packed.labels.shape
    assert packed.images.shape[1:] == (round(ROWS * finest), round(COLUMNS * finest))
    truth = [label for case in read_cases(folder) for label in case.labels]
    for packed_label, label, source in zip(packed.labels, truth, packed.source, strict=True):
        assert set(np.unique(packed_label)) <= set(np.unique(label)) | {0}
        pixel_mm = BACKSPINE_MM if source == BACKSPINE else SPIDER_MM
        area = (packed_label == BODY).sum() * PACKED_MM**2
        assert area == pytest.approx((label == BODY).sum() * pixel_mm**2, rel=0.03)


def test_jpeg_keeps_the_brightness_of_the_bodies(data: tuple[Path, Packed]) -> None:
    _, packed = data
    assert packed.images[packed.labels == BODY].mean() == pytest.approx(150, abs=3)
