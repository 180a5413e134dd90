"""From files to series: headers first, voxels only of what is worth them."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, config, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_rescale
from pydicom.pixels.utils import pixel_array
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

from analysis.domain.acquisition import AcquisitionFacts
from analysis.domain.findings import SeriesInput
from analysis.domain.reason import Reason
from analysis.domain.volume import Grid, Volume
from analysis.errors import RefusedError
from node.domain.geometry import Stack, stack_slices
from node.enhanced import MULTI_FRAME_CLASSES, frame_headers, stacks

__all__ = ["SeriesHeaders", "UnreadableFile", "check_stack", "decode", "facts_of", "files_below", "scan"]

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

# Damaged values are judged here, one by one; pydicom's warnings about them would quote patient data.
config.settings.reading_validation_mode = config.IGNORE


@dataclass(frozen=True, slots=True)
class UnreadableFile:
    """A file that is no whole DICOM object.

    Attributes
    ----------
    path : Path
        Which.
    reason : Reason
        Why.
    """

    path: Path
    reason: Reason


@dataclass(frozen=True, slots=True, eq=False)
class SeriesHeaders:
    """The files of one series by their headers.

    Attributes
    ----------
    study_uid, series_uid : str
        Their identity.
    facts : AcquisitionFacts
        What the headers tell of the acquisition.
    paths : tuple of Path
        One per slice, in the order of SOP Instance UIDs.
    headers : tuple of Dataset
        The same slices without their pixel data; for a frame of a multi-frame object, what a classic image of
        it would tell.
    objects : tuple of Dataset
        The objects that the slices lie in, without pixel data; of classic images the same as `headers`.
    frames : tuple of int
        Number of each slice in its object, from 1; empty for classic images.
    """

    study_uid: str
    series_uid: str
    facts: AcquisitionFacts
    paths: tuple[Path, ...]
    headers: tuple[Dataset, ...]
    objects: tuple[Dataset, ...]
    frames: tuple[int, ...] = ()

    @property
    def description(self) -> Reason:
        """What kind of series it is, without patient data ("MR, 15 instances")."""
        modality, count = self.facts.modality or Reason("unknown_modality"), len(self.paths)
        kind = "frame" if self.frames else "instance"
        if count == 1:
            return Reason(f"one_{kind}", modality=modality)
        return Reason(f"many_{kind}s", modality=modality, count=count)


def files_below(paths: Iterable[Path]) -> tuple[Path, ...]:
    """All regular files at or below the paths, sorted, each once.

    Raises
    ------
    FileNotFoundError
        If one of the paths does not exist.
    """
    found: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
        found.update(inner for inner in ([path] if path.is_file() else path.rglob("*")) if inner.is_file())
    return tuple(sorted(found))


def scan(paths: Iterable[Path]) -> tuple[tuple[SeriesHeaders, ...], tuple[UnreadableFile, ...]]:
    """Read headers and sort the files by series.

    Parameters
    ----------
    paths : iterable of Path
        Files, in any order; an instance that occurs twice counts once.

    Returns
    -------
    series : tuple of SeriesHeaders
        By Study, then Series Instance UID. A series of multi-frame objects counts as one for every stack.
    unreadable : tuple of UnreadableFile
        Those that are no whole DICOM object.
    """
    by_series: dict[tuple[str, str], dict[str, tuple[Path, Dataset]]] = defaultdict(dict)
    unreadable: list[UnreadableFile] = []
    for path in paths:
        if path.name == "DICOMDIR":  # the index of a medium, no image
            continue
        try:
            header = _read_header(path)
        except RefusedError as error:
            unreadable.append(UnreadableFile(path, error.reasons[0]))
        else:
            key = (str(header.StudyInstanceUID), str(header.SeriesInstanceUID))
            by_series[key].setdefault(str(header.SOPInstanceUID), (path, header))
    series: list[SeriesHeaders] = []
    for (study_uid, series_uid), instances in sorted(by_series.items()):
        found = [instances[uid] for uid in sorted(instances)]
        series += _by_stack(study_uid, series_uid, found)
    return tuple(series), tuple(unreadable)


def _by_stack(
    study_uid: str, series_uid: str, instances: Sequence[tuple[Path, Dataset]]
) -> Iterator[SeriesHeaders]:
    """Keep classic images together, and sort the frames of multi-frame objects into stacks."""
    slices: list[tuple[Path, Dataset, Dataset, int]] = []
    plain: list[tuple[Path, Dataset]] = []
    for path, header in instances:
        frames = frame_headers(header) if header.SOPClassUID in MULTI_FRAME_CLASSES else ()
        slices += [(path, frame, header, number) for number, frame in enumerate(frames, start=1)]
        if not frames:
            plain.append((path, header))
    if plain:
        paths, headers = zip(*plain, strict=True)
        yield SeriesHeaders(study_uid, series_uid, facts_of(headers), paths, headers, headers)
    for stack in stacks([frame for _, frame, _, _ in slices]):
        paths, headers, objects, numbers = zip(*(slices[index] for index in stack), strict=True)
        yield SeriesHeaders(study_uid, series_uid, facts_of(headers), paths, headers, objects, numbers)


def _read_header(path: Path) -> Dataset:
    try:
        header = dcmread(path, stop_before_pixels=True)
    except InvalidDicomError:
        raise RefusedError(Reason("no_dicom")) from None
    except (AttributeError, EOFError, KeyError, NotImplementedError, OSError, TypeError, ValueError) as error:
        # What pydicom raises on damaged bytes; its message may quote them, so only the kind is told.
        raise RefusedError(Reason("dicom_damaged", kind=type(error).__name__)) from error
    missing = [
        keyword
        for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
        if not header.get(keyword)
    ]
    if missing:
        raise RefusedError(Reason("dicom_incomplete", missing=", ".join(missing)))
    return header


def facts_of(headers: Sequence[Dataset]) -> AcquisitionFacts:
    """Return the acquisition facts of a series; what its first instance says holds for all.

    Parameters
    ----------
    headers : sequence of Dataset
        At least one, of one series.
    """
    first = headers[0]
    spacing = _numbers(first, "PixelSpacing", 2)
    orientation = _numbers(first, "ImageOrientationPatient", 6)
    return AcquisitionFacts(
        modality=_text(first, "Modality"),
        repetition_time_ms=_number(first, "RepetitionTime"),
        echo_time_ms=_number(first, "EchoTime"),
        inversion_time_ms=_number(first, "InversionTime"),
        echo_train_length=None if (etl := _number(first, "EchoTrainLength")) is None else int(etl),
        flip_angle_deg=_number(first, "FlipAngle"),
        scanning_sequence=_words(first, "ScanningSequence"),
        sequence_variant=_words(first, "SequenceVariant"),
        scan_options=_words(first, "ScanOptions"),
        image_type=_words(first, "ImageType"),
        acquisition_type=_text(first, "MRAcquisitionType"),
        contrast_agent=_text(first, "ContrastBolusAgent"),
        field_strength_t=_number(first, "MagneticFieldStrength"),
        vendor=_text(first, "Manufacturer"),
        model=_text(first, "ManufacturerModelName"),
        body_part=_text(first, "BodyPartExamined"),
        series_description=_text(first, "SeriesDescription"),
        protocol_name=_text(first, "ProtocolName"),
        sequence_name=_text(first, "SequenceName"),
        orientation=None if orientation is None else tuple(orientation),  # type: ignore[arg-type]
        rows=int(_number(first, "Rows") or 0),
        columns=int(_number(first, "Columns") or 0),
        slices=len(headers),
        pixel_spacing_mm=None if spacing is None else (spacing[0], spacing[1]),
        slice_spacing_mm=_number(first, "SpacingBetweenSlices"),
        slice_thickness_mm=_number(first, "SliceThickness"),
    )


def check_stack(series: SeriesHeaders) -> Stack:
    """Judge by the headers alone whether a series is one whole, lossless MR stack.

    Raises
    ------
    RefusedError
        With the reason, if it is not.
    """
    _refuse_what_is_no_plain_mr(series)
    orientations = [_required(header, "ImageOrientationPatient", 6) for header in series.headers]
    positions = [_required(header, "ImagePositionPatient", 3) for header in series.headers]
    return stack_slices(orientations, positions)


def decode(series: SeriesHeaders) -> tuple[SeriesInput, tuple[Dataset, ...]]:
    """Decode the voxels of a series.

    Parameters
    ----------
    series : SeriesHeaders
        From `scan`.

    Returns
    -------
    series_input : SeriesInput
        For the analysis.
    objects : tuple of Dataset
        The object of every slice without its pixel data, in slice order, for the templates.

    Raises
    ------
    RefusedError
        If the series is no MR, no even stack, lossy, or its pixel data are damaged.
    """
    stack = check_stack(series)
    headers = tuple(series.headers[index] for index in stack.order)
    voxels = _voxels(series, stack.order)
    row_spacing, column_spacing = _required(headers[0], "PixelSpacing", 2)
    cosines = np.asarray(_required(headers[0], "ImageOrientationPatient", 6))
    left, posterior, superior = _required(headers[0], "ImagePositionPatient", 3)
    grid = Grid(
        shape=(voxels.shape[0], voxels.shape[1], voxels.shape[2]),
        spacing_mm=(stack.spacing_mm, row_spacing, column_spacing),
        origin_mm=(left, posterior, superior),
        # The next row lies along the column cosines, the next column along the row cosines.
        axes=np.stack([stack.normal, cosines[3:], cosines[:3]]),
    )
    volume = Volume(voxels, grid)
    frame_of_reference = _text(headers[0], "FrameOfReferenceUID")
    frames = tuple(series.frames[index] for index in stack.order) if series.frames else ()
    digest = _digest(series.facts, headers, frames, volume, frame_of_reference)
    objects = tuple(series.objects[index] for index in stack.order)
    return (
        SeriesInput(series.series_uid, series.facts, volume, digest, frame_of_reference, frames),
        objects,
    )


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
        or _text(header, "LossyImageCompression") not in {"", "00"}
        or any(_text(header, trace) for trace in traces)
    )


def _voxels(series: SeriesHeaders, order: Sequence[int]) -> npt.NDArray[np.float32]:
    """Decode the slices in an order, with the object of a slice read once for all its frames."""
    opened: tuple[Path, Dataset] | None = None
    slices = []
    for index in order:
        if opened is None or opened[0] != series.paths[index]:
            opened = series.paths[index], dcmread(series.paths[index])
        frame = series.frames[index] if series.frames else None
        slices.append(_slice(opened[1], frame, series.headers[index]))
    return np.stack(slices)


def _slice(dataset: Dataset, frame: int | None, header: Dataset) -> npt.NDArray[np.float32]:
    try:
        stored = pixel_array(dataset, index=None if frame is None else frame - 1)
    except (AttributeError, EOFError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise RefusedError(Reason("pixels_damaged", kind=type(error).__name__)) from error
    if stored.ndim != 2:
        raise RefusedError(Reason("not_one_grey_image"))
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        if _text(header, keyword) and _number(header, keyword) is None:
            raise RefusedError(Reason("values_unknown", keyword=keyword))
    return apply_rescale(stored, header).astype(np.float32)


def _digest(
    facts: AcquisitionFacts,
    headers: Sequence[Dataset],
    frames: Sequence[int],
    volume: Volume,
    frame_of_reference: str,
) -> str:
    """Digest what the analysis reads, not how it was encoded.

    A study that travelled in another transfer syntax, or was read from files that another program wrote,
    is the same input and must give the same result objects.
    """
    hasher = sha256(volume.digest().encode())
    for header in headers:
        hasher.update(str(header.SOPInstanceUID).encode())
    hasher.update("".join(f" {frame}" for frame in frames).encode())
    hasher.update(json.dumps(asdict(facts), sort_keys=True).encode())
    hasher.update(frame_of_reference.encode())
    return hasher.hexdigest()


def _value(header: Dataset, keyword: str) -> Any:  # noqa: ANN401 - a header may hold anything
    # pydicom parses values when they are first asked for, and damaged ones fail only then.
    try:
        return header.get(keyword)
    except (TypeError, ValueError):
        return None


def _text(header: Dataset, keyword: str) -> str:
    value = _value(header, keyword)
    return "" if value is None else " ".join(str(value).split())


def _words(header: Dataset, keyword: str) -> tuple[str, ...]:
    value = _value(header, keyword)
    if value is None or value == "":
        return ()
    several = value if isinstance(value, MultiValue) else [value]
    return tuple(str(word).strip().upper() for word in several)


def _numbers(header: Dataset, keyword: str, count: int) -> list[float] | None:
    value = _value(header, keyword)
    several = list(value) if isinstance(value, MultiValue) else [value]
    try:
        numbers = [float(number) for number in several]
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None


def _number(header: Dataset, keyword: str) -> float | None:
    numbers = _numbers(header, keyword, 1)
    return None if numbers is None else numbers[0]


def _required(header: Dataset, keyword: str, count: int) -> list[float]:
    numbers = _numbers(header, keyword, count)
    if numbers is None:
        raise RefusedError(Reason("place_unknown", keyword=keyword))
    return numbers
