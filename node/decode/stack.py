"""Check by its headers that a series is one complete, lossless MR stack."""

import numpy as np
from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from analysis.domain.reason import Reason
from analysis.errors import RefusedError
from node.decode.agreement import check_agreement, check_kinds
from node.decode.damage import damage_refused
from node.decode.enhanced import MULTI_FRAME_CLASSES
from node.decode.geometry import Stack, stack_slices
from node.decode.header_values import number, required, text
from node.decode.series import SeriesHeaders
from node.decode.stored_values import check_meaning
from node.domain.records import MR_IMAGE_CLASSES

__all__ = ["check_stack"]

_MOST_DECLARED_SPACINGS = 1.5
"""Spacing at which slices count as missing, in units of the declared one; as for a gap in `geometry`."""
_PIXEL_SPACING_TOLERANCE = 1e-3

_LOSSLESS = {
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
}
"""Accepted transfer syntaxes. JPEG 2000 (…4.91) may be lossless too, but only Lossy Image Compression would
say so, and it is often missing."""


def check_stack(series: SeriesHeaders) -> Stack:
    """Return the stack that a series forms, after checking that it is one complete, lossless MR stack.

    Its slices must agree with each other, and their pixels must stand for the signal.

    Raises
    ------
    RefusedError
        If it is not, or an image of it cannot be read, with the reason.
    """
    with damage_refused("instance_damaged"):
        return _checked(series)


def _checked(series: SeriesHeaders) -> Stack:
    if series.faults:
        raise RefusedError(*series.faults)
    _refuse_other_than_lossless_mr(series)
    check_agreement(series)
    check_meaning(series)
    orientations = [required(header, "ImageOrientationPatient", 6) for header in series.headers]
    positions = [required(header, "ImagePositionPatient", 3) for header in series.headers]
    _refuse_invalid_pixel_spacing(series)
    stack = stack_slices(orientations, positions)
    for header in series.headers:
        _refuse_omitted_slices(header, stack.spacing_mm)
    check_kinds(series)
    return stack


def _refuse_invalid_pixel_spacing(series: SeriesHeaders) -> None:
    sizes_mm = np.array([required(header, "PixelSpacing", 2) for header in series.headers])
    if sizes_mm.min() <= 0:
        raise RefusedError(Reason("place_unknown", keyword="PixelSpacing"))
    if not np.allclose(sizes_mm, sizes_mm[0], rtol=_PIXEL_SPACING_TOLERANCE):
        raise RefusedError(Reason("pixels_differ"))


def _refuse_omitted_slices(header: Dataset, spacing_mm: float) -> None:
    """Refuse an even stack whose slices are much further apart than the scanner declares.

    A stack looks like this if the sender alternates between two associations image by image, and one of them
    is lost before it has sent any.

    References
    ----------
    DICOM PS3.3 C.8.3.1, Spacing Between Slices: from centre to centre. Some scanners write the gap between
    slices instead; it is recognised by being smaller than the slice thickness.
    """
    declared_mm = number(header, "SpacingBetweenSlices")
    thickness_mm = number(header, "SliceThickness")
    if declared_mm is None or thickness_mm is None or not 0 < thickness_mm <= declared_mm * 1.1:
        return
    if spacing_mm > _MOST_DECLARED_SPACINGS * declared_mm:
        raise RefusedError(Reason("slices_left_out", spacing_mm=spacing_mm, declared_mm=declared_mm))


def _refuse_other_than_lossless_mr(series: SeriesHeaders) -> None:
    classes = {str(header.SOPClassUID) for header in series.headers}
    if not series.frames and classes & MULTI_FRAME_CLASSES:
        raise RefusedError(Reason("frames_not_described"))
    if not classes <= MR_IMAGE_CLASSES:
        raise RefusedError(Reason("no_mr", modality=series.facts.modality or Reason("no_modality")))
    sizes = {(header.get("Rows"), header.get("Columns")) for header in series.headers}
    if len(sizes) > 1:
        raise RefusedError(Reason("sizes_differ"))
    if any(_is_lossy(header) for header in series.objects):
        raise RefusedError(Reason("compressed_with_loss"))


def _is_lossy(header: Dataset) -> bool:
    """Tell whether an image is or was compressed with loss, or by a method not known to be lossless.

    References
    ----------
    DICOM PS3.3 C.7.6.1.1.5, Lossy Image Compression: once "01", it stays so in a later lossless encoding.
    """
    traces = ("LossyImageCompressionRatio", "LossyImageCompressionMethod")
    return (
        header.file_meta.get("TransferSyntaxUID") not in _LOSSLESS
        or text(header, "LossyImageCompression") not in {"", "00"}
        or any(text(header, trace) for trace in traces)
    )
