"""The door of the store: new instances, with all that each of them costs.

Statements are built once, here: building them costs more than running them, and this is the one place where
that counts, since every image that comes in passes it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update

from node.domain.assembly import Patience
from node.domain.records import Arrival, ArrivalOutcome, Instance, QuarantineEntry
from node.domain.study import StudyEvent, StudyState
from node.store import tables as t
from node.store.rows import instance_of, instance_row, quarantine_of, quarantine_row
from node.store.steps import find, reopen

__all__ = ["SqlArrivals"]

_THESE = t.instances.c.sop_uid.in_(bindparam("these", expanding=True))
_DIGEST = select(t.instances.c.sha256).where(t.instances.c.sop_uid == bindparam("sop_uid"))
_LAST_GROUP = select(func.max(t.instances.c.arrival_group))
_WITHDRAW = delete(t.instances).where(_THESE)
_Transfer = tuple[str, str, str]
_NOTED = 4096
"""More associations and series than are ever open at once."""
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
    """The part of the `Store` port that takes instances in.

    Parameters
    ----------
    engine : Engine
        The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._new_instance = t.Prepared(engine, t.insert_if_new(engine, t.instances))
        self._new_transfer = t.Prepared(engine, t.insert_if_new(engine, t.transfers))
        self._more_of_the_same = t.Prepared(engine, _MORE_OF_THE_SAME)
        # What is in the table already, so that nothing need be asked for each image of a series.
        self._noted: set[_Transfer] = set()
        self._group: int | None = None

    def record_arrivals(
        self,
        arrivals: Sequence[Arrival],
        now: datetime,
        patience: Patience,
        place: Callable[[Sequence[ArrivalOutcome]], None] = lambda _outcomes: None,
    ) -> tuple[ArrivalOutcome, ...]:
        """See `node.ports.Store`."""
        noted: set[_Transfer] = set()
        with t.writing(self._engine) as connection:
            if self._group is None:
                self._group = connection.execute(_LAST_GROUP).scalar() or 0
            # Counted on even where this transaction fails: what it may have left behind is withdrawn.
            self._group += 1
            outcomes = tuple(self._enter(connection, arrival, now, self._group) for arrival in arrivals)
            new = [
                arrival for arrival, outcome in zip(arrivals, outcomes, strict=True)
                if outcome is ArrivalOutcome.STORED
            ]  # fmt: skip
            if new:
                place(outcomes)
                noted = self._note_transfers(connection, new)
                matter: Counter[str] = Counter()
                for arrival in new:
                    matter[arrival.instance.study_uid] += arrival.instance.is_mr_image
                for study_uid, count in matter.items():
                    self._note_arrivals(connection, study_uid, count, now, patience)
        # Not before it is committed; a key that is forgotten is asked for once more.
        if len(self._noted) > _NOTED:
            self._noted.clear()
        self._noted |= noted
        return outcomes

    def _enter(self, connection: Connection, arrival: Arrival, now: datetime, group: int) -> ArrivalOutcome:
        instance = arrival.instance
        if self._new_instance.run(connection, instance_row(arrival, now, group)):
            return ArrivalOutcome.STORED
        there = connection.execute(_DIGEST, {"sop_uid": instance.sop_uid}).scalar_one()
        return ArrivalOutcome.DUPLICATE if there == instance.sha256 else ArrivalOutcome.CONFLICT

    def _note_transfers(self, connection: Connection, arrivals: Iterable[Arrival]) -> set[_Transfer]:
        """Note the associations of new instances, as far as that is news; return what was noted."""
        keys = {
            (arrival.association, arrival.instance.series_uid, arrival.instance.study_uid)
            for arrival in arrivals
            if arrival.association
        }
        for association, series_uid, study_uid in keys - self._noted:
            row = {"association": association, "series_uid": series_uid, "study_uid": study_uid}
            self._new_transfer.run(connection, row | {"cut_off_at": None})
        return keys

    def _note_arrivals(
        self, connection: Connection, study_uid: str, count: int, now: datetime, patience: Patience
    ) -> None:
        """Open the study of new instances; those that do not count only found it."""
        quiet_at = now + patience.quiet
        # All but the first of a study end here, with nothing read.
        more = {"study": study_uid, "count": count}
        times = {"last_arrival": now.timestamp(), "deadline": quiet_at.timestamp()}
        if self._more_of_the_same.run(connection, more | times):
            return
        study = find(connection, study_uid)
        if study is None:
            _found(connection, study_uid, count, now, patience)
            return
        came = more | {"last_arrival": now}
        if not count:
            connection.execute(
                _MORE_CAME, came | {"deadline": study.deadline, "wait_until": study.wait_until}
            )
            return
        reopen(connection, study, now, f"more images came while it was {study.state}")
        # The wait for the other sequence begins anew: the latecomer may itself be one of a pair.
        connection.execute(_MORE_CAME, came | {"deadline": quiet_at, "wait_until": now + patience.wait})

    def withdraw_arrivals(self, sop_uids: Iterable[str]) -> None:
        """See `node.ports.Store`."""
        with t.writing(self._engine) as connection:
            connection.execute(_WITHDRAW, {"these": list(sop_uids)})

    def last_group(self) -> tuple[Instance, ...]:
        """Return the instances whose files may not have reached the disk before the last process ended."""
        last = select(t.instances).where(t.instances.c.arrival_group == _LAST_GROUP.scalar_subquery())
        with t.reading(self._engine) as connection:
            return tuple(instance_of(row) for row in connection.execute(last))

    def record_quarantine(self, entry: QuarantineEntry) -> None:
        """See `node.ports.Store`."""
        with t.writing(self._engine) as connection:
            connection.execute(insert(t.quarantine).values(quarantine_row(entry)))

    def quarantined(self, sop_uids: Iterable[str], reason: str) -> tuple[QuarantineEntry, ...]:
        """Return what was put aside of these instances for this reason, the last of each."""
        of_these = (
            select(t.quarantine)
            .where(t.quarantine.c.sop_uid.in_(list(sop_uids)), t.quarantine.c.reason == reason)
            .order_by(t.quarantine.c.at)
        )
        with t.reading(self._engine) as connection:
            entries = [quarantine_of(row) for row in connection.execute(of_these)]
        return tuple({entry.sop_uid: entry for entry in entries}.values())


def _found(connection: Connection, study_uid: str, count: int, now: datetime, patience: Patience) -> None:
    """Begin a study with its first instances."""
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
