"""The segmenter that ships with the package, step by step: network, bodies, levels, quality, CSF."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.reason import Reason
from analysis.domain.segmentation import CsfSample, Level, Segmentation
from analysis.domain.volume import Grid, Volume
from analysis.segment.body_shape import fit_shape, restrain
from analysis.segment.csf import sample_csf
from analysis.segment.instances import FoundBodies, FoundBody, find_bodies
from analysis.segment.levels import Naming, doubted, name_levels
from analysis.segment.locate import rewindow, spine_columns
from analysis.segment.marrow_edge import inward_shifts, moved
from analysis.segment.network import BACKGROUND, CANAL, CLASSES, Network, embedded_network
from analysis.segment.quality import Shape, expected_overlap, measure_shape
from analysis.segment.regions import regions_of, upwards
from analysis.segment.sacrum import looks_mirrored, looks_transitional
from analysis.segment.sagittal import NETWORK_MM, SagittalView, Window

__all__ = ["canal_of", "interpret", "on_input", "segment", "segment_with"]

Floats = npt.NDArray[np.float32]

_BORDER_MM = 3.0

_CANAL_MM = 60.0
"""The canal ends less than this behind the hindmost part of any body."""

_PADDING = 0.005
"""Signal relative to the brightest below which a whole column of slices shows nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class _Anatomy:
    """The bodies on the network's grid."""

    instances: npt.NDArray[np.int32]
    owner: npt.NDArray[np.int32]
    bone: npt.NDArray[np.float32]
    bodies: dict[Level, FoundBody]
    shapes: dict[Level, Shape]
    naming: Naming


def segment(volume: Volume) -> Segmentation:
    """Outline and name the lumbar vertebral bodies of a sagittal or isotropic T1 or T2 series.

    Parameters
    ----------
    volume : Volume
        One series; in-plane orientation does not matter.

    Returns
    -------
    Segmentation
        On the grid of the volume.

    Raises
    ------
    RefusedError
        If the volume is empty, too small, or neither sagittal nor fine enough to be resliced.
    ModelRejectedError
        If the weights are not those that the card describes.
    """
    return segment_with(embedded_network(), volume)


def segment_with(network: Network, volume: Volume) -> Segmentation:
    """Do the same as `segment` with another network."""
    view = SagittalView.of(volume)
    probabilities = _look(network, view)
    mirrored = looks_mirrored(network, view.slices, probabilities)
    seen, canal = _seen(probabilities, view)
    # The largest array of all, of which the rest is not needed any more.
    del probabilities
    return _outlined(seen, canal, view, volume.grid, network.name, mirrored=mirrored)


def canal_of(view: SagittalView) -> Floats:
    """Return the probability of the spinal canal for every voxel of `view.grid`, float32."""
    return view.to_native(_look(embedded_network(), view)[:, CANAL])


def interpret(
    probabilities: Floats, view: SagittalView, grid: Grid, method: str, *, mirrored: bool = False
) -> Segmentation:
    """Turn class probabilities into a segmentation: find, name, assess and outline the bodies.

    Parameters
    ----------
    probabilities : ndarray of float32, shape (slabs, classes, rows, columns)
        On the slices of `view`; classes as in `analysis.segment.network`.
    view : SagittalView
        Sagittal view of the volume.
    grid : Grid
        Grid of the volume.
    method : str
        Name and version of the network.
    mirrored : bool
        Whether the network takes the mirror image for a spine rather than the image.
    """
    return _outlined(*_seen(probabilities, view), view, grid, method, mirrored=mirrored)


def _seen(probabilities: Floats, view: SagittalView) -> tuple[FoundBodies, Floats]:
    """Return the bodies, and the probability of the spinal canal as an array of its own."""
    found = find_bodies(probabilities, view.spacing_mm, _last_rows(view.slices))
    return found, probabilities[:, CANAL].copy()


def _outlined(
    seen: FoundBodies, canal: Floats, view: SagittalView, grid: Grid, method: str, *, mirrored: bool
) -> Segmentation:
    anatomy = _anatomy(seen, view)
    naming = doubted(anatomy.naming, Reason("mirrored")) if mirrored else anatomy.naming
    # Fine volumes have a hundred million voxels, a quarter of them near the spine.
    window = view.window(_near_spine(anatomy.owner))
    labels, signal = _native_labels(anatomy, view, window), view.signal[window]
    regions = regions_of(labels, anatomy.bodies, anatomy.shapes, signal, view.part(window))
    csf = sample_csf(
        view.to_native(canal, window),
        labels,
        signal,
        view.grid.spacing_mm,
        brightest=float(view.signal.max()),
    )
    return Segmentation(
        labels=view.marked_on_input(labels, window),
        grid=grid,
        regions=regions,
        level_confidence=naming.confidence,
        levels_certain=naming.certain,
        csf=None if csf is None else replace(csf, mask=view.marked_on_input(csf.mask, window)),
        concerns=naming.concerns,
        method=method,
    )


def _look(network: Network, view: SagittalView) -> Floats:
    """Return class probabilities, shape (slabs, classes, rows, columns), with background beside the spine."""
    columns = spine_columns(network, rewindow(view.slices), view.spacing_mm[2])
    probabilities = np.zeros((len(view.slices), CLASSES, *view.slices.shape[1:]), np.float32)
    probabilities[:, BACKGROUND] = 1.0
    network.look(rewindow(view.slices[:, :, columns]), probabilities[:, :, :, columns])
    return probabilities


def _last_rows(slices: Floats) -> npt.NDArray[np.int64]:
    """Return the lowest row of each column that is not padding, shape (columns,)."""
    shown = np.any(slices > _PADDING * float(np.percentile(slices, 99)), axis=0)
    return np.asarray(shown.shape[0] - 1 - np.argmax(shown[::-1], axis=0), dtype=np.int64)


def on_input(csf: CsfSample | None, view: SagittalView) -> CsfSample | None:
    """Return a sample on the voxels of `view` in the order of the input's voxels."""
    if csf is None:
        return None
    return CsfSample(view.to_input(csf.mask).astype(np.bool_), csf.quality, csf.concerns)


def _anatomy(seen: FoundBodies, view: SagittalView) -> _Anatomy:
    spacing = view.spacing_mm
    naming = name_levels(seen.found)
    by_number = {body.number: body for body in seen.found}
    bodies = {level: by_number[number] for number, level in naming.levels.items()}
    chain = list(bodies.values())
    if len(chain) > 1 and Level.S1 in bodies and looks_transitional(view.slices, seen, chain, spacing):
        naming = doubted(naming, Reason("transitional"))
    owner = _owners(seen.instances, bodies, spacing)
    solids = {
        body.number: fit_shape(
            level,
            seen.instances == body.number,
            seen.bone,
            upwards=upwards(level, bodies),
            middle_mm=float(seen.midline_mm[round(body.centre_mm[1] / spacing[1])]),
            spacing_mm=spacing,
        )
        for level, body in bodies.items()
        if level is not Level.S1
    }
    bone = restrain(seen.bone, owner, solids, view.slices, spacing)
    offsets = inward_shifts(bone, owner, view.sample, spacing[1])
    bone, believed = moved(bone, offsets), moved(seen.bone, offsets)
    instances = np.where(bone > 0.5, owner, 0).astype(np.int32)
    shapes = {
        level: _shape(instances, body.number, believed, upwards(level, bodies), spacing)
        for level, body in bodies.items()
        if (instances == body.number).any()
    }
    bodies = {level: bodies[level] for level in shapes}
    return _Anatomy(instances, owner, bone, bodies, shapes, naming)


def _shape(
    instances: npt.NDArray[np.int32],
    number: int,
    bone: Floats,
    up: npt.NDArray[np.float64],
    spacing_mm: tuple[float, float, float],
) -> Shape:
    own = instances == number
    expected = expected_overlap(bone, own, (instances > 0) & ~own)
    return replace(measure_shape(own, up, spacing_mm), expected_overlap=expected)


def _owners(
    instances: npt.NDArray[np.int32], bodies: dict[Level, FoundBody], spacing_mm: tuple[float, float, float]
) -> npt.NDArray[np.int32]:
    """Assign each voxel to the nearest named body on the same slab, if that is within `_BORDER_MM`.

    Only the box that reaches so far is worked on; memory and time are those of a tenth of the volume.
    """
    named = np.where(np.isin(instances, [body.number for body in bodies.values()]), instances, 0)
    owners = np.zeros(named.shape, np.int32)
    found = ndimage.find_objects((named > 0).view(np.uint8))
    if not found:
        return owners
    slabs, *plane = found[0]
    margins = (int(np.ceil(_BORDER_MM / step)) for step in spacing_mm[1:])
    rows, columns = (
        slice(max(0, one.start - margin), one.stop + margin)
        for one, margin in zip(plane, margins, strict=True)
    )
    inner = named[slabs, rows, columns]
    distance, nearest = ndimage.distance_transform_edt(
        inner == 0, sampling=(1e3, *spacing_mm[1:]), return_indices=True
    )
    owner = inner[tuple(nearest)]
    owner[distance > _BORDER_MM] = 0
    owners[slabs, rows, columns] = owner
    return owners


def _near_spine(owner: npt.NDArray[np.int32]) -> Window:
    """Return the box of slabs, rows and columns around all bodies and the canal behind them."""
    found = ndimage.find_objects((owner > 0).view(np.uint8))
    if not found:
        return slice(0, 1), slice(0, owner.shape[1]), slice(0, owner.shape[2])
    slabs, rows, columns = found[0]
    margin = round(_BORDER_MM / NETWORK_MM)
    return (
        slice(slabs.start - 1, slabs.stop + 1),
        slice(rows.start - margin, rows.stop + margin),
        slice(columns.start - margin, columns.stop + round(_CANAL_MM / NETWORK_MM)),
    )


def _native_labels(anatomy: _Anatomy, view: SagittalView, window: Window) -> npt.NDArray[np.uint8]:
    """Label the native voxels where the interpolated probability of bone exceeds 0.5, by the nearest body."""
    names = np.zeros(int(anatomy.owner.max()) + 1, np.uint8)
    for level, body in anatomy.bodies.items():
        names[body.number] = level
    labels = view.nearest(names[anatomy.owner], window)
    for own, bone in zip(labels, view.native_slices(anatomy.bone, window), strict=True):
        own[~(bone > 0.5)] = 0
    return labels
