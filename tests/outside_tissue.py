"""Changes of everything outside the bodies, for tests and benchmarks of what radiomics may depend on."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.segmentation import Segmentation
from analysis.domain.volume import Volume

__all__ = ["CHANGES", "changed_outside"]

_Voxels = npt.NDArray[np.float32]


def _noise(voxels: _Voxels) -> _Voxels:
    drawn = np.random.default_rng(0).normal(voxels.mean(), voxels.std(), voxels.shape)
    return np.abs(drawn).astype(np.float32)


CHANGES: dict[str, Callable[[_Voxels], _Voxels]] = {
    "darkened": lambda voxels: voxels * np.float32(0.1),
    "brightened": lambda voxels: voxels * np.float32(3.0),
    "noise": _noise,
    "other tissue": lambda voxels: np.roll(voxels, voxels.shape[2] // 3, axis=2),
    "nothing": lambda voxels: np.full_like(voxels, voxels.max()),
}
"""By name, what makes other voxels of those of an image; "nothing" leaves one bright value."""


def changed_outside(
    volume: Volume, segmentation: Segmentation, change: str, *, beyond_mm: float = 0.0
) -> Volume:
    """Change all voxels beyond a distance from the usable lumbar bodies, but never the sample of the CSF.

    Parameters
    ----------
    volume, segmentation : Volume, Segmentation
        A series; the sample of its CSF is the reference of signals, which is no tissue that is measured.
    change : str
        A key of `CHANGES`.
    beyond_mm : float
        Distance in space beyond which voxels are changed; 0 changes all that is outside.

    Returns
    -------
    Volume
        On the same grid.
    """
    bodies = np.isin(segmentation.labels, [region.level for region in segmentation.usable_lumbar])
    outside = ~bodies
    if beyond_mm > 0:
        distance_mm = ndimage.distance_transform_edt(outside, sampling=volume.grid.spacing_mm)
        outside = distance_mm > beyond_mm
    if segmentation.csf is not None:
        outside &= ~segmentation.csf.mask
    return Volume(np.where(outside, CHANGES[change](volume.voxels), volume.voxels), volume.grid)
