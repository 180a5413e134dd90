"""Which associations brought which series, and which of them were cut off."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, Engine, and_, delete, select, update

from node.domain.records import AssociationRecord
from node.domain.study import StudyEvent, StudyState
from node.store import tables as t
from node.store.steps import find, move, reopen

__all__ = ["SqlAssociationRecords"]

_AGAIN = "a series that was cut off was sent again"


class SqlAssociationRecords:
    """The part of the `Store` port that knows of associations.

    Parameters
    ----------
    engine : Engine
        The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def end_association(self, transfer: AssociationRecord, now: datetime, *, orderly: bool) -> None:
        """See `node.ports.Store`."""
        ours = t.transfers.c.association == transfer.association
        with t.writing(self._engine) as connection:
            if not orderly:
                connection.execute(update(t.transfers).where(ours).values(cut_off_at=now))
                return
            connection.execute(delete(t.transfers).where(ours))
            for study_uid in _made_whole(connection, transfer):
                _look_again(connection, study_uid, now)

    def cut_off_associations(self, now: datetime) -> int:
        """Note that every open association is lost; call it only while no listener runs."""
        still_open = t.transfers.c.cut_off_at.is_(None)
        with t.writing(self._engine) as connection:
            return connection.execute(update(t.transfers).where(still_open).values(cut_off_at=now)).rowcount

    def cut_off_series(self, study_uid: str) -> frozenset[str]:
        """See `node.ports.Store`."""
        lost = select(t.transfers.c.series_uid).where(
            t.transfers.c.study_uid == study_uid, t.transfers.c.cut_off_at.is_not(None)
        )
        with t.reading(self._engine) as connection:
            return frozenset(connection.execute(lost).scalars())

    def forgive_cut_off(self, study_uid: str) -> None:
        """Take a study for whole, because a person says so."""
        with t.writing(self._engine) as connection:
            connection.execute(
                delete(t.transfers).where(
                    t.transfers.c.study_uid == study_uid, t.transfers.c.cut_off_at.is_not(None)
                )
            )


def _made_whole(connection: Connection, transfer: AssociationRecord) -> Iterable[str]:
    """Clear the cut-off series that an association brought again; return their studies."""
    # One that ran side by side with the lost one proves nothing: the sender may have split the series.
    earlier = t.transfers.c.cut_off_at < transfer.began_at
    touched = set()
    for study_uid, series_uid in sorted(transfer.series):
        lost = and_(t.transfers.c.study_uid == study_uid, t.transfers.c.series_uid == series_uid, earlier)
        if connection.execute(delete(t.transfers).where(lost)).rowcount:
            touched.add(study_uid)
    return sorted(touched)


def _look_again(connection: Connection, study_uid: str, now: datetime) -> None:
    """Judge a study again that was judged, and perhaps reported, without the series that is whole now."""
    study = find(connection, study_uid)
    if study is None or study.state in {StudyState.RECEIVING, StudyState.SETTLED}:
        return
    if study.state in {StudyState.WAITING_FOR_PAIR, StudyState.REFUSED}:
        move(connection, study, StudyEvent.MADE_WHOLE, now, reason=_AGAIN, deadline=now)
        return
    # Nothing new came, and still there is more than there was: a new revision, as if its images had come now.
    reopen(connection, study, now, _AGAIN)
    connection.execute(
        update(t.studies).where(t.studies.c.study_uid == study_uid).values(revision=t.studies.c.revision + 1)
    )
