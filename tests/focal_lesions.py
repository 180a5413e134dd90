"""Signal of lesions painted into real or simulated vertebral bodies."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.volume import Volume

__all__ = ["LESIONS", "PaintedLesion", "painted"]

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PaintedLesion:
    """One kind of lesion.

    Attributes
    ----------
    factors : mapping of str to float
        Signal relative to the marrow, on "T1" and "T2".
    band : float
        Share of the height of the body, from one endplate; 0 for a round lesion, 1 for the whole body.
    diameter_mm : float
        Of a round lesion.
    """

    factors: Mapping[str, float]
    band: float = 0.0
    diameter_mm: float = 0.0


LESIONS: Mapping[str, PaintedLesion] = {
    "Modic I": PaintedLesion({"T1": 0.6, "T2": 1.6}, band=0.4),
    "Modic II": PaintedLesion({"T1": 1.6, "T2": 1.4}, band=0.4),
    "Modic II, thin": PaintedLesion({"T1": 1.6, "T2": 1.4}, band=0.3),
    "Modic III": PaintedLesion({"T1": 0.5, "T2": 0.5}, band=0.35),
    "haemangioma 12 mm": PaintedLesion({"T1": 1.5, "T2": 1.8}, diameter_mm=12.0),
    "haemangioma 18 mm": PaintedLesion({"T1": 1.5, "T2": 1.8}, diameter_mm=18.0),
    "fat island 8 mm": PaintedLesion({"T1": 1.7, "T2": 1.5}, diameter_mm=8.0),
    "fat island 10 mm, faint": PaintedLesion({"T1": 1.4, "T2": 1.3}, diameter_mm=10.0),
    "metastasis 10 mm": PaintedLesion({"T1": 0.5, "T2": 1.6}, diameter_mm=10.0),
    "metastasis 15 mm": PaintedLesion({"T1": 0.5, "T2": 1.6}, diameter_mm=15.0),
    "metastasis 10 mm, sclerotic": PaintedLesion({"T1": 0.4, "T2": 0.4}, diameter_mm=10.0),
    "oedema, half": PaintedLesion({"T1": 0.6, "T2": 1.5}, band=0.55),
    "oedema, whole": PaintedLesion({"T1": 0.5, "T2": 1.8}, band=1.0),
}


def painted(
    volume: Volume,
    labels: npt.NDArray[np.uint8],
    level: int,
    lesion: tuple[str, str],
    rng: np.random.Generator,
) -> Volume:
    """Return the image with one lesion in one body.

    A round lesion lies within 6 mm of the middle of the body where it is seen best, clear of its edge.

    Parameters
    ----------
    volume : Volume
        The image.
    labels : ndarray of uint8, shape (slices, rows, columns)
        Its bodies.
    level : int
        The body.
    lesion : tuple of str
        Key of `LESIONS`, and "T1" or "T2".
    rng : Generator
        Draws the side of a band and the place of a round lesion.
    """
    kind, contrast = lesion
    painting, spacing = LESIONS[kind], np.array(volume.grid.spacing_mm)
    box = ndimage.find_objects((labels == level).astype(np.uint8))[0]
    body = labels[box] == level
    place = np.moveaxis(np.indices(body.shape), 0, -1) * spacing
    upper = bool(rng.random() < 0.5)
    if painting.band:
        inside = body & _band(body, upper=upper, share=painting.band)
    else:
        centre = place[body].mean(axis=0) + rng.uniform(-1.0, 1.0, 3) * (3.0, 6.0, 6.0)
        centre[2] -= 3.0  # of the vein's entry
        inside = body & (np.linalg.norm(place - centre, axis=-1) < painting.diameter_mm / 2)
    soft = ndimage.gaussian_filter(inside.astype(np.float64), 0.5 / spacing) * body
    if painting.band:
        soft = np.where(inside, np.maximum(soft, 0.9), soft)
    voxels = volume.voxels.copy()
    voxels[box] *= 1.0 + (painting.factors[contrast] - 1.0) * soft
    return Volume(voxels, volume.grid)


def _band(body: Mask, *, upper: bool, share: float) -> Mask:
    """Return the part of the body within a share of its height from one endplate, column by column."""
    count = body.cumsum(axis=1) if upper else body[:, ::-1].cumsum(axis=1)[:, ::-1]
    return np.asarray(count <= share * body.sum(axis=1, keepdims=True))
