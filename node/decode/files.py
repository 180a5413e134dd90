"""Read the headers of files and group them into series."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from analysis.domain.reason import Reason
from analysis.errors import RefusedError
from analysis.identify import identify
from node.decode.enhanced import MULTI_FRAME_CLASSES, frame_headers, frames_between, stacks
from node.decode.facts import facts_of
from node.decode.series import SeriesHeaders, UnreadableFile

__all__ = ["files_below", "scan"]


def files_below(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return all regular files at or below the paths, sorted and without duplicates.

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
    """Read the headers of files and group them into series.

    Parameters
    ----------
    paths : iterable of Path
        Files, in any order; an instance that occurs twice is used once.

    Returns
    -------
    series : tuple of SeriesHeaders
        Sorted by Study and then Series Instance UID; a series of multi-frame objects has one entry per stack.
    unreadable : tuple of UnreadableFile
        The files that are not complete DICOM objects.
    """
    by_series: dict[tuple[str, str], dict[str, tuple[Path, Dataset]]] = defaultdict(dict)
    unreadable: list[UnreadableFile] = []
    for path in paths:
        if path.name == "DICOMDIR":  # the index of a storage medium
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
    """Yield the classic images of a series together, and the frames of its multi-frame objects by stack."""
    slices: list[tuple[Path, Dataset, Dataset, int]] = []
    classic: list[tuple[Path, Dataset]] = []
    for path, header in instances:
        frames = frame_headers(header) if header.SOPClassUID in MULTI_FRAME_CLASSES else ()
        slices += [(path, frame, header, number) for number, frame in enumerate(frames, start=1)]
        if not frames:
            classic.append((path, header))
    if classic:
        paths, headers = zip(*classic, strict=True)
        yield SeriesHeaders(study_uid, series_uid, facts_of(headers), paths, headers, headers)
    every = [frame for _, frame, _, _ in slices]
    for stack in stacks(every):
        paths, headers, objects, numbers = zip(*(slices[index] for index in stack), strict=True)
        facts = facts_of(headers)
        torn = frames_between(every, stack) if identify(facts).usable else ()
        between = tuple(slices[index][3] for index in torn)
        yield SeriesHeaders(study_uid, series_uid, facts, paths, headers, objects, numbers, between)


def _read_header(path: Path) -> Dataset:
    try:
        header = dcmread(path, stop_before_pixels=True)
    except InvalidDicomError:
        raise RefusedError(Reason("no_dicom")) from None
    except (AttributeError, EOFError, KeyError, NotImplementedError, OSError, TypeError, ValueError) as error:
        # What pydicom raises on damaged bytes; its message may quote them, so only the type is reported.
        raise RefusedError(Reason("dicom_damaged", kind=type(error).__name__)) from error
    missing = [
        keyword
        for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
        if not header.get(keyword)
    ]
    if missing:
        raise RefusedError(Reason("dicom_incomplete", missing=", ".join(missing)))
    return header
