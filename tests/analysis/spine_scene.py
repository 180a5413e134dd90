"""A lumbar spine of boxes with arches, canal and sacrum, for tests of external masks."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.domain.segmentation import Level
from analysis.domain.volume import Grid, Volume
from analysis.segment.external_mask import CANAL, SACRUM

LUMBAR = (Level.L1, Level.L2, Level.L3, Level.L4, Level.L5)
SAGITTAL_AXES = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])

_HEIGHT, _STEP, _TOP = 27, 36, 8
_FRONT, _WALL, _CANAL_END, _SPINE_END = 30, 64, 80, 104
_SACRAL_OFFSET = 16


@dataclass(frozen=True)
class Scene:
    """The image and the structures in it.

    Attributes
    ----------
    volume : Volume
        Fluid 200, marrow 90 to 110, the rest 40, with noise.
    bodies : ndarray of uint8
        `Level` values of L1 to L5.
    vertebrae : ndarray of uint8
        The same with pedicles, laminae and spinous processes.
    canal, sacrum : ndarray of bool
        What their names say.
    """

    volume: Volume
    bodies: npt.NDArray[np.uint8]
    vertebrae: npt.NDArray[np.uint8]
    canal: npt.NDArray[np.bool_]
    sacrum: npt.NDArray[np.bool_]

    def labels(self, *, whole: bool = False) -> npt.NDArray[np.uint8]:
        """Return the labels of all structures, as for `ExternalMask`."""
        labels = (self.vertebrae if whole else self.bodies).copy()
        labels[self.canal] = CANAL
        labels[self.sacrum] = SACRUM
        return labels


def spine_scene(seed: int = 1) -> Scene:
    shape = (13, 230, 130)
    grid = Grid(shape, (4.0, 1.0, 1.0), (-24.0, -65.0, 115.0), SAGITTAL_AXES)
    bodies, vertebrae = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    canal, sacrum = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    canal[4:9, :, _WALL:_CANAL_END] = True
    for place, level in enumerate(LUMBAR):
        top = _TOP + place * _STEP
        rows = slice(top, top + _HEIGHT)
        bodies[1:12, rows, _FRONT:_WALL] = level
        vertebrae[bodies == level] = level
        for pedicle in (3, 9):
            vertebrae[pedicle, top : top + 12, _WALL:_CANAL_END] = level
        vertebrae[3:10, top + 12 : top + _HEIGHT + 6, _CANAL_END : _CANAL_END + 6] = level
        vertebrae[6, top + 14 : top + _HEIGHT + 6, _CANAL_END:_SPINE_END] = level
    # S1 lies behind L5, as far as in the median patient, and is smaller.
    top = _TOP + 5 * _STEP
    sacrum[2:11, top : top + 28, _FRONT + _SACRAL_OFFSET : _WALL + _SACRAL_OFFSET] = True
    canal &= ~sacrum
    signal = np.random.default_rng(seed).normal(40.0, 4.0, shape)
    signal[vertebrae > 0] += 50.0 + 4.0 * vertebrae[vertebrae > 0]
    signal[canal] += 160.0
    return Scene(Volume(signal.astype(np.float32), grid), bodies, vertebrae, canal, sacrum)


def dice(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    return 2.0 * float((one & other).sum()) / float(one.sum() + other.sum())
