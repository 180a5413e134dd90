"""An archive whose answers a test decides, for faults that no real one makes on demand."""

# ruff: noqa: D102 - `node.ports` describes each method

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from analysis.domain.acquisition import AcquisitionFacts
from node.domain.archive import ArchiveQuery, FoundSeries, FoundStudy, Retrieved
from node.errors import TransientError

__all__ = ["ScriptedArchive", "pair"]


def pair(study: str, images: int | None = 2) -> tuple[FoundSeries, ...]:
    """Return a T1 and a T2 of a study, and a localiser."""
    return tuple(
        FoundSeries(study, f"{study}.{n}", AcquisitionFacts(series_description=words), images=images)
        for n, words in enumerate(("t1 sag LWS", "t2 sag LWS", "localizer"), 1)
    )


@dataclass(slots=True)
class ScriptedArchive:
    """The `Archive` port; `retrieve` raises or returns `answers` one after the other, and then succeeds."""

    studies: dict[str, Sequence[FoundSeries]] = field(default_factory=dict)
    answers: list[Retrieved | Exception] = field(default_factory=list)
    is_down: bool = False
    name: str = "pacs"
    retrieved: list[tuple[str, str]] = field(default_factory=list)
    told: dict[str, FoundStudy] = field(default_factory=dict)
    on_retrieve: Callable[[str, str], None] = lambda _study, _series: None

    def reach(self) -> None:
        if self.is_down:
            raise TransientError("it is down")

    def find_studies(self, query: ArchiveQuery, most: int) -> Sequence[FoundStudy]:
        del most
        self.reach()
        return [
            self.told.get(uid, FoundStudy(uid))
            for uid in sorted(self.studies)
            if query.study_uid in {"", uid}
        ]

    def find_series(self, study_uid: str) -> Sequence[FoundSeries]:
        self.reach()
        return self.studies.get(study_uid, ())

    def read_facts(self, series: FoundSeries) -> AcquisitionFacts:
        return series.facts

    def retrieve(self, study_uid: str, series_uid: str) -> Retrieved:
        self.reach()
        self.retrieved.append((study_uid, series_uid))
        answer = self.answers.pop(0) if self.answers else Retrieved(2)
        if isinstance(answer, Exception):
            raise answer
        self.on_retrieve(study_uid, series_uid)
        return answer
