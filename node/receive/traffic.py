"""Which associations are open, what they brought, and how they ended; the `OpenAssociations` port."""

import threading
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from node.domain.records import AssociationRecord
from node.ports import AssociationRecords, Clock

__all__ = ["OpenTransfers"]


@dataclass(slots=True)
class _Open:
    token: str
    began_at: datetime
    series: set[tuple[str, str]] = field(default_factory=set)
    orderly: bool | None = None
    """How it ended; None while it is open."""
    on_its_way: int = 0
    """Instances that came whole and are not in the store yet."""


class OpenTransfers:
    """Follows associations from their first instance to their end.

    DICOM has no end-of-study signal. What an association says by its end is whether all of it came: a release
    says so; an abort or a lost connection leaves a series that may be a part, however even its slices lie.

    Parameters
    ----------
    transfers : AssociationRecords
        Remembers those that were cut off.
    clock : Clock
        The time.
    """

    def __init__(self, transfers: AssociationRecords, clock: Clock) -> None:
        self._transfers = transfers
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, _Open] = {}

    def note(self, association: threading.Thread, study_uid: str, series_uid: str) -> str:
        """Remember what an association, by its thread, is bringing; return its name for `Arrival`.

        Of each instance it is told by `landed` that it is in the store, or will not be.
        """
        with self._lock:
            there = self._open.get(association)
            if there is None:
                there = self._open[association] = _Open(uuid4().hex, self._clock.now())
            there.series.add((study_uid, series_uid))
            there.on_its_way += 1
            return there.token

    def landed(self, association: threading.Thread) -> None:
        """Note that one of its instances is on its way no more."""
        with self._lock:
            there = self._open[association]
            there.on_its_way -= 1
            orderly = there.orderly
        if orderly is not None:
            self.end(association, orderly=orderly)

    def end(self, association: threading.Thread, *, orderly: bool) -> None:
        """Note that an association is over; its first end counts, and is kept until the store has it."""
        with self._lock:
            ended = self._open.get(association)
            if ended is None:
                return
            if ended.orderly is None:
                ended.orderly = orderly
            if ended.on_its_way:
                return  # it would be entered after its end was; `landed` comes back to it
        transfer = AssociationRecord(ended.token, ended.began_at, frozenset(ended.series))
        # Recorded while it still counts as open, so that nobody settles the study in between.
        self._transfers.end_association(transfer, self._clock.now(), orderly=ended.orderly)
        with self._lock:
            self._open.pop(association, None)

    def is_open(self, study_uid: str) -> bool:
        """See `node.ports.OpenAssociations`."""
        with self._lock:
            bringing = [
                association
                for association, there in self._open.items()
                if any(study_uid == study for study, _ in there.series)
            ]
            on_their_way = {association for association in bringing if self._open[association].on_its_way}
        dead = [one for one in bringing if not (one.is_alive() or one in on_their_way)]
        for association in dead:  # it ended without a word, or its end could not be recorded then
            self.end(association, orderly=False)
        return len(dead) < len(bringing)
