"""Reads one study, lists those that are due, and applies events to them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine, and_, bindparam, func, or_, select

from analysis.domain.reason import Reason
from node.domain.records import HistoryEntry, Instance, Study
from node.domain.study import StudyEvent, StudyState
from node.store import tables as t
from node.store.rows import history_of, instance_of, study_of
from node.store.steps import apply_event, find
from node.store.wish_rows import is_backlog

__all__ = ["SqlStudies"]

_SET_BACK = timedelta(minutes=1)
"""A clock that was set back by less than this is not noticed."""

# Built once, because every sweep asks for these, and building a statement costs more than running it.
_ROW = t.studies.c
_COMING = (
    select(t.studies)
    .where(_ROW.state == StudyState.RECEIVING, _ROW.last_arrival <= bindparam("quiet_since"))
    .order_by(is_backlog(_ROW.study_uid), _ROW.last_arrival)
)
_DUE = (
    select(t.studies)
    .where(
        or_(
            and_(
                _ROW.state.in_([StudyState.RECEIVING, StudyState.SETTLED, StudyState.WAITING_FOR_PAIR]),
                _ROW.deadline <= bindparam("now"),
            ),
            # An arrival later than now was recorded before the clock was set back. The study does not wait
            # until the clock has caught up.
            and_(_ROW.state == StudyState.RECEIVING, _ROW.last_arrival > bindparam("ahead")),
        )
    )
    .order_by(is_backlog(_ROW.study_uid), _ROW.deadline)
)


class SqlStudies:
    """The `SettlingQueue` port, except for the records of associations.

    Parameters
    ----------
    engine : Engine
        The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def instances(self, study_uid: str) -> tuple[Instance, ...]:
        """See `node.ports.StudyReader`."""
        of_study = (
            select(t.instances).where(t.instances.c.study_uid == study_uid).order_by(t.instances.c.sop_uid)
        )
        with t.reading(self._engine) as connection:
            return tuple(instance_of(row) for row in connection.execute(of_study))

    def count_instances(self, study_uid: str) -> int:
        """See `node.ports.StudyReader`."""
        of_study = select(func.count()).select_from(t.instances).where(t.instances.c.study_uid == study_uid)
        with t.reading(self._engine) as connection:
            return connection.execute(of_study).scalar_one()

    def senders(self, study_uid: str) -> frozenset[tuple[str, str]]:
        """See `node.ports.StudyReader`."""
        of_study = select(t.instances.c.calling_ae, t.instances.c.host).where(
            t.instances.c.study_uid == study_uid
        )
        with t.reading(self._engine) as connection:
            return frozenset((row.calling_ae, row.host) for row in connection.execute(of_study.distinct()))

    def due_studies(self, now: datetime) -> tuple[Study, ...]:
        """See `node.ports.SettlingQueue`."""
        times = {"now": now, "ahead": now + _SET_BACK}
        with t.reading(self._engine) as connection:
            return tuple(study_of(row) for row in connection.execute(_DUE, times))

    def advance(
        self,
        study: Study,
        event: StudyEvent,
        now: datetime,
        *,
        reason: str = "",
        deadline: datetime | None = None,
        attempts: int = 0,
        reasons: Sequence[Reason] = (),
        reasons_to_report: Sequence[Reason] = (),
    ) -> Study | None:
        """See `node.ports.SettlingQueue`."""
        with t.writing(self._engine) as connection:
            current = find(connection, study.study_uid)
            if current is None or (current.state, current.revision) != (study.state, study.revision):
                return None
            apply_event(
                connection, current, event, now,
                reason=reason, deadline=deadline, attempts=attempts, reasons=reasons,
                reasons_to_report=reasons_to_report,
            )  # fmt: skip
            return find(connection, study.study_uid)

    def study(self, study_uid: str) -> Study | None:
        """See `node.ports.StudyReader`."""
        with t.reading(self._engine) as connection:
            return find(connection, study_uid)

    def history(self, study_uid: str) -> tuple[HistoryEntry, ...]:
        """See `node.ports.StudyReader`."""
        steps = select(t.history).where(t.history.c.study_uid == study_uid).order_by(t.history.c.id)
        with t.reading(self._engine) as connection:
            return tuple(history_of(row) for row in connection.execute(steps))

    def coming_studies(self, quiet_since: datetime) -> tuple[Study, ...]:
        """See `node.ports.SettlingQueue`."""
        with t.reading(self._engine) as connection:
            return tuple(study_of(row) for row in connection.execute(_COMING, {"quiet_since": quiet_since}))
