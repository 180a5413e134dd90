"""Read the labels of a DICOM SEG, whatever program wrote it.

References
----------
DICOM PS3.3 A.51 Segmentation IOD; PS3.16 CID 7602, codes of vertebrae.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.sr.codedict import codes
from pydicom.uid import SegmentationStorage

from analysis.domain.reason import Reason
from analysis.domain.segmentation import Level
from analysis.domain.volume import Grid
from analysis.errors import RefusedError
from analysis.segment.external_mask import CANAL, SACRUM
from dicom_templates.codes.concepts import FINDING_SITE_OF

if TYPE_CHECKING:
    from highdicom import Volume
    from highdicom.seg import Segmentation, SegmentDescription

__all__ = ["read_seg", "referenced_series"]

_LABELS = [
    *((code, SACRUM if level is Level.S1 else int(level)) for level, code in FINDING_SITE_OF.items()),
    (codes.SCT.SpinalCanalStructure, CANAL),
    (codes.SCT.VertebralCanal, CANAL),
    (codes.SCT.CerebrospinalFluid, CANAL),
]
"""Segments that are read. PS3.16 has no code for S1 alone, so a sacrum only anchors the level names."""

_LEFT_OUT = [
    codes.SCT.SpinalCord,
    *(getattr(codes.SCT, name) for name in codes.SCT.dir() if "intervertebraldisc" in name.lower()),
    *(getattr(codes.SCT, f"T{number}Vertebra") for number in range(1, 11)),
]
"""Segments that are known and ignored."""


def referenced_series(path: Path) -> str:
    """Return the UID of the series that a SEG refers to; empty if the file is no SEG of a single series."""
    try:
        header = dcmread(
            path, stop_before_pixels=True, specific_tags=["SOPClassUID", "ReferencedSeriesSequence"]
        )
        series = header.get("ReferencedSeriesSequence") or []
        if header.get("SOPClassUID") != SegmentationStorage or len(series) != 1:
            return ""
        return str(series[0].get("SeriesInstanceUID", ""))
    except (InvalidDicomError, AttributeError, EOFError, KeyError, OSError, TypeError, ValueError):
        # A file that cannot be read is the mask of no series; the series is then refused for having none.
        return ""


def read_seg(path: Path, frame_of_reference_uid: str, wanted: Grid) -> tuple[npt.NDArray[np.uint8], Grid]:
    """Read the labels of a SEG.

    Parameters
    ----------
    path : Path
        A DICOM SEG.
    frame_of_reference_uid : str
        Frame of Reference UID of the series, which the SEG must share.
    wanted : Grid
        Grid of the series. A SEG leaves out empty slices (PS3.3 C.8.20.2), so its grid is extended by slices
        until it covers this one.

    Returns
    -------
    labels : ndarray of uint8, shape (slices, rows, columns)
        `Level` values, `SACRUM`, `CANAL`, 0 elsewhere.
    grid : Grid
        Grid of the labels.

    Raises
    ------
    RefusedError
        If the SEG is damaged, has another frame of reference, or holds segments of unknown meaning or
        vertebrae that overlap.
    """
    from highdicom.seg import segread

    try:
        seg = segread(path)
    except (AttributeError, EOFError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise RefusedError(Reason("seg_damaged", kind=type(error).__name__)) from error
    if seg.get("FrameOfReferenceUID") != frame_of_reference_uid:
        raise RefusedError(Reason("seg_elsewhere"))
    label_of_segment = _recognise(seg)
    labels: npt.NDArray[np.uint8] | None = None
    grid = wanted
    for number, label in label_of_segment.items():
        volume = _segment_volume(seg, number)
        own = np.asarray(volume.array)[..., 0] >= 0.5
        if labels is None:
            labels, grid = np.zeros(own.shape, np.uint8), _grid_of(volume)
        if label <= max(Level) and ((labels > 0) & (labels <= max(Level)) & own).any():
            raise RefusedError(Reason("seg_overlap"))
        # Where a vertebra and the canal overlap, the vertebra takes precedence.
        labels[own if label <= max(Level) else own & (labels == 0)] = label
    if labels is None:
        raise RefusedError(Reason("seg_empty"))
    return _extended(labels, grid, wanted)


def _recognise(seg: "Segmentation") -> dict[int, int]:
    """Return the label of each known segment by segment number; refuse the SEG if one is unknown."""
    found, unknown = {}, []
    for number in seg.segment_numbers:
        description = seg.get_segment_description(number)
        coded = _codes_of(description)
        label = next((label for code, label in _LABELS if code in coded), None)
        if label is not None:
            found[number] = label
        elif not any(code in coded for code in _LEFT_OUT):
            unknown.append(f"{number} ({description.segmented_property_type.meaning})")
    if unknown:
        raise RefusedError(Reason("seg_level_unknown", segments=", ".join(unknown[:10])))
    levels = [label for label in found.values() if label <= max(Level)]
    if len(set(levels)) < len(levels):
        raise RefusedError(Reason("seg_level_twice"))
    return found


def _codes_of(description: "SegmentDescription") -> list[object]:
    """Return the codes that may name the vertebra: the property type and the anatomic regions."""
    regions = description.get("AnatomicRegionSequence") or []
    from highdicom.sr.coding import CodedConcept

    return [
        description.segmented_property_type,
        *(CodedConcept.from_dataset(one, copy=True) for one in regions),
    ]


def _segment_volume(seg: "Segmentation", number: int) -> "Volume":
    try:
        return seg.get_volume(segment_numbers=[number], rescale_fractional=True)
    except (RuntimeError, ValueError, KeyError) as error:
        raise RefusedError(Reason("seg_uneven")) from error


def _grid_of(volume: "Volume") -> Grid:
    affine = np.asarray(volume.affine, dtype=np.float64)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    slices, rows, columns = np.asarray(volume.array).shape[:3]
    left, back, up = affine[:3, 3].tolist()
    across, down, along = spacing.tolist()
    return Grid(
        (slices, rows, columns), (across, down, along), (left, back, up), (affine[:3, :3] / spacing).T
    )


def _extended(labels: npt.NDArray[np.uint8], grid: Grid, wanted: Grid) -> tuple[npt.NDArray[np.uint8], Grid]:
    """Add empty slices on both sides until the slices of `wanted` are covered."""
    at = grid.to_index(wanted.corners_mm)[:, 0]
    before = max(0, int(np.ceil(-0.5 - at.min())))
    after = max(0, int(np.ceil(at.max() - (grid.shape[0] - 0.5))))
    padded = np.pad(labels, ((before, after), (0, 0), (0, 0)))
    left, back, up = grid.to_mm([-before, 0, 0]).tolist()
    shape = (grid.shape[0] + before + after, grid.shape[1], grid.shape[2])
    return padded, Grid(shape, grid.spacing_mm, (left, back, up), grid.axes)
