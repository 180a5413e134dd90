"""Which series were received over which association, and which of them were cut off."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, Engine, bindparam, delete, select, update

from node.domain.records import AssociationRecord
from node.domain.study import StudyEvent, StudyState
from node.store import tables as t
from node.store.steps import apply_event, find, reopen

__all__ = ["SqlAssociationRecords"]

_SENT_AGAIN = "a series that was cut off was sent again"
_FORGET = delete(t.transfers).where(
    t.transfers.c.association == bindparam("lost_over"),
    t.transfers.c.series_uid == bindparam("series"),
    t.transfers.c.study_uid == bindparam("study"),
)


class SqlAssociationRecords:
    """The `AssociationRecords` port, and what recovery and operators change in it.

    Parameters
    ----------
    engine : Engine
        The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def end_association(self, record: AssociationRecord, now: datetime, *, orderly: bool) -> None:
        """See `node.ports.AssociationRecords`."""
        ours = t.transfers.c.association == record.association
        with t.writing(self._engine) as connection:
            if not orderly:
                connection.execute(update(t.transfers).where(ours).values(cut_off_at=now))
                return
            connection.execute(delete(t.transfers).where(ours))
            for study_uid in _made_whole(connection, record):
                _reexamine(connection, study_uid, now)

    def cut_off_associations(self, now: datetime) -> int:
        """See `node.ports.Recovery`."""
        still_open = t.transfers.c.cut_off_at.is_(None)
        with t.writing(self._engine) as connection:
            return connection.execute(update(t.transfers).where(still_open).values(cut_off_at=now)).rowcount

    def cut_off_series(self, study_uid: str) -> frozenset[str]:
        """See `node.ports.AssociationRecords`."""
        lost = select(t.transfers.c.series_uid).where(
            t.transfers.c.study_uid == study_uid, t.transfers.c.cut_off_at.is_not(None)
        )
        with t.reading(self._engine) as connection:
            return frozenset(connection.execute(lost).scalars())

    def forgive_cut_off(self, study_uid: str) -> None:
        """See `node.ports.OperatorCommands`."""
        with t.writing(self._engine) as connection:
            connection.execute(
                delete(t.transfers).where(
                    t.transfers.c.study_uid == study_uid, t.transfers.c.cut_off_at.is_not(None)
                )
            )


def _made_whole(connection: Connection, record: AssociationRecord) -> Iterable[str]:
    """Delete the cut-off records of series that this association sent again; return their studies."""
    # An association that was open at the same time as the lost one proves nothing: the sender may have split
    # the series between them.
    earlier = t.transfers.c.cut_off_at < record.began_at
    touched = []
    for study_uid in sorted({study_uid for study_uid, _ in record.series}):
        # One look at the lost series of a study, of which there may be as many as this association has sent.
        lost = select(t.transfers).where(t.transfers.c.study_uid == study_uid, earlier)
        again = [
            {"lost_over": row.association, "series": row.series_uid, "study": study_uid}
            for row in connection.execute(lost)
            if (study_uid, row.series_uid) in record.series
        ]
        if again:
            connection.execute(_FORGET, again)
            touched.append(study_uid)
    return touched


def _reexamine(connection: Connection, study_uid: str, now: datetime) -> None:
    """Examine a study again that was judged, and perhaps reported, without a series that is now complete."""
    study = find(connection, study_uid)
    if study is None or study.state in {StudyState.RECEIVING, StudyState.SETTLED}:
        return
    if study.state in {StudyState.WAITING_FOR_PAIR, StudyState.REFUSED}:
        apply_event(connection, study, StudyEvent.MADE_WHOLE, now, reason=_SENT_AGAIN, deadline=now)
        return
    # No new instance arrived, but more of them count now: a new revision, as if they had just arrived.
    reopen(connection, study, now, _SENT_AGAIN)
    connection.execute(
        update(t.studies).where(t.studies.c.study_uid == study_uid).values(revision=t.studies.c.revision + 1)
    )
