"""What is done before a study has settled, in the hope that nothing more comes.

The truth is in the store; what lies here is lost with the process, and then only time is lost. Nothing of it
is sent: it stands in for the examination and the analysis of a study that settled with the same images.
"""

import shutil
import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from node.domain.assembly import Examination
from node.domain.results import Lineage, Outcome

__all__ = ["Foreseen", "Foresight"]

_MOST = 64
"""Studies that are remembered at once; of a study that is forgotten, the work is done again."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """An analysis that was done early.

    Attributes
    ----------
    revision : int
        Of the images it was done with.
    lineage : Lineage
        What its results replace.
    outcome : Outcome
        How it ended.
    folder : Path
        Where its results lie.
    """

    revision: int
    lineage: Lineage
    outcome: Outcome
    folder: Path


class Foresight:
    """Early work of the assembler and the analysts, shared between their threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._examinations: OrderedDict[str, tuple[int, Examination | None]] = OrderedDict()
        self._wanted: dict[str, int] = {}
        self._running: set[str] = set()
        self._outcomes: OrderedDict[str, Foreseen] = OrderedDict()

    def note_examination(self, study_uid: str, revision: int, examination: Examination | None) -> None:
        """Remember the look at the headers of one revision; None if it failed."""
        with self._lock:
            self._examinations[study_uid] = (revision, examination)
            while len(self._examinations) > _MOST:
                self._examinations.popitem(last=False)

    def was_examined(self, study_uid: str, revision: int) -> bool:
        """Tell whether a look at this revision was noted, or that it failed."""
        with self._lock:
            return self._examinations.get(study_uid, (-1, None))[0] == revision

    def examination(self, study_uid: str, revision: int) -> Examination | None:
        """Return what was noted of this revision, if anything."""
        with self._lock:
            there, examination = self._examinations.get(study_uid, (-1, None))
            return examination if there == revision else None

    def want(self, study_uid: str, revision: int) -> None:
        """Ask for an early analysis."""
        with self._lock:
            self._wanted[study_uid] = revision

    def take(self) -> tuple[str, int] | None:
        """Take the study that was wanted first; `done` must follow."""
        with self._lock:
            if not self._wanted:
                return None
            study_uid = next(iter(self._wanted))
            self._running.add(study_uid)
            return study_uid, self._wanted.pop(study_uid)

    def running(self) -> Collection[str]:
        """Return the studies that are analysed early at this moment; nobody else need begin with them."""
        with self._lock:
            return tuple(self._running)

    def done(self, study_uid: str, foreseen: Foreseen | None) -> None:
        """Keep an early analysis, or nothing if it broke or is out of date already."""
        with self._lock:
            self._running.discard(study_uid)
            dropped = [self._outcomes.pop(study_uid)] if study_uid in self._outcomes else []
            if foreseen is not None:
                self._outcomes[study_uid] = foreseen
            while len(self._outcomes) > _MOST:
                dropped.append(self._outcomes.popitem(last=False)[1])
        for one in dropped:
            shutil.rmtree(one.folder, ignore_errors=True)

    def claim(self, study_uid: str, revision: int, lineage: Lineage) -> Outcome | None:
        """Return, once, the early analysis of exactly these images; any other of the study is thrown away."""
        with self._lock:
            self._wanted.pop(study_uid, None)
            there = self._outcomes.pop(study_uid, None)
        if there is None:
            return None
        if (there.revision, there.lineage) == (revision, lineage) and _is_there(there.outcome):
            return there.outcome
        shutil.rmtree(there.folder, ignore_errors=True)
        return None


def _is_there(outcome: Outcome) -> bool:
    return all(result.path.exists() for result in outcome.results)
