"""An archive that is asked: questions, and what its answers are believed.

What an archive says is compared with what came: an image counts once it is in this node's store.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from threading import BoundedSemaphore

from analysis.domain.acquisition import AcquisitionFacts
from node.decode.header_values import text
from node.domain.archive import ArchiveQuery, FoundSeries, FoundStudy, Retrieved
from node.domain.identifiers import is_uid
from node.domain.records import Instance
from node.errors import PermanentError, TooManyFoundError
from node.fetch.archives.answers import (
    IMAGE_KEYS,
    SERIES_KEYS,
    completed_facts,
    series_in,
    studies_in,
    study_keys,
)
from node.fetch.archives.brake import Brake
from node.fetch.archives.wire import Level, Sent, Wire

__all__ = ["AskedArchive"]

_MOST_SERIES = 1000
_MOST_IMAGES = 20_000
"""In one series; a study with more MR images than [assembly] max_images is set aside in any case."""

Held = Callable[[str], Collection[Instance]]
"""Returns the stored instances of a study."""
WatchDiscards = Callable[[str, str], AbstractContextManager[Mapping[str, str]]]
"""See `node.ports.Intake.watch_discards`."""


class AskedArchive:
    """The `Archive` port, over any `Wire`.

    Parameters
    ----------
    name : str
        Its name in the configuration.
    wire : Wire
        How it is asked.
    held : callable
        Returns the stored instances of a study.
    watch_discards : callable
        Follows what the rules discard of a series.
    brake : Brake
        Limits how fast images come.
    max_associations : int
        Connections that are open at the same time.
    """

    def __init__(
        self,
        name: str,
        wire: Wire,
        *,
        held: Held,
        watch_discards: WatchDiscards,
        brake: Brake,
        max_associations: int,
    ) -> None:
        self._name = name
        self._wire = wire
        self._held = held
        self._watch_discards = watch_discards
        self._brake = brake
        self._places = BoundedSemaphore(max_associations)

    @property
    def name(self) -> str:
        """See `node.ports.Archive`."""
        return self._name

    def reach(self) -> None:
        """See `node.ports.Archive`."""
        with self._connection():
            self._wire.reach()

    def find_studies(self, query: ArchiveQuery, most: int) -> Sequence[FoundStudy]:
        """See `node.ports.Archive`."""
        with self._connection():
            return studies_in(self._wire.find(Level.STUDY, study_keys(query), most), query)

    def find_series(self, study_uid: str) -> Sequence[FoundSeries]:
        """See `node.ports.Archive`."""
        keys = {"StudyInstanceUID": study_uid} | dict.fromkeys(SERIES_KEYS, "")
        with self._connection():
            return series_in(self._wire.find(Level.SERIES, keys, _MOST_SERIES), study_uid)

    def read_facts(self, series: FoundSeries) -> AcquisitionFacts:
        """See `node.ports.Archive`."""
        with self._connection():
            images = self._images(series.study_uid, series.series_uid)
            if not images:
                return series.facts
            # One from the middle: the first and the last of a stack are the least like the others.
            sop_uid = sorted(images, key=lambda uid: (len(uid), uid))[len(images) // 2]
            header = self._wire.header(series.study_uid, series.series_uid, sop_uid)
            if header is None:
                keys = _keys_of(series.study_uid, series.series_uid, sop_uid) | dict.fromkeys(IMAGE_KEYS, "")
                found = self._wire.find(Level.IMAGE, keys, _MOST_IMAGES)
                header = next((one for one in found if text(one, "SOPInstanceUID") == sop_uid), None)
        return series.facts if header is None else completed_facts(series, header)

    def retrieve(self, study_uid: str, series_uid: str) -> Retrieved:
        """See `node.ports.Archive`."""
        if not (is_uid(study_uid) and is_uid(series_uid)):
            raise PermanentError("the series that is asked for has no valid UID")
        with self._connection():
            expected = self._images(study_uid, series_uid)
            if expected is not None and not expected:
                raise PermanentError("it has no image of this series")
            before = self._of_series(study_uid, series_uid)
            if expected is not None and expected <= before.keys():
                return Retrieved(len(expected))
            with self._watch_discards(study_uid, series_uid) as discarded:
                sent = self._wire.fetch(study_uid, series_uid, expected)
            here = self._of_series(study_uid, series_uid)
            self._brake.spend(sum(one.size for uid, one in here.items() if uid not in before))
        return _judged(
            sent, expected, here.keys(), {uid: rule for uid, rule in discarded.items() if uid not in here}
        )

    @contextmanager
    def _connection(self) -> Iterator[None]:
        with self._places:
            self._brake.check()
            yield

    def _images(self, study_uid: str, series_uid: str) -> frozenset[str] | None:
        """Return the images that the archive says it has of a series; None if it does not tell."""
        try:
            answers = self._wire.find(Level.IMAGE, _keys_of(study_uid, series_uid, ""), _MOST_IMAGES)
        except TooManyFoundError:
            raise
        except PermanentError:
            return None  # an archive may answer at the levels of studies and series only
        mine = (one for one in answers if text(one, "SeriesInstanceUID") in {"", series_uid})
        return frozenset(uid for uid in (text(one, "SOPInstanceUID") for one in mine) if is_uid(uid))

    def _of_series(self, study_uid: str, series_uid: str) -> dict[str, Instance]:
        return {one.sop_uid: one for one in self._held(study_uid) if one.series_uid == series_uid}


def _keys_of(study_uid: str, series_uid: str, sop_uid: str) -> dict[str, str]:
    return {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid, "SOPInstanceUID": sop_uid}


def _judged(
    sent: Sent, expected: frozenset[str] | None, here: Collection[str], discarded: Mapping[str, str]
) -> Retrieved:
    """Compare what an archive says that it sent with what is stored, and what the rules discarded."""
    came = {*here, *discarded}
    told = Retrieved(
        len(here), 0, sent.warnings, discarded=len(discarded), rules=frozenset(discarded.values())
    )
    if expected is None:
        reason = sent.reason or ("" if came else "it said that it sent the series, and no image came")
        return replace(told, failed=sent.failed or int(not came), reason=reason)
    missing = len(expected - came)
    told = replace(
        told, completed=len(expected & set(here)), discarded=len(expected & discarded.keys()), failed=missing
    )
    if not missing:
        return told
    reason = f"it said that it sent the series, and {missing} of {len(expected)} images did not come"
    return replace(told, reason=sent.reason or reason)
