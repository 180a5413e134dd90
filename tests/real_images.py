"""Real lumbar MR for the tests, if it is present beside the repository, of which it is no part."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK

from analysis.domain.acquisition import AcquisitionFacts
from analysis.domain.segmentation import Level
from analysis.domain.volume import Grid, Volume
from tests.peers import shared_data

__all__ = ["RealCase", "chu_case"]

_CHU_LEVELS = {1: Level.L5, 2: Level.L4, 3: Level.L3, 4: Level.L2, 5: Level.L1, 6: Level.T12, 7: Level.T11}


@dataclass(frozen=True, slots=True, eq=False)
class RealCase:
    """One real series with its manual masks.

    Attributes
    ----------
    volume : Volume
        The image, sagittal slices first.
    labels : ndarray of uint8, shape (slices, rows, columns)
        `Level` values.
    facts : AcquisitionFacts
        Only T2 TSE at 1.5 T is known; the other values are typical for it.
    """

    volume: Volume
    labels: npt.NDArray[np.uint8]
    facts: AcquisitionFacts

    def positions_mm(self, level: Level) -> npt.NDArray[np.float64]:
        """Return the LPS positions of all voxels of a vertebral body, of shape (n, 3)."""
        return self.volume.grid.to_mm(np.argwhere(self.labels == level))


def chu_case(number: int) -> RealCase:
    """Return one of eight T2 TSE of 1.5 T with vertebral bodies in 3-D (Chu et al. 2015, Zenodo 22304).

    Its NIfTI axes run to the left, down and back, so the reverse of SimpleITK's array order gives sagittal
    slices, rows and columns.
    """
    image = SimpleITK.ReadImage(str(shared_data("chu_t2", f"case{number:02d}_t2.nii.gz")))
    label = SimpleITK.ReadImage(str(shared_data("chu_t2", f"case{number:02d}_label.nii.gz")))
    voxels = SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0).astype(np.float32)
    truth = SimpleITK.GetArrayFromImage(label).transpose(2, 1, 0)
    labels = np.zeros(truth.shape, dtype=np.uint8)
    for value, level in _CHU_LEVELS.items():
        labels[truth == value] = level
    slices, rows, columns = voxels.shape
    grid = Grid(
        shape=(slices, rows, columns),
        spacing_mm=image.GetSpacing(),
        origin_mm=image.GetOrigin(),
        axes=np.asarray(image.GetDirection(), dtype=np.float64).reshape(3, 3).T,
    )
    facts = AcquisitionFacts(
        repetition_time_ms=4000,
        echo_time_ms=100,
        echo_train_length=17,
        field_strength_t=1.5,
        scanning_sequence=("SE",),
        sequence_variant=("SK", "SP"),
        image_type=("ORIGINAL", "PRIMARY", "M"),
        acquisition_type="2D",
        series_description="T2 TSE sag",
        slice_thickness_mm=2.0,
        slice_spacing_mm=2.0,
        rows=rows,
        columns=columns,
        slices=slices,
    )
    return RealCase(Volume(np.ascontiguousarray(voxels), grid), labels, facts)
