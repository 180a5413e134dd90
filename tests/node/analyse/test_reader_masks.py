"""Masks that readers drew: which are taken, and which are refused with a reason."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import SeriesInput
from analysis.domain.segmentation import Level, Segmentation
from analysis.domain.volume import Grid
from analysis.errors import RefusedError
from analysis.itk import write
from analysis.segment import Segmenter
from analysis.segment.external_mask import CANAL, SACRUM
from analysis.settings import SegmentationSettings
from node.analyse.segmenters.reader_masks import readers_segmenter
from tests.analysis.spine_scene import spine_scene

SCENE = spine_scene()
GRID = SCENE.volume.grid
SOURCE = SeriesInput("1.2.3.4", None, SCENE.volume, "digest", frame_of_reference="1.2.3.5")  # type: ignore[arg-type]
SETTINGS = SegmentationSettings(labels=(*SegmentationSettings().labels, ("canal", 9)))
LABELS = SCENE.labels()
WHOLE = np.where(LABELS == CANAL, 9, np.where(LABELS == SACRUM, 0, LABELS)).astype(np.uint8)


def never(_source: SeriesInput, _contrast: Contrast) -> Segmentation:
    raise AssertionError("no reader outlined this")


def outlined(path: Path | None, otherwise: Segmenter = never) -> Segmentation:
    return readers_segmenter({"T1": path}, SETTINGS, otherwise)(SOURCE, Contrast.T1)


def turned(labels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], Grid]:
    """Return the same mask as another program may save it: other order and direction of axes."""
    origin = GRID.to_mm([0, GRID.shape[1] - 1, 0])
    return np.ascontiguousarray(labels[:, ::-1].transpose(2, 1, 0)), Grid(
        (GRID.shape[2], GRID.shape[1], GRID.shape[0]),
        (GRID.spacing_mm[2], GRID.spacing_mm[1], GRID.spacing_mm[0]),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        np.stack([GRID.axes[2], -GRID.axes[1], GRID.axes[0]]),
    )


def test_a_mask_is_the_same_however_its_axes_are_stored(tmp_path: Path) -> None:
    write(tmp_path / "a.nii.gz", WHOLE, GRID)
    write(tmp_path / "b.nii.gz", *turned(WHOLE))
    first, second = outlined(tmp_path / "a.nii.gz"), outlined(tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(first.labels, np.where(max(Level) >= LABELS, LABELS, 0))
    np.testing.assert_array_equal(first.labels, second.labels)
    assert not first.automatic


def test_a_sequence_without_a_column_is_outlined_as_configured_and_an_empty_cell_is_not() -> None:
    chosen = readers_segmenter({"T2": None}, SETTINGS, never)
    with pytest.raises(AssertionError, match="no reader"):
        chosen(SOURCE, Contrast.T1)
    with pytest.raises(RefusedError, match="names no mask of T2"):
        chosen(SOURCE, Contrast.T2)


LEFT, BACK, UP = GRID.origin_mm
SLICES, ROWS, COLUMNS = GRID.spacing_mm
MOVED = replace(GRID, origin_mm=(LEFT, BACK + 0.4 * ROWS, UP))
FINER = replace(GRID, spacing_mm=(SLICES, ROWS * 1.02, COLUMNS))
BESIDE = replace(GRID, origin_mm=(LEFT + 3 * SLICES, BACK, UP))
SHORT = replace(GRID, shape=WHOLE[:-2].shape)


@pytest.mark.parametrize(
    ("labels", "grid", "reason"),
    [
        pytest.param(WHOLE, MOVED, "other voxels", id="between the voxels"),
        pytest.param(WHOLE, FINER, "other voxels", id="another spacing"),
        pytest.param(WHOLE, BESIDE, "does not cover", id="beside the series"),
        pytest.param(WHOLE[:-2], SHORT, "does not cover", id="cut"),
        pytest.param(np.zeros_like(WHOLE), GRID, "none of L1 to L5", id="empty"),
        pytest.param(WHOLE + 100, GRID, "does not name", id="other labels"),
        pytest.param(WHOLE + np.float32(0.5), GRID, "fractions", id="probabilities"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(
    labels: npt.NDArray[np.uint8], grid: Grid, reason: str, tmp_path: Path
) -> None:
    write(tmp_path / "mask.nii.gz", labels, grid)
    with pytest.raises(RefusedError, match=reason):
        outlined(tmp_path / "mask.nii.gz")
