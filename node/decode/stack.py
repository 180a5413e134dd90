"""Whether a series is one whole, lossless MR stack, judged by its headers."""

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
from node.decode.header import required, text
from node.decode.series import SeriesHeaders
from node.domain.geometry import Stack, stack_slices
from node.enhanced import MULTI_FRAME_CLASSES

__all__ = ["check_stack"]

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
    return stack_slices(orientations, positions)


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
