"""Decode the voxels of a series and their position in the patient."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from hashlib import sha256
from itertools import groupby

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.pixels.utils import pixel_array

from analysis.domain.acquisition import AcquisitionFacts
from analysis.domain.findings import SeriesInput
from analysis.domain.reason import Reason
from analysis.domain.volume import Grid, Volume
from analysis.errors import RefusedError
from node.decode.apart import LostError, apart
from node.decode.codestream import check_frame
from node.decode.damage import damage_refused
from node.decode.header_values import acquired_on, required, text
from node.decode.reading import read_object
from node.decode.series import SeriesHeaders
from node.decode.stack import check_stack
from node.decode.stored_values import has_overlay_bits, signal

__all__ = ["decode"]

_Voxels = npt.NDArray[np.float32] | npt.NDArray[np.uint16]

_SECONDS, _SECONDS_PER_SLICE = 10.0, 2.0
"""Processor time in which a decoder must be done, tens of times what the largest slices need."""


def decode(series: SeriesHeaders) -> tuple[SeriesInput, tuple[Dataset, ...]]:
    """Decode the voxels of a series.

    Parameters
    ----------
    series : SeriesHeaders
        A series from `scan`.

    Returns
    -------
    series_input : SeriesInput
        Input of the analysis.
    objects : tuple of Dataset
        The object of each slice without pixel data, in slice order; input of the templates.

    Raises
    ------
    RefusedError
        If the series is not MR, not an even stack or lossy, or its pixel data are damaged.
    """
    with damage_refused("instance_damaged"):
        return _decode(series)


def _decode(series: SeriesHeaders) -> tuple[SeriesInput, tuple[Dataset, ...]]:
    stack = check_stack(series)
    headers = tuple(series.headers[index] for index in stack.order)
    voxels = _voxels(series, stack.order)
    row_spacing, column_spacing = required(headers[0], "PixelSpacing", 2)
    cosines = np.asarray(required(headers[0], "ImageOrientationPatient", 6))
    left, posterior, superior = required(headers[0], "ImagePositionPatient", 3)
    grid = Grid(
        shape=(voxels.shape[0], voxels.shape[1], voxels.shape[2]),
        spacing_mm=(stack.spacing_mm, row_spacing, column_spacing),
        origin_mm=(left, posterior, superior),
        # Rows follow each other along the column cosines, columns along the row cosines.
        axes=np.stack([stack.normal, cosines[3:], cosines[:3]]),
    )
    volume = Volume(voxels, grid)
    frame_of_reference = max(text(header, "FrameOfReferenceUID") for header in headers)
    frames = tuple(series.frames[index] for index in stack.order) if series.frames else ()
    digest = _digest(series.facts, headers, frames, volume, frame_of_reference)
    objects = tuple(series.objects[index] for index in stack.order)
    return (
        SeriesInput(
            series.series_uid,
            series.facts,
            volume,
            digest,
            frame_of_reference,
            frames,
            min((day for header in headers if (day := acquired_on(header))), default=None),
        ),
        objects,
    )


def _voxels(series: SeriesHeaders, order: Sequence[int]) -> _Voxels:
    """Decode the slices in the given order, in a process apart if that needs a decoder."""
    if not any(image.file_meta.TransferSyntaxUID.is_compressed for image in series.objects):
        return _stacked(series, order)
    limit_s = _SECONDS + _SECONDS_PER_SLICE * len(order)
    try:
        voxels: _Voxels = apart(lambda: _stacked(series, order), cpu_limit_s=limit_s)
    except LostError as error:
        raise RefusedError(Reason("decoder_lost", how=str(error))) from None
    return voxels


def _stacked(series: SeriesHeaders, order: Sequence[int]) -> _Voxels:
    """Decode the slices, and keep them in 16 bits as long as all values are whole numbers."""
    stack: _Voxels = np.empty(0, np.uint16)
    for place, one in enumerate(_slices(series, order)):
        if not place:
            stack = np.empty((len(order), *one.shape), np.uint16)
        if one.shape != stack.shape[1:]:
            raise ValueError("slices of one series differ in size")
        if stack.dtype == np.uint16 and not _whole(one):
            stack = stack.astype(np.float32)
        stack[place] = one
    return stack


def _whole(signal: npt.NDArray[np.float32]) -> bool:
    """Tell whether all values fit into 16 bits without a sign."""
    fits = bool(signal.min() >= 0 and signal.max() <= np.iinfo(np.uint16).max)
    return fits and bool((signal.astype(np.uint16) == signal).all())


def _slices(series: SeriesHeaders, order: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
    """Decode the slices one by one; each object is read once for all its neighbouring frames."""
    for path, indices in groupby(order, key=series.paths.__getitem__):
        with damage_refused("dicom_damaged"):
            dataset = read_object(path)
        for index in indices:
            frame = series.frames[index] if series.frames else None
            yield _slice(dataset, frame, series.headers[index])


def _slice(dataset: Dataset, frame: int | None, header: Dataset) -> npt.NDArray[np.float32]:
    index = None if frame is None else frame - 1
    with damage_refused("pixels_damaged"):
        check_frame(dataset, index or 0)
        stored = pixel_array(dataset, index=index)
        # A codec gives no more bits than are stored, so only plain pixels may hold something beside them.
        packed = dataset.file_meta.TransferSyntaxUID.is_compressed or has_overlay_bits(dataset)
        raw = stored if packed else pixel_array(dataset, index=index, correct_unused_bits=False)
    if stored.ndim != 2:
        raise RefusedError(Reason("not_one_grey_image"))
    if not np.array_equal(stored, raw):
        # Values that need more bits than there are said to be would turn from bright to dark.
        raise RefusedError(Reason("values_unknown", keyword="BitsStored"))
    return signal(stored, header, dataset)


def _digest(
    facts: AcquisitionFacts,
    headers: Sequence[Dataset],
    frames: Sequence[int],
    volume: Volume,
    frame_of_reference: str,
) -> str:
    """Return a digest of what the analysis reads, independent of its encoding.

    A study sent in another transfer syntax, or read from files written by another program, is the same input
    and must give the same result objects.
    """
    hasher = sha256(volume.digest().encode())
    for header in headers:
        hasher.update(str(header.SOPInstanceUID).encode())
    hasher.update("".join(f" {frame}" for frame in frames).encode())
    hasher.update(json.dumps(asdict(facts), sort_keys=True).encode())
    hasher.update(frame_of_reference.encode())
    return hasher.hexdigest()
