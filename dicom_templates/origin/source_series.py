"""The images of an analysed series: one reference per slice, for classic and enhanced MR objects alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from analysis.domain.findings import SeriesFindings
from dicom_templates.origin.grey_scale import GreyScale, grey_scale_of
from dicom_templates.origin.uids import derive_uid

__all__ = ["ImageReference", "SourceSeries", "check_images", "instance_item", "source_series"]


@dataclass(frozen=True, slots=True)
class ImageReference:
    """Reference to the image of one slice.

    Attributes
    ----------
    sop_class_uid, sop_instance_uid : str
        Of the object that holds it.
    frame : int or None
        Frame number from 1; None for a single-frame object.
    position : tuple of str
        ImagePositionPatient as the source writes it, in mm.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frame: int | None
    position: tuple[str, str, str]


@dataclass(frozen=True, slots=True, eq=False)
class SourceSeries:
    """Identifiers and geometry of an analysed series, in the words of its headers.

    Attributes
    ----------
    header : Dataset
        Of its first image; patient and study are copied from it.
    series_uid : str
        Series Instance UID.
    frame_of_reference_uid : str
        Derived from the Series Instance UID if the source has none, contrary to the Standard.
    images : tuple of ImageReference
        One per slice of the volume, in its order.
    orientation : tuple of str
        ImageOrientationPatient.
    pixel_spacing_mm : tuple of str
        Between rows, between columns.
    thickness_mm : str
        SliceThickness.
    spacing_mm : float
        Between slice centres.
    grey_scales : tuple of GreyScale
        How each of `images` is shown.
    """

    header: Dataset
    series_uid: str
    frame_of_reference_uid: str
    images: tuple[ImageReference, ...]
    orientation: tuple[str, ...]
    pixel_spacing_mm: tuple[str, str]
    thickness_mm: str
    spacing_mm: float
    grey_scales: tuple[GreyScale, ...]


def source_series(found: SeriesFindings, headers: Sequence[Dataset]) -> SourceSeries:
    """Find the image of each slice of an analysed volume.

    Parameters
    ----------
    found : SeriesFindings
        The series.
    headers : sequence of Dataset
        Of its objects, without pixel data; if `found.source.frames` is given, one header for each frame.

    Returns
    -------
    SourceSeries

    Raises
    ------
    ValueError
        If a slice of the volume has no image.
    """
    grid = found.source.volume.grid
    candidates = _candidates(headers, found.source.frames)
    positions = np.array([[float(x) for x in frame.reference.position] for frame in candidates])
    nearest = [_nearest(positions, grid.to_mm([n, 0, 0]), grid.spacing_mm[0]) for n in range(grid.shape[0])]
    first = candidates[nearest[0]]
    header = headers[0]
    series_uid = found.source.series_uid
    images = tuple(candidates[n].reference for n in nearest)
    by_uid = {str(one.SOPInstanceUID): one for one in headers}
    return SourceSeries(
        header=header,
        series_uid=series_uid,
        frame_of_reference_uid=str(
            header.get("FrameOfReferenceUID") or derive_uid("frame of reference", series_uid)
        ),
        images=images,
        orientation=first.orientation,
        pixel_spacing_mm=first.pixel_spacing_mm,
        thickness_mm=first.thickness_mm or _as_written(grid.spacing_mm[0]),
        spacing_mm=grid.spacing_mm[0],
        grey_scales=tuple(grey_scale_of(by_uid[one.sop_instance_uid], one.frame) for one in images),
    )


def check_images(headers: Sequence[Dataset], frames: Sequence[int]) -> None:
    """Read from the headers of a series what `source_series` reads.

    Raises
    ------
    Exception
        Whatever `source_series` would raise.
    """
    _candidates(headers, frames)


def instance_item(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Write a reference to an object as an item of a sequence (PS3.3 table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item


@dataclass(frozen=True, slots=True)
class _SourceFrame:
    reference: ImageReference
    orientation: tuple[str, ...]
    pixel_spacing_mm: tuple[str, str]
    thickness_mm: str


def _candidates(headers: Sequence[Dataset], numbers: Sequence[int]) -> list[_SourceFrame]:
    """List the images that slices may come from: the frames of the given numbers, or all images."""
    if numbers:
        return [_numbered_frame(header, number) for header, number in zip(headers, numbers, strict=True)]
    found = []
    for header in headers:
        if "PerFrameFunctionalGroupsSequence" in header:
            count = len(header.PerFrameFunctionalGroupsSequence)
            found += [_numbered_frame(header, number) for number in range(1, count + 1)]
        else:
            found.append(_frame(header, None, header, header, header))
    return found


def _numbered_frame(header: Dataset, number: int) -> _SourceFrame:
    shared = next(iter(header.get("SharedFunctionalGroupsSequence") or ()), Dataset())
    groups = header.PerFrameFunctionalGroupsSequence[number - 1]
    return _frame(
        header,
        number,
        _group("PlanePositionSequence", groups, shared),
        _group("PlaneOrientationSequence", groups, shared),
        _group("PixelMeasuresSequence", groups, shared),
    )


def _group(keyword: str, per_frame: Dataset, shared: Dataset) -> Dataset:
    """Return a functional group, which is either per frame or shared."""
    sequence = per_frame.get(keyword) or shared[keyword].value
    item: Dataset = sequence[0]
    return item


def _frame(
    header: Dataset, number: int | None, position: Dataset, orientation: Dataset, measures: Dataset
) -> _SourceFrame:
    x, y, z = (_as_written(value) for value in position.ImagePositionPatient)
    row_spacing, column_spacing = (_as_written(value) for value in measures.PixelSpacing)
    return _SourceFrame(
        ImageReference(str(header.SOPClassUID), str(header.SOPInstanceUID), number, (x, y, z)),
        tuple(_as_written(value) for value in orientation.ImageOrientationPatient),
        (row_spacing, column_spacing),
        _thickness(measures),
    )


def _thickness(measures: Dataset) -> str:
    """Return SliceThickness as it was written; empty if it is absent or no number ("4,0")."""
    try:
        written = measures.get("SliceThickness")
        return _as_written(written) if math.isfinite(float(str(written))) else ""
    except (TypeError, ValueError):
        return ""


def _as_written(value: object) -> str:
    """Return a decimal string as it was written, so that results repeat the digits of their source."""
    written = getattr(value, "original_string", None) or repr(float(str(value)))
    return written if len(written) <= 16 else f"{float(str(value)):.9g}"


def _nearest(positions: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64], spacing_mm: float) -> int:
    distances = np.linalg.norm(positions - wanted, axis=1)
    nearest = int(np.argmin(distances))
    if distances[nearest] > 0.5 * spacing_mm:
        raise ValueError("a slice of the volume has no source image")
    return nearest
