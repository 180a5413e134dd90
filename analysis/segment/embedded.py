"""The segmenter that ships with the package, in reading order: network, bodies, names, quality, fluid."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.segmentation import CsfSample, Level, Region, Segmentation
from analysis.domain.volume import Volume
from analysis.segment.csf import sample_csf
from analysis.segment.instances import Body, find_bodies
from analysis.segment.levels import Naming, name_levels
from analysis.segment.locate import rewindow, spine_columns
from analysis.segment.network import BACKGROUND, BODY, CANAL, SACRUM, Network, embedded_network
from analysis.segment.quality import Shape, judge, measure_shape
from analysis.segment.sagittal import SagittalView

__all__ = ["segment", "segment_with"]

_CRANIAL_TO_CAUDAL = (
    Level.T11, Level.T12, Level.L1, Level.L2, Level.L3, Level.L4, Level.L5, Level.S1,
)  # fmt: skip
_BORDER_MM = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class _Anatomy:
    """What was found on the network's grid."""

    instances: npt.NDArray[np.int32]
    bodies: dict[Level, Body]
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
        On the volume's own grid. Doubt is told by qualities, confidence and concerns.

    Raises
    ------
    RefusedError
        If the volume is empty, too small, or neither sagittal nor fine enough to be cut anew.
    ModelRejectedError
        If the weights are not those that the card describes.
    """
    return segment_with(embedded_network(), volume)


def segment_with(network: Network, volume: Volume) -> Segmentation:
    """Do as `segment` does, with a given network."""
    view = SagittalView.of(volume)
    probabilities = _look(network, view)
    anatomy = _anatomy(probabilities, view)
    labels = _native_labels(probabilities, anatomy, view)
    regions = _regions(labels, anatomy, view)
    csf = sample_csf(view.to_native(probabilities[:, CANAL]), labels, view.signal, view.grid.spacing_mm)
    return Segmentation(
        labels=view.to_input(labels).astype(np.uint8),
        grid=volume.grid,
        regions=regions,
        level_confidence=anatomy.naming.confidence,
        levels_certain=anatomy.naming.certain,
        csf=_on_input(csf, view),
        concerns=anatomy.naming.concerns,
        method=network.name,
    )


def _look(network: Network, view: SagittalView) -> npt.NDArray[np.float32]:
    """Class probabilities of shape (slabs, classes, rows, columns); background beside the spine."""
    columns = spine_columns(network, rewindow(view.slices), view.spacing_mm[2])
    inner = network.probabilities(rewindow(view.slices[:, :, columns]))
    probabilities = np.zeros((len(inner), inner.shape[1], *view.slices.shape[1:]), np.float32)
    probabilities[:, BACKGROUND] = 1.0
    probabilities[:, :, :, columns] = inner
    return probabilities


def _on_input(csf: CsfSample | None, view: SagittalView) -> CsfSample | None:
    if csf is None:
        return None
    return CsfSample(view.to_input(csf.mask).astype(np.bool_), csf.quality, csf.concerns)


def _anatomy(probabilities: npt.NDArray[np.float32], view: SagittalView) -> _Anatomy:
    instances, found = find_bodies(probabilities, view.spacing_mm)
    naming = name_levels(found)
    by_number = {body.number: body for body in found}
    bodies = {level: by_number[number] for number, level in naming.levels.items()}
    shapes = {
        level: measure_shape(instances == body.number, _upwards(level, bodies), view.spacing_mm)
        for level, body in bodies.items()
    }
    return _Anatomy(instances, bodies, shapes, naming)


def _upwards(level: Level, bodies: dict[Level, Body]) -> npt.NDArray[np.float64]:
    """Direction (rows, columns) from the lower neighbour of a body to the upper one."""
    order = [one for one in _CRANIAL_TO_CAUDAL if one in bodies]
    at = order.index(level)
    above, below = order[max(0, at - 1)], order[min(len(order) - 1, at + 1)]
    step = bodies[above].centre_mm[1:] - bodies[below].centre_mm[1:]
    length = float(np.hypot(*step))
    return np.asarray(step / length if length else np.array([-1.0, 0.0]))


def _native_labels(
    probabilities: npt.NDArray[np.float32], anatomy: _Anatomy, view: SagittalView
) -> npt.NDArray[np.uint8]:
    """Outline on the native voxels where the interpolated probability says so, named by the nearest body."""
    names = np.zeros(int(anatomy.instances.max()) + 1, np.uint8)
    for level, body in anatomy.bodies.items():
        names[body.number] = level
    named = names[anatomy.instances]
    if not named.any():
        return np.zeros(view.grid.shape, np.uint8)
    distance, nearest = ndimage.distance_transform_edt(
        named == 0, sampling=(1e3, *view.spacing_mm[1:]), return_indices=True
    )
    owner = named[tuple(nearest)]
    owner[distance > _BORDER_MM] = 0
    bone = view.to_native(probabilities[:, BODY] + probabilities[:, SACRUM])
    return np.asarray(np.where(bone > 0.5, view.nearest(owner), 0), dtype=np.uint8)


def _regions(labels: npt.NDArray[np.uint8], anatomy: _Anatomy, view: SagittalView) -> tuple[Region, ...]:
    typical = float(np.median(view.signal[labels > 0])) if labels.any() else 0.0
    regions = []
    for level in _CRANIAL_TO_CAUDAL:
        own = labels == level
        if not own.any():
            continue
        verdict = judge(level, anatomy.bodies[level], anatomy.shapes, view.signal[_filled(own)], typical)
        centre = view.grid.to_mm(np.argwhere(own).mean(axis=0))
        regions.append(
            Region(
                level=level,
                volume_ml=float(own.sum()) * view.grid.voxel_ml,
                centre_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
                quality=verdict.quality,
                usable=verdict.usable,
                concerns=verdict.concerns,
            )
        )
    return tuple(regions)


def _filled(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.stack([ndimage.binary_fill_holes(one) if one.any() else one for one in mask])
