"""What only a person who is logged in sees of a study: its series, its deliveries and its pictures."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.errors import RefusedError
from dicom_templates.result_kinds import ResultKind
from node.audit import as_audited
from node.domain.audit import StudyMoved
from node.domain.completeness import SeriesDecision, too_many_images
from node.domain.records import Delivery, Result, Study, mr_images
from node.errors import PermanentError, TransientError
from node.ports import StoredFiles, StudyReader

__all__ = ["PICTURES", "StudyDetails", "StudyDetailsReader"]

PICTURES = {
    "summary": "Summary, as it is sent",
    "overlay_t1": "Outlines on every slice of T1w",
    "overlay_t2": "Outlines on every slice of T2w",
}
"""The pictures beside the results of a study, each by the name of its file without ".png"."""
_REMEMBERED = 32

TellSeries = Callable[[Sequence[Path], Sequence[Path]], tuple[SeriesDecision, ...]]


@dataclass(frozen=True, slots=True)
class StudyDetails:
    """What a person who is logged in sees of a study.

    Attributes
    ----------
    study : Study
        The study.
    series : tuple of SeriesDecision
        What was decided of each series.
    series_fault : str
        Why that cannot be told; empty if it can.
    deliveries : tuple of Delivery
        Of the current results.
    pictures : dict of str to str
        Titles of the pictures that are there, by name.
    """

    study: Study
    series: tuple[SeriesDecision, ...]
    series_fault: str
    deliveries: tuple[Delivery, ...]
    pictures: dict[str, str]


class StudyDetailsReader:
    """Reads the details of a study.

    Parameters
    ----------
    store, files : StudyReader, StoredFiles
        See `node.ports`.
    tell_series : callable
        Tells what was decided of each series, from the paths of the MR images and of the segmentations among
        the results. It runs in a worker process, which may refuse or die.
    most_images : int
        Number of MR images above which the series of a study are not told.
    """

    def __init__(
        self, store: StudyReader, files: StoredFiles, tell_series: TellSeries, *, most_images: int
    ) -> None:
        self._store = store
        self._files = files
        self._tell_series = tell_series
        self._most_images = most_images
        self._told: OrderedDict[tuple[object, ...], tuple[SeriesDecision, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, study_uid: str) -> StudyDetails | None:
        """Return the details of a study; None if no image of it ever arrived."""
        study = self._store.study(study_uid)
        if study is None:
            return None
        current = self._current(study_uid)
        try:
            series, fault = self._series(study_uid, current), ""
        except (RefusedError, TransientError, PermanentError) as error:
            series, fault = (), str(error)
        deliveries = tuple(one for one in self._store.deliveries(study_uid) if one.result.current)
        pictures = {name: title for name, title in PICTURES.items() if _picture(self._files, current, name)}
        return StudyDetails(study, series, fault, deliveries, pictures)

    def picture(self, study_uid: str, name: str) -> Path | None:
        """Return the file of one of `PICTURES` of a study; None if it has none."""
        return _picture(self._files, self._current(study_uid), name) if name in PICTURES else None

    def as_audited(self, study_uid: str) -> StudyMoved:
        """Return what the audit trail says of a study of which somebody sees something."""
        return as_audited(self._store, self._files, study_uid)

    def _current(self, study_uid: str) -> list[Result]:
        return [one for one in self._store.results(study_uid) if one.current]

    def _series(self, study_uid: str, current: Sequence[Result]) -> tuple[SeriesDecision, ...]:
        images = mr_images(self._store.instances(study_uid))
        if not images:
            return ()
        if too_many := too_many_images(len(images), self._most_images):
            raise PermanentError(too_many)
        masks = [self._files.results / one.name for one in current if one.kind is ResultKind.SEG]
        masks = [path for path in masks if path.is_file()]
        known = (study_uid, frozenset(image.sha256 for image in images), *masks)
        with self._lock:
            told = self._told.get(known)
            if told is None:
                told = self._tell_series([self._files.path(image) for image in images], masks)
                self._told[known] = told
            self._told.move_to_end(known)
            while len(self._told) > _REMEMBERED:
                self._told.popitem(last=False)
        return told


def _picture(files: StoredFiles, current: Sequence[Result], name: str) -> Path | None:
    for folder in dict.fromkeys((files.results / one.name).parent for one in current):
        path = folder / f"{name}.png"
        if path.is_file():
            return path
    return None
