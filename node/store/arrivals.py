"""Records received instances.

Every received image passes here, so the statements are built once: building one costs more than running it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update

from node.domain.completeness import Patience
from node.domain.records import Arrival, ArrivalOutcome, QuarantineEntry
from node.domain.study import StudyEvent, StudyState
from node.store import tables as t
from node.store.rows import instance_row, quarantine_of, quarantine_row
from node.store.steps import find, reopen

__all__ = ["SqlArrivals"]

_THESE = t.instances.c.sop_uid.in_(bindparam("these", expanding=True))
_DIGEST = select(t.instances.c.sha256).where(t.instances.c.sop_uid == bindparam("sop_uid"))
_LAST_GROUP = select(func.max(t.instances.c.arrival_group))
_DELETE = delete(t.instances).where(_THESE)
_Key = tuple[str, str, str]
"""Association, series and study: the primary key of the table of associations."""
_MOST_KEYS = 4096
"""More than there are series being received at one time."""
_MOST_PARAMETERS = 10_000
"""Of a statement; SQLite takes 32,766, PostgreSQL 65,535."""
_NEW_STUDY = insert(t.studies)
_NEW_STEP = insert(t.history)
_MORE_CAME = (
    update(t.studies)
    .where(t.studies.c.study_uid == bindparam("study"))
    .values({name: bindparam(name) for name in ("last_arrival", "deadline", "wait_until")})
    .values(revision=t.studies.c.revision + bindparam("count"))
)
_MORE_OF_THE_SAME = (
    update(t.studies)
    .where(t.studies.c.study_uid == bindparam("study"), t.studies.c.state == StudyState.RECEIVING)
    .values({name: bindparam(name) for name in ("last_arrival", "deadline")})
    .values(revision=t.studies.c.revision + bindparam("count"))
)


class SqlArrivals:
    """The `Arrivals` port.

    Parameters
    ----------
    engine : Engine
        The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept = t.KeptConnection(engine)
        self._new_instance = t.Prepared(engine, t.insert_if_new(engine, t.instances))
        self._new_association = t.Prepared(engine, t.insert_if_new(engine, t.transfers))
        self._more_of_the_same = t.Prepared(engine, _MORE_OF_THE_SAME)
        # Keys that are in the table already, so that not every image of a series costs a statement.
        self._known: set[_Key] = set()
        self._group: int | None = None

    def record_arrivals(
        self,
        arrivals: Sequence[Arrival],
        now: datetime,
        patience: Patience,
        before_commit: Callable[[Sequence[ArrivalOutcome]], None] = lambda _outcomes: None,
    ) -> tuple[ArrivalOutcome, ...]:
        """See `node.ports.Arrivals`."""
        recorded: set[_Key] = set()
        with self._kept.writing() as connection:
            if self._group is None:
                self._group = connection.execute(_LAST_GROUP).scalar() or 0
            # Incremented even if the transaction fails, because its rows may be there until they are deleted.
            self._group += 1
            outcomes = tuple(self._enter(connection, arrival, now, self._group) for arrival in arrivals)
            new = [
                arrival for arrival, outcome in zip(arrivals, outcomes, strict=True)
                if outcome is ArrivalOutcome.STORED
            ]  # fmt: skip
            if new:
                before_commit(outcomes)
                recorded = self._record_associations(connection, new)
                images: Counter[str] = Counter()
                for arrival in new:
                    images[arrival.instance.study_uid] += arrival.instance.is_mr_image
                for study_uid, count in images.items():
                    self._update_study(connection, study_uid, count, now, patience)
        # Only once the transaction is committed. A key that was dropped costs one more statement.
        if len(self._known) > _MOST_KEYS:
            self._known.clear()
        self._known |= recorded
        return outcomes

    def _enter(self, connection: Connection, arrival: Arrival, now: datetime, group: int) -> ArrivalOutcome:
        instance = arrival.instance
        if self._new_instance.run(connection, instance_row(arrival, now, group)):
            return ArrivalOutcome.STORED
        there = connection.execute(_DIGEST, {"sop_uid": instance.sop_uid}).scalar_one()
        return ArrivalOutcome.DUPLICATE if there == instance.sha256 else ArrivalOutcome.CONFLICT

    def _record_associations(self, connection: Connection, arrivals: Iterable[Arrival]) -> set[_Key]:
        """Record over which associations new instances were received; return the keys, known ones too."""
        keys = {
            (arrival.association, arrival.instance.series_uid, arrival.instance.study_uid)
            for arrival in arrivals
            if arrival.association
        }
        for association, series_uid, study_uid in keys - self._known:
            row = {"association": association, "series_uid": series_uid, "study_uid": study_uid}
            self._new_association.run(connection, row | {"cut_off_at": None})
        return keys

    def _update_study(
        self, connection: Connection, study_uid: str, count: int, now: datetime, patience: Patience
    ) -> None:
        """Create or reopen the study of new instances.

        Only the images among them, `count`, reopen a study: other objects cannot change a result.
        """
        quiet_at = now + patience.quiet
        # All instances but the first of a study end here, without a read.
        more = {"study": study_uid, "count": count}
        times = {"last_arrival": now.timestamp(), "deadline": quiet_at.timestamp()}
        if self._more_of_the_same.run(connection, more | times):
            return
        study = find(connection, study_uid)
        if study is None:
            _create_study(connection, study_uid, count, now, patience)
            return
        came = more | {"last_arrival": now}
        if not count:
            connection.execute(
                _MORE_CAME, came | {"deadline": study.deadline, "wait_until": study.wait_until}
            )
            return
        reopen(connection, study, now, f"more images came while it was {study.state}")
        # The wait for a missing sequence starts again: what arrives late may belong to another pair.
        connection.execute(_MORE_CAME, came | {"deadline": quiet_at, "wait_until": now + patience.wait})

    def delete_arrivals(self, sop_uids: Iterable[str]) -> None:
        """See `node.ports.Arrivals`."""
        these = list(sop_uids)
        with t.writing(self._engine) as connection:
            for at in range(0, len(these), _MOST_PARAMETERS):
                connection.execute(_DELETE, {"these": these[at : at + _MOST_PARAMETERS]})

    def record_quarantine(self, entry: QuarantineEntry) -> None:
        """See `node.ports.Arrivals`."""
        with t.writing(self._engine) as connection:
            connection.execute(insert(t.quarantine).values(quarantine_row(entry)))

    def quarantined(self, study_uid: str, reason: str) -> tuple[QuarantineEntry, ...]:
        """See `node.ports.StudyReader`."""
        # Not by a list of UIDs: a study may have more instances than a statement may have parameters.
        of_study = select(t.instances.c.sop_uid).where(t.instances.c.study_uid == study_uid)
        of_these = (
            select(t.quarantine)
            .where(t.quarantine.c.sop_uid.in_(of_study), t.quarantine.c.reason == reason)
            .order_by(t.quarantine.c.at)
        )
        with t.reading(self._engine) as connection:
            entries = [quarantine_of(row) for row in connection.execute(of_these)]
        return tuple({entry.sop_uid: entry for entry in entries}.values())


def _create_study(
    connection: Connection, study_uid: str, count: int, now: datetime, patience: Patience
) -> None:
    study = {"study_uid": study_uid, "state": StudyState.RECEIVING, "revision": max(count, 1), "reason": ""}
    begun = {
        "changed_at": now,
        "first_arrival": now,
        "last_arrival": now,
        "deadline": now + patience.quiet,
        "wait_until": now + patience.wait,
        "attempts": 0,
        "summary": "{}",
    }
    connection.execute(_NEW_STUDY, study | begun)
    connection.execute(_NEW_STEP, study | {"at": now, "event": StudyEvent.ARRIVED})
