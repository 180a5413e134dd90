"""Masks from elsewhere (manual, another program, an ONNX model) as segmentations of a volume.

An external mask without probabilities is taken as certain. Volume, shape, agreement between slices, signal
voids and the CSF sample are assessed as for the embedded segmenter.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK

from analysis.domain.reason import Reason
from analysis.domain.segmentation import CRANIAL_TO_CAUDAL, CsfSample, Level, Segmentation
from analysis.domain.volume import Grid, Volume
from analysis.errors import RefusedError
from analysis.itk import to_array, to_image
from analysis.segment.csf import sample_csf
from analysis.segment.embedded import canal_of, on_input
from analysis.segment.instances import FoundBody
from analysis.segment.levels import CERTAIN_FROM
from analysis.segment.network import embedded_network
from analysis.segment.posterior import cut_posterior_elements
from analysis.segment.quality import Shape, measure_shape
from analysis.segment.regions import regions_of, upwards
from analysis.segment.sagittal import SagittalView

__all__ = ["CANAL", "SACRUM", "ExternalMask", "adopt", "on_grid", "on_voxels_of", "with_fluid"]

Labels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

SACRUM, CANAL = 20, 21
"""Labels in addition to `Level`: the whole sacrum, which only confirms the levels, and the spinal canal."""

_OFF_VOXEL = 0.1
"""Largest deviation of a voxel from one of another grid, in voxels; positions in headers are rounded."""

_BEYOND_MM = 0.5
"""Largest distance by which a volume may extend beyond its mask; positions in headers are rounded."""

_DEEPEST_BODY_MM = 55.0
"""Largest depth of a body; a whole lumbar vertebra with its spinous process is 75 mm deep or more."""

_NEAREST_MM, _FARTHEST_MM = 20.0, 55.0
"""Plausible distance between the centres of neighbouring bodies, as in `analysis.segment.levels`."""

_TO_SACRUM_MM = 48.0
"""Largest distance from the centre of L5 to the nearest voxel of the sacrum."""


@dataclass(frozen=True, slots=True, eq=False)
class ExternalMask:
    """A label mask from elsewhere.

    Attributes
    ----------
    labels : ndarray of uint8, shape (slices, rows, columns)
        `Level` values, `SACRUM`, `CANAL`, 0 elsewhere.
    grid : Grid
        Its geometry, which may differ from that of the volume.
    method : str
        Name and version of its source.
    whole_vertebrae : bool
        Whether the levels include posterior elements.
    names_need_sacrum : bool
        Whether a program counted the levels, which is trusted only if it found the sacrum.
    transitional : bool
        Whether it holds a supernumerary vertebra (L6, T13).
    certainty : ndarray of float32 or None
        Probability of each voxel's label on the same grid; None if unknown.
    automatic : bool
        Whether a program made it without a person.
    """

    labels: Labels
    grid: Grid
    method: str
    whole_vertebrae: bool = False
    names_need_sacrum: bool = False
    transitional: bool = False
    certainty: Floats | None = None
    automatic: bool = True


def adopt(mask: ExternalMask, volume: Volume) -> Segmentation:
    """Make an external mask the segmentation of a volume.

    Parameters
    ----------
    mask : ExternalMask
        On any grid that covers the volume.
    volume : Volume
        A sagittal or isotropic series.

    Raises
    ------
    RefusedError
        If the mask does not cover the volume, holds none of L1 to L5, or holds whole vertebrae whose bodies
        cannot be separated from the posterior elements.
    """
    view = SagittalView.of(volume)
    everything = view.from_input(on_grid(mask.labels, mask.grid, volume.grid))
    labels, concerns = _bodies(mask, everything, view)
    if not any((labels == level).any() for level in Level if level.lumbar):
        raise RefusedError(Reason("mask_without_lumbar"), *concerns)
    certainty = None
    if mask.certainty is not None:
        certainty = view.from_input(on_grid(mask.certainty, mask.grid, volume.grid))
    bodies = _measured_bodies(labels, certainty, view)
    shapes = {
        level: measure_shape(labels == level, upwards(level, bodies), view.grid.spacing_mm)
        for level in bodies
    }
    _refuse_whole_vertebrae(shapes)
    confidence, doubts = _judge_names(mask, bodies, everything == SACRUM, view)
    csf, missing = _fluid(everything == CANAL, labels, view)
    return Segmentation(
        labels=view.to_input(labels),
        grid=volume.grid,
        regions=regions_of(labels, bodies, shapes, view.signal, view.grid),
        level_confidence=confidence,
        levels_certain=confidence >= CERTAIN_FROM,
        csf=on_input(csf, view),
        concerns=(*concerns, *doubts, *missing),
        method=mask.method,
        automatic=mask.automatic,
    )


def on_grid(array: npt.NDArray[Any], grid: Grid, wanted: Grid) -> npt.NDArray[Any]:
    """Resample an array to another grid by nearest neighbour.

    Parameters
    ----------
    array : ndarray of shape (slices, rows, columns)
        Labels, or other values that must not be interpolated.
    grid, wanted : Grid
        The grid of the array, and the grid of the result.

    Raises
    ------
    RefusedError
        If `wanted` extends beyond `grid`.
    """
    if grid.matches(wanted):
        return array
    at = grid.to_index(wanted.corners_mm)
    beyond_mm = np.maximum(-0.5 - at, at - (np.asarray(grid.shape) - 0.5)) * np.asarray(grid.spacing_mm)
    if beyond_mm.max() > _BEYOND_MM:
        raise RefusedError(Reason("mask_too_short", missing_mm=float(beyond_mm.max())))
    moved = SimpleITK.Resample(
        to_image(array, grid), to_image(np.zeros(wanted.shape, np.uint8), wanted), SimpleITK.Transform(),
        SimpleITK.sitkNearestNeighbor, 0.0,
    )  # fmt: skip
    return to_array(moved)


def on_voxels_of(grid: Grid, wanted: Grid) -> bool:
    """Tell whether each voxel of `wanted` is one of `grid`, whatever the order of the axes of `grid`."""
    at = grid.to_index(wanted.corners_mm)
    spans = np.ptp(at, axis=0).round().astype(int) + 1
    return bool(np.abs(at - at.round()).max() <= _OFF_VOXEL) and sorted(spans) == sorted(wanted.shape)


def with_fluid(found: Segmentation, volume: Volume) -> Segmentation:
    """Add a sample of fluid to bodies from a mask without a canal: the embedded network finds the canal.

    Parameters
    ----------
    found : Segmentation
        The result of `adopt`; one that has a sample is returned as it is.
    volume : Volume
        The series.
    """
    if found.csf is not None:
        return found
    view = SagittalView.of(volume)
    csf = sample_csf(canal_of(view), view.from_input(found.labels), view.signal, view.grid.spacing_mm)
    return replace(
        found,
        csf=on_input(csf, view),
        concerns=tuple(one for one in found.concerns if csf is None or one.code != "mask_without_canal"),
        method=f"{found.method}, fluid by {embedded_network().name}",
    )


def _bodies(mask: ExternalMask, everything: Labels, view: SagittalView) -> tuple[Labels, tuple[Reason, ...]]:
    """Return the `Level` labels without posterior elements, and the concerns that cutting them raises."""
    labels = np.where(everything <= max(Level), everything, 0).astype(np.uint8)
    if not mask.whole_vertebrae:
        return labels, ()
    labels, lost = cut_posterior_elements(labels, everything == CANAL, view.grid.spacing_mm)
    concerns = [Reason("posterior_cut")]
    if lost:
        names = ", ".join(level.name for level in lost)
        concerns.append(Reason("posterior_not_told", levels=names))
    return labels, tuple(concerns)


def _measured_bodies(labels: Labels, certainty: Floats | None, view: SagittalView) -> dict[Level, FoundBody]:
    bodies = {}
    edge = np.array(labels.shape[1:]) - 1
    for level in CRANIAL_TO_CAUDAL:
        own = labels == level
        voxels = np.argwhere(own)
        if not len(voxels):
            continue
        in_plane = voxels[:, 1:]
        bodies[level] = FoundBody(
            number=int(level),
            centre_mm=voxels.mean(axis=0) * np.asarray(view.grid.spacing_mm),
            volume_mm3=view.grid.volume_ml(own) * 1000.0,
            sacrum=float(level is Level.S1),
            certainty=1.0 if certainty is None else float(certainty[own].mean()),
            touches_edge=bool((in_plane == 0).any() or (in_plane == edge).any()),
            below_mm=float(edge[0] - in_plane[:, 0].max()) * view.grid.spacing_mm[1],
        )
    return bodies


def _refuse_whole_vertebrae(shapes: dict[Level, Shape]) -> None:
    depth_mm = float(np.median([shape.depth_mm for level, shape in shapes.items() if level.lumbar]))
    if depth_mm > _DEEPEST_BODY_MM:
        raise RefusedError(Reason("mask_whole_vertebrae", depth_mm=depth_mm))


def _judge_names(
    mask: ExternalMask, bodies: dict[Level, FoundBody], sacrum: npt.NDArray[np.bool_], view: SagittalView
) -> tuple[float, tuple[Reason, ...]]:
    """Return the confidence that the level names are right, and the concerns about them."""
    confidence, doubts = 1.0, []
    order = [level for level in CRANIAL_TO_CAUDAL if level in bodies]
    for above, below in pairwise(order):
        step = bodies[below].centre_mm - bodies[above].centre_mm
        levels = CRANIAL_TO_CAUDAL.index(below) - CRANIAL_TO_CAUDAL.index(above)
        apart = float(np.linalg.norm(step)) / levels
        if step[1] <= 0:
            confidence *= 0.2
            doubts.append(Reason("mask_order", below=below.name, above=above.name))
        elif not _NEAREST_MM <= apart <= _FARTHEST_MM:
            confidence *= 0.4
            doubts.append(Reason("mask_distance", above=above.name, below=below.name, apart_mm=apart))
    if mask.transitional:
        confidence *= 0.4
        doubts.append(Reason("mask_transitional"))
    if mask.names_need_sacrum and Level.S1 not in bodies and not _rests_on(sacrum, bodies, view):
        confidence *= 0.3
        doubts.append(Reason("mask_without_sacrum"))
    return confidence, tuple(doubts)


def _rests_on(sacrum: npt.NDArray[np.bool_], bodies: dict[Level, FoundBody], view: SagittalView) -> bool:
    """Tell whether the sacrum begins directly below L5."""
    if Level.L5 not in bodies or not sacrum.any():
        return False
    away = np.argwhere(sacrum) * np.asarray(view.grid.spacing_mm) - bodies[Level.L5].centre_mm
    nearest = away[np.argmin(np.linalg.norm(away, axis=1))]
    return bool(np.linalg.norm(nearest) <= _TO_SACRUM_MM and nearest[1] > 0)


def _fluid(
    canal: npt.NDArray[np.bool_], labels: Labels, view: SagittalView
) -> tuple[CsfSample | None, tuple[Reason, ...]]:
    if not canal.any():
        return None, (Reason("mask_without_canal"),)
    return sample_csf(canal.astype(np.float32), labels, view.signal, view.grid.spacing_mm), ()
