"""Whether a series is one whole, lossless MR stack, judged by its headers."""

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
    MRImageStorage,
    RLELossless,
)

from analysis.domain.reason import Reason
from analysis.errors import RefusedError
from node.decode.enhanced import MULTI_FRAME_CLASSES
from node.decode.geometry import Stack, stack_slices
from node.decode.header import number, required, text
from node.decode.series import SeriesHeaders

__all__ = ["check_stack"]

_FURTHER = 1.5
"""Times the declared spacing; the same as for one gap in an even stack."""
_SAME_PIXELS = 1e-3

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
"""All that is read. JPEG 2000 (…4.91) may be lossless too, but then only LossyImageCompression, often
missing, could tell."""


def check_stack(series: SeriesHeaders) -> Stack:
    """Judge by the headers alone whether a series is one whole, lossless MR stack.

    Raises
    ------
    RefusedError
        With the reason, if it is not.
    """
    _refuse_what_is_no_plain_mr(series)
    orientations = [required(header, "ImageOrientationPatient", 6) for header in series.headers]
    positions = [required(header, "ImagePositionPatient", 3) for header in series.headers]
    _refuse_pixels_of_no_or_several_sizes(series)
    stack = stack_slices(orientations, positions)
    _refuse_slices_left_out(series.headers[0], stack.spacing_mm)
    return stack


def _refuse_pixels_of_no_or_several_sizes(series: SeriesHeaders) -> None:
    sizes_mm = np.array([required(header, "PixelSpacing", 2) for header in series.headers])
    if sizes_mm.min() <= 0:
        raise RefusedError(Reason("place_unknown", keyword="PixelSpacing"))
    if not np.allclose(sizes_mm, sizes_mm[0], rtol=_SAME_PIXELS):
        raise RefusedError(Reason("pixels_differ"))


def _refuse_slices_left_out(header: Dataset, spacing_mm: float) -> None:
    """Refuse a stack whose slices lie evenly, and twice as far apart as the scanner says.

    So it looks when a sender splits a series over two associations, image by image, and the one with the odd
    numbers is lost before it has brought any.

    References
    ----------
    DICOM PS3.3 C.8.3.1, Spacing Between Slices: from centre to centre. Some scanners write the gap between
    slices instead, which is known from its being smaller than a slice is thick.
    """
    declared_mm = number(header, "SpacingBetweenSlices")
    thickness_mm = number(header, "SliceThickness")
    if declared_mm is None or thickness_mm is None or not 0 < thickness_mm <= declared_mm * 1.1:
        return
    if spacing_mm > _FURTHER * declared_mm:
        raise RefusedError(Reason("slices_left_out", spacing_mm=spacing_mm, declared_mm=declared_mm))


def _refuse_what_is_no_plain_mr(series: SeriesHeaders) -> None:
    classes = {str(header.SOPClassUID) for header in series.headers}
    if not series.frames and classes & MULTI_FRAME_CLASSES:
        raise RefusedError(Reason("frames_not_described"))
    if not classes <= {MRImageStorage, *MULTI_FRAME_CLASSES}:
        raise RefusedError(Reason("no_mr", modality=series.facts.modality or Reason("no_modality")))
    sizes = {(header.get("Rows"), header.get("Columns")) for header in series.headers}
    if len(sizes) > 1:
        raise RefusedError(Reason("sizes_differ"))
    if any(_lost_something(header) for header in series.objects):
        raise RefusedError(Reason("compressed_with_loss"))


def _lost_something(header: Dataset) -> bool:
    """Tell whether an image is, or once was, compressed with loss, or in a way not known to be without.

    References
    ----------
    DICOM PS3.3 C.7.6.1.1.5, Lossy Image Compression: once "01", a later lossless encoding keeps it.
    """
    traces = ("LossyImageCompressionRatio", "LossyImageCompressionMethod")
    return (
        header.file_meta.get("TransferSyntaxUID") not in _LOSSLESS
        or text(header, "LossyImageCompression") not in {"", "00"}
        or any(text(header, trace) for trace in traces)
    )
