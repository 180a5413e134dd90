"""Refusals of which a report is still to be sent."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, bindparam, select, update

from dicom_templates.options import Predecessor
from node.domain.records import DueRefusalReport, NewResult, Study
from node.domain.study import StudyState
from node.store import tables as t
from node.store.reasons import reasons_of
from node.store.rows import study_of
from node.store.steps import find, put_delivery, put_results, supersede_deliveries
from node.store.wish_rows import is_backlog

__all__ = ["SqlRefusalReports"]

# Built once, because every sweep asks for it.
_DUE = (
    select(t.studies)
    .where(
        t.studies.c.state == StudyState.REFUSED,
        t.studies.c.deadline <= bindparam("now"),
        t.studies.c.unexplained.is_not(None),
    )
    .order_by(is_backlog(t.studies.c.study_uid), t.studies.c.deadline)
)


class SqlRefusalReports:
    """The `RefusalReportQueue` port, except for reading one study.

    A refusal and the note that a report of it is due are written in one transaction; so are the report in the
    outbox and the removal of that note. So after a crash at any point the report is either still due or
    already queued.

    Parameters
    ----------
    engine : Engine
        The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def due_refusal_reports(self, now: datetime) -> tuple[DueRefusalReport, ...]:
        """See `node.ports.RefusalReportQueue`."""
        with t.reading(self._engine) as connection:
            rows = connection.execute(_DUE, {"now": now}).all()
        return tuple(DueRefusalReport(study_of(row), reasons_of(row.unexplained)) for row in rows)

    def record_refusal_report(
        self,
        study: Study,
        results: Sequence[NewResult],
        now: datetime,
        *,
        key: str = "",
        replaced: Sequence[Predecessor] = (),
        made: datetime | None = None,
    ) -> None:
        """See `node.ports.RefusalReportQueue`."""
        with t.writing(self._engine) as connection:
            if not _is_unchanged(connection, study):
                return
            if results:
                uids = [result.sop_uid for result in results]
                supersede_deliveries(
                    connection, study.study_uid, "a newer explanation replaced it", now, but=uids
                )
                put_results(connection, study, results, made or now, key=key, replaced=replaced)
            for result in results:
                for destination in result.destinations:
                    put_delivery(connection, study, result, destination, now)
            connection.execute(
                update(t.studies)
                .where(t.studies.c.study_uid == study.study_uid)
                .values(unexplained=None, deadline=None)
            )

    def put_off_refusal_report(self, study: Study, until: datetime, *, attempts: int) -> None:
        """See `node.ports.RefusalReportQueue`."""
        with t.writing(self._engine) as connection:
            if _is_unchanged(connection, study):
                connection.execute(
                    update(t.studies)
                    .where(t.studies.c.study_uid == study.study_uid)
                    .values(deadline=until, attempts=attempts)
                )


def _is_unchanged(connection: Connection, study: Study) -> bool:
    """Tell whether a study is still the same refusal, with the same images."""
    now = find(connection, study.study_uid)
    same = (study.state, study.revision, study.changed_at)
    return now is not None and (now.state, now.revision, now.changed_at) == same
