"""Examinations and analyses that are done before a study has settled, on the guess that no image will follow.

They are kept in memory only, so a restart loses nothing but time. No result is sent from here: when the study
settles with the same images, its examination and analysis are taken from here instead of being run again.
"""

import shutil
import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from node.config import Configuration
from node.domain.completeness import Examination
from node.domain.results import Lineage, Outcome

__all__ = ["EarlyAnalysis", "EarlyWork"]

_MOST = 64
"""Studies remembered at a time; for one that was dropped, the work is done again."""


@dataclass(frozen=True, slots=True)
class EarlyAnalysis:
    """An analysis that was done early.

    Attributes
    ----------
    revision : int
        Revision of the study that was analysed.
    lineage : Lineage
        Earlier results of the study when the analysis ran.
    configuration : Configuration
        The configuration that it was made with; it says which results are made.
    outcome : Outcome
        Its result files or refusals.
    folder : Path
        Holds its result files.
    seconds : float
        How long it took.
    """

    revision: int
    lineage: Lineage
    configuration: Configuration
    outcome: Outcome
    folder: Path
    seconds: float


class EarlyWork:
    """The early work of the settler and the analysts, shared between their threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._examinations: OrderedDict[str, tuple[int, Examination | None]] = OrderedDict()
        self._requested: dict[str, int] = {}
        self._running: set[str] = set()
        self._analyses: OrderedDict[str, EarlyAnalysis] = OrderedDict()

    def note_examination(self, study_uid: str, revision: int, examination: Examination | None) -> None:
        """Remember the examination of one revision of a study; None if it failed."""
        with self._lock:
            self._examinations[study_uid] = (revision, examination)
            while len(self._examinations) > _MOST:
                self._examinations.popitem(last=False)

    def was_examined(self, study_uid: str, revision: int) -> bool:
        """Tell whether this revision was examined, whether or not that succeeded."""
        with self._lock:
            return self._examinations.get(study_uid, (-1, None))[0] == revision

    def examination(self, study_uid: str, revision: int) -> Examination | None:
        """Return the examination of this revision; None if there is none or it failed."""
        with self._lock:
            there, examination = self._examinations.get(study_uid, (-1, None))
            return examination if there == revision else None

    def request(self, study_uid: str, revision: int) -> None:
        """Request an early analysis."""
        with self._lock:
            self._requested[study_uid] = revision

    def take(self) -> tuple[str, int] | None:
        """Take the oldest request, as study UID and revision; the caller must call `done` afterwards."""
        with self._lock:
            if not self._requested:
                return None
            study_uid = next(iter(self._requested))
            self._running.add(study_uid)
            return study_uid, self._requested.pop(study_uid)

    def running(self) -> Collection[str]:
        """Return the studies that are being analysed early; no other analyst should start on them."""
        with self._lock:
            return tuple(self._running)

    def held(self) -> Collection[str]:
        """Return the studies that are or were analysed early; other nodes should leave them to this one."""
        with self._lock:
            return tuple({*self._running, *self._analyses})

    def done(self, study_uid: str, analysis: EarlyAnalysis | None) -> None:
        """End a request; None if the analysis failed or its images are already out of date."""
        with self._lock:
            self._running.discard(study_uid)
            dropped = [self._analyses.pop(study_uid)] if study_uid in self._analyses else []
            if analysis is not None:
                self._analyses[study_uid] = analysis
            while len(self._analyses) > _MOST:
                dropped.append(self._analyses.popitem(last=False)[1])
        for one in dropped:
            shutil.rmtree(one.folder, ignore_errors=True)

    def claim(
        self, study_uid: str, revision: int, lineage: Lineage, configuration: Configuration
    ) -> EarlyAnalysis | None:
        """Hand over the early analysis if revision, lineage and configuration are these; else delete it."""
        with self._lock:
            self._requested.pop(study_uid, None)
            early = self._analyses.pop(study_uid, None)
        if early is None:
            return None
        made_of = early.revision, early.lineage, early.configuration
        if made_of == (revision, lineage, configuration) and _files_exist(early.outcome):
            return early
        shutil.rmtree(early.folder, ignore_errors=True)
        return None


def _files_exist(outcome: Outcome) -> bool:
    return all(result.path.exists() for result in outcome.results)
