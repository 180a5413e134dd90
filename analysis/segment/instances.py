"""Separate single vertebral bodies in 3-D from the network's probabilities."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.segment.network import BODY, CANAL, SACRUM

__all__ = ["FoundBodies", "FoundBody", "find_bodies"]

Floats = npt.NDArray[np.float32]

_CORE_DEPTHS_MM = (5.0, 6.5, 8.0)
_SMALLEST_CORE_MM3 = 300.0
_SMALLEST_SECTION_MM2 = 300.0
_ACROSS_SMOOTHING_MM = 1.5
_HALF_WIDTH_MM = 30.0
_OFF_MIDLINE_MM = 14.0


@dataclass(frozen=True, slots=True, eq=False)
class FoundBody:
    """One vertebral body or S1 on the grid of the network.

    Attributes
    ----------
    number : int
        Its label in `FoundBodies.instances`.
    centre_mm : ndarray of shape (3,)
        Centroid along slabs, rows and columns, in mm from the first voxel.
    volume_mm3 : float
        Volume of its mask.
    sacrum : float
        0 to 1, the network's probability of S1 relative to that of body or S1.
    certainty : float
        0 to 1, mean probability of body or S1.
    touches_edge : bool
        Whether it reaches the upper, lower, front or back edge of the image.
    below_mm : float
        How far the image goes on below it.
    """

    number: int
    centre_mm: npt.NDArray[np.float64]
    volume_mm3: float
    sacrum: float
    certainty: float
    touches_edge: bool
    below_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class FoundBodies:
    """The bodies of a volume, and the maps that they were found in.

    Attributes
    ----------
    instances : ndarray of int32, shape (slabs, rows, columns)
        `FoundBody.number` of each voxel, 0 elsewhere.
    found : list of FoundBody
        The bodies from head to foot.
    bone : ndarray of float32, shape (slabs, rows, columns)
        Probability of a vertebral body or S1.
    midline_mm : ndarray of float64, shape (rows,)
        Lateral position of the spine in each row, in mm from the first slab.
    """

    instances: npt.NDArray[np.int32]
    found: list[FoundBody]
    bone: Floats
    midline_mm: npt.NDArray[np.float64]


def find_bodies(
    probabilities: Floats,
    spacing_mm: tuple[float, float, float],
    last_rows: npt.NDArray[np.int64] | None = None,
) -> FoundBodies:
    """Separate vertebral bodies and S1 from each other.

    Parameters
    ----------
    probabilities : ndarray of float32, shape (slabs, classes, rows, columns)
        Output of the network.
    spacing_mm : tuple of float
        Distance between slabs, rows and columns.
    last_rows : ndarray of int64, shape (columns,), optional
        The lowest row of each column that shows an image; all rows do if it is not given.

    Returns
    -------
    FoundBodies
    """
    if last_rows is None:
        last_rows = np.full(probabilities.shape[3], probabilities.shape[2] - 1)
    seen = np.asarray(probabilities[:, BODY] + probabilities[:, SACRUM], dtype=np.float32)
    bone = seen
    if len(bone) > 2:
        # A single slice may miss a body that both of its neighbours show.
        bone = ndimage.gaussian_filter1d(bone, min(0.6, _ACROSS_SMOOTHING_MM / spacing_mm[0]), axis=0)
    middle = _midline(probabilities, spacing_mm)
    lateral = np.arange(len(bone))[:, None] * spacing_mm[0] - middle
    # No lumbar body is wider than 60 mm; farther out the network mistakes psoas for bodies.
    mask = (bone > 0.5) & (np.abs(lateral) <= _HALF_WIDTH_MM)[:, :, None]
    instances = _separated(mask, spacing_mm)
    bodies = [
        body
        for number, box in enumerate(ndimage.find_objects(instances), start=1)
        if box is not None
        and (body := _measured_body(number, box, instances, probabilities, spacing_mm, last_rows=last_rows))
        is not None
        and abs(body.centre_mm[0] - middle[round(body.centre_mm[1] / spacing_mm[1])]) < _OFF_MIDLINE_MM
    ]
    bodies.sort(key=lambda body: float(body.centre_mm[1]))
    kept = np.zeros_like(instances)
    for body in bodies:
        kept[instances == body.number] = body.number
    return FoundBodies(kept, bodies, seen, middle)


def _midline(probabilities: Floats, spacing_mm: tuple[float, float, float]) -> npt.NDArray[np.float64]:
    """Return the lateral position of the spine in each row, in mm from the first slab.

    It follows the canal, or the bodies if little of the canal is visible.
    """
    canal, bone = ((probabilities[:, label] ** 2).sum(axis=2).astype(np.float64) for label in (CANAL, BODY))
    reach = 20.0 / spacing_mm[1]
    weights = np.stack([ndimage.gaussian_filter1d(one, reach, axis=1) for one in (canal, bone)])
    position = np.arange(len(bone)) * spacing_mm[0]
    total = weights.sum(axis=1)
    overall = weights.sum(axis=2)
    courses = []
    for weight, sums, whole in zip(weights, total, overall, strict=True):
        usual = float(position @ whole / max(whole.sum(), 1e-9))
        # Rows that show little fall back to the mean position over all rows.
        courses.append((position @ weight + usual * 0.05) / (sums + 0.05))
    return np.asarray(courses[0] if overall[0].sum() > 50.0 else courses[1])


def _separated(mask: npt.NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> npt.NDArray[np.int32]:
    """Return the number of the body at each voxel of a mask; 0 beside the bodies.

    Only a box around the mask is worked on, which is a tenth of the volume. One background pixel on each side
    is enough for the same distances as in the whole volume.
    """
    instances = np.zeros(mask.shape, np.int32)
    found = ndimage.find_objects(mask.view(np.uint8))
    if found:
        _, *plane = found[0]
        rows, columns = (slice(max(0, one.start - 1), one.stop + 1) for one in plane)
        inner = mask[:, rows, columns]
        instances[:, rows, columns] = _grow(_cores(inner, spacing_mm), inner, spacing_mm)
    return instances


def _cores(mask: npt.NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> npt.NDArray[np.int32]:
    """Label the cores of the bodies: the parts deep inside the mask, without bridges between bodies."""
    voxel = float(np.prod(spacing_mm))
    depth = np.stack([ndimage.distance_transform_edt(one, sampling=spacing_mm[1:]) for one in mask])
    depth = (
        ndimage.gaussian_filter1d(depth, min(1.0, 3.0 / spacing_mm[0]), axis=0) if len(mask) > 2 else depth
    )
    cores = np.zeros(mask.shape, np.int32)
    candidates = [mask & (depth > _CORE_DEPTHS_MM[0])]
    while candidates:
        found, count = ndimage.label(candidates.pop(), structure=np.ones((3, 3, 3)))
        for number, box in enumerate(ndimage.find_objects(found, count), start=1):
            core = found[box] == number
            if core.sum() * voxel < _SMALLEST_CORE_MM3:
                continue
            deeper = _split(core, depth[box], voxel)
            if deeper is None:
                cores[box][core] = cores.max() + 1
            else:
                for part in deeper:
                    cores[box][part] = cores.max() + 1
    return cores


def _split(
    core: npt.NDArray[np.bool_], depth: Floats, voxel_mm3: float
) -> list[npt.NDArray[np.bool_]] | None:
    """Return the parts into which a core falls at greater depth; None if it stays whole."""
    for limit in _CORE_DEPTHS_MM[1:]:
        found, count = ndimage.label(core & (depth > limit), structure=np.ones((3, 3, 3)))
        sizes = ndimage.sum_labels(core, found, np.arange(1, count + 1)) * voxel_mm3
        parts = 1 + np.flatnonzero(sizes > _SMALLEST_CORE_MM3)
        if len(parts) > 1:
            return [found == part for part in parts]
    return None


def _grow(
    cores: npt.NDArray[np.int32], mask: npt.NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> npt.NDArray[np.int32]:
    """Assign every voxel of the mask to the nearest core, except voxels far from all cores."""
    if not cores.any():
        return np.zeros(mask.shape, np.int32)
    distance, nearest = ndimage.distance_transform_edt(cores == 0, sampling=spacing_mm, return_indices=True)
    owner = cores[tuple(nearest)]
    owner[~mask | (distance > 14.0)] = 0
    grown = np.zeros_like(owner)
    for number, box in enumerate(ndimage.find_objects(owner), start=1):
        if box is not None:
            grown[box][_largest(owner[box] == number)] = number
    return np.asarray(grown, dtype=np.int32)


def _largest(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    found, count = ndimage.label(mask)
    if count < 2:
        return mask
    return np.asarray(found == 1 + int(np.argmax(np.bincount(found.ravel())[1:])))


def _measured_body(
    number: int,
    box: tuple[slice, ...],
    instances: npt.NDArray[np.int32],
    probabilities: Floats,
    spacing_mm: tuple[float, float, float],
    *,
    last_rows: npt.NDArray[np.int64],
) -> FoundBody | None:
    slabs, rows, columns = (
        at + along.start for at, along in zip(np.nonzero(instances[box] == number), box, strict=True)
    )
    volume = len(slabs) * float(np.prod(spacing_mm))
    # A body must be visible on at least two slices, unless the volume has only one.
    if volume < _SMALLEST_SECTION_MM2 * min(8.0, len(instances) * spacing_mm[0]):
        return None
    body, sacrum = (float(probabilities[slabs, label, rows, columns].mean()) for label in (BODY, SACRUM))
    centre = np.array([slabs.mean(), rows.mean(), columns.mean()]) * np.asarray(spacing_mm)
    _, height, width = instances.shape
    return FoundBody(
        number=number,
        centre_mm=centre,
        volume_mm3=volume,
        sacrum=sacrum / (body + sacrum),
        certainty=body + sacrum,
        touches_edge=bool(
            min(rows.min(), columns.min()) < 2 or rows.max() > height - 3 or columns.max() > width - 3
        ),
        below_mm=float(np.median(last_rows[columns]) - rows.max()) * spacing_mm[1],
    )
