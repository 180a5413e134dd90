"""Read the headers of files and group them into series."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from analysis.domain.reason import Reason, told_once
from analysis.errors import RefusedError
from analysis.identify import identify
from node.decode.damage import damage_refused
from node.decode.enhanced import MULTI_FRAME_CLASSES, frame_headers, frames_between, stacks
from node.decode.facts import facts_by_slice, facts_of
from node.decode.reading import SeriesKey, read_header, series_of
from node.decode.series import SeriesHeaders, UnreadableFile, faults_of

__all__ = ["files_below", "scan", "studies_below"]


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


def studies_below(
    paths: Iterable[Path],
) -> tuple[tuple[tuple[str, tuple[Path, ...]], ...], tuple[Reason, ...]]:
    """Tell which of the files at or below the paths belong to which study.

    Parameters
    ----------
    paths : iterable of Path
        Files, or folders that hold them.

    Returns
    -------
    studies : tuple of (str, tuple of Path)
        Study Instance UID, by which they are sorted, and files.
    faults : tuple of Reason
        Why files of no study cannot be read.

    Raises
    ------
    FileNotFoundError
        If one of the paths does not exist.
    """
    files = files_below(paths)
    series, unreadable = scan(files)
    study_of = {path: one.study_uid for one in series for path in one.paths}
    for path in set(files) - study_of.keys() - {file.path for file in unreadable}:
        # A damaged instance of a series of which others can be read: a fault of this series.
        if key := series_of(path):
            study_of[path] = key[0]
    studies: dict[str, list[Path]] = {one.study_uid: [] for one in series}
    for path in filter(study_of.__contains__, files):
        studies[study_of[path]].append(path)
    return tuple((uid, tuple(own)) for uid, own in studies.items()), faults_of(unreadable)


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
        The files that cannot be read, but for those of which the series is known and other files of it can:
        they are faults of their series.
    """
    by_series: dict[SeriesKey, dict[str, _Instance]] = defaultdict(dict)
    unreadable: list[tuple[UnreadableFile, SeriesKey | None]] = []
    for path in paths:
        if path.name == "DICOMDIR":  # the index of a storage medium
            continue
        try:
            instance = _read(path)
        except RefusedError as error:
            unreadable.append((UnreadableFile(path, error.reasons[0]), series_of(path)))
        else:
            by_series[instance.key].setdefault(str(instance.header.SOPInstanceUID), instance)
    series: list[SeriesHeaders] = []
    lost = [file for file, key in unreadable if key not in by_series]
    reasons: dict[SeriesKey | None, list[Reason]] = defaultdict(list)
    for file, key in unreadable:
        reasons[key].append(file.reason)
    for key, instances in sorted(by_series.items()):
        found = [instances[uid] for uid in sorted(instances)]
        faults = told_once(reasons[key])
        try:
            with damage_refused("dicom_damaged"):
                series += _by_stack(key, found, faults)
        except RefusedError as error:
            lost += [UnreadableFile(one.path, error.reasons[0]) for one in found]
    return tuple(series), tuple(lost)


@dataclass(frozen=True, slots=True)
class _Instance:
    path: Path
    header: Dataset
    frames: tuple[Dataset, ...]
    """Headers of the frames of a multi-frame object."""

    @property
    def key(self) -> SeriesKey:
        return str(self.header.StudyInstanceUID), str(self.header.SeriesInstanceUID)


def _by_stack(
    key: SeriesKey, instances: Sequence[_Instance], faults: tuple[Reason, ...]
) -> Iterator[SeriesHeaders]:
    """Yield the classic images of a series together, and the frames of its multi-frame objects by stack."""
    slices = [
        (one.path, frame, one.header, number)
        for one in instances
        for number, frame in enumerate(one.frames, start=1)
    ]
    if classic := [(one.path, one.header) for one in instances if not one.frames]:
        paths, headers = zip(*classic, strict=True)
        yield SeriesHeaders(*key, facts_of(headers), paths, headers, headers, faults=faults)
    every = [frame for _, frame, _, _ in slices]
    for stack in stacks(every):
        paths, headers, objects, numbers = zip(*(slices[index] for index in stack), strict=True)
        facts = facts_of(headers)
        torn = frames_between(every, stack) if identify(facts).usable else ()
        between = tuple(slices[index][3] for index in torn)
        yield SeriesHeaders(*key, facts, paths, headers, objects, numbers, between, faults)


def _read(path: Path) -> _Instance:
    """Read one instance so far that a fault in what identifies it shows here, and not later in its series.

    Raises
    ------
    RefusedError
        If it cannot be read, with the reason.
    """
    with damage_refused("dicom_damaged"):
        header = read_header(path)
        frames = frame_headers(header) if header.SOPClassUID in MULTI_FRAME_CLASSES else ()
        facts_by_slice(frames or [header])
    return _Instance(path, header, frames)
