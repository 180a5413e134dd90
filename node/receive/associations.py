"""Which associations are open, which series they sent, how they ended; the `OpenAssociations` port."""

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from node.domain.records import AssociationRecord
from node.ports import AssociationRecords, Channel, Clock

__all__ = ["AssociationRegister"]


@dataclass(slots=True)
class _Open:
    token: str
    began_at: datetime
    series: set[tuple[str, str]] = field(default_factory=set)
    last_sent: dict[str, datetime] = field(default_factory=dict)
    """When the latest instance of each study came; the study of the latest instance of all is the last."""
    orderly: bool | None = None
    """How it ended; None while it is open."""
    pending: int = 0
    """Number of instances that were received completely and are not in the store yet."""

    def may_send(self, study_uid: str, now: datetime, gone_on: timedelta) -> bool:
        """Tell whether more of a study may come; see `node.ports.OpenAssociations`."""
        came = self.last_sent.get(study_uid)
        if came is None:
            return False
        return next(reversed(self.last_sent)) == study_uid or now - came < gone_on


class AssociationRegister:
    """Follows associations from their first instance to their end.

    DICOM has no end-of-study signal, but the end of an association tells whether all of it was received: a
    release means that it was. An abort or a lost connection leaves series that may be incomplete, however
    regular their slices are.

    Parameters
    ----------
    records : AssociationRecords
        Stores which associations were cut off.
    clock : Clock
        The time.
    """

    def __init__(self, records: AssociationRecords, clock: Clock) -> None:
        self._records = records
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[Channel, _Open] = {}

    def note(self, association: Channel, study_uid: str, series_uid: str) -> str:
        """Note that an instance was received completely; return the token of its association for `Arrival`.

        `concluded` must be called for it once it is in the store, or known not to be. An association of
        pynetdicom is its thread.
        """
        with self._lock:
            there = self._open.get(association)
            if there is None:
                there = self._open[association] = _Open(uuid4().hex, self._clock.now())
            there.series.add((study_uid, series_uid))
            there.last_sent.pop(study_uid, None)
            there.last_sent[study_uid] = self._clock.now()
            there.pending += 1
            return there.token

    def note_discarded(self, association: Channel, study_uid: str) -> None:
        """Note that an instance was received of which nothing is kept: more of its study may come.

        Without this, a study would be taken to go on for as long as its association brings others that are
        discarded.
        """
        with self._lock:
            there = self._open.get(association)
            if there is None:
                # One whose end nobody noticed has nothing to record.
                self._open = {one: it for one, it in self._open.items() if it.series or one.is_alive()}
                there = self._open[association] = _Open(uuid4().hex, self._clock.now())
            there.last_sent.pop(study_uid, None)
            there.last_sent[study_uid] = self._clock.now()

    def concluded(self, association: Channel) -> None:
        """Note that an instance of an association is in the store, or will not be."""
        with self._lock:
            there = self._open[association]
            there.pending -= 1
            orderly = there.orderly
        if orderly is not None:
            self.end(association, orderly=orderly)

    def end(self, association: Channel, *, orderly: bool) -> None:
        """Note that an association has ended; only its first end counts, and is kept until it is stored."""
        with self._lock:
            ended = self._open.get(association)
            if ended is None:
                return
            if ended.orderly is None:
                ended.orderly = orderly
            if ended.pending:
                return  # these instances must be stored before the end is; the last `concluded` retries
        record = AssociationRecord(ended.token, ended.began_at, frozenset(ended.series))
        if not ended.series:  # all that it brought was discarded
            with self._lock:
                self._open.pop(association, None)
            return
        # Recorded while it still counts as open, so that the study is not settled in between.
        self._records.end_association(record, self._clock.now(), orderly=ended.orderly)
        with self._lock:
            self._open.pop(association, None)

    def is_open(self, study_uid: str, gone_on: timedelta) -> bool:
        """See `node.ports.OpenAssociations`."""
        now = self._clock.now()
        with self._lock:
            senders = [
                association
                for association, there in self._open.items()
                if there.may_send(study_uid, now, gone_on)
            ]
            with_pending = {association for association in senders if self._open[association].pending}
        dead = [one for one in senders if not (one.is_alive() or one in with_pending)]
        for association in dead:  # its end was not noticed, or could not be recorded then
            self.end(association, orderly=False)
        return len(dead) < len(senders)
