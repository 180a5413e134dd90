"""The store: the truth about every study; each public method is one transaction."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import and_, delete, or_, select, update

from analysis.domain.reason import Reason
from dicom_templates.options import Predecessor
from node.domain.delivery import OPEN_DELIVERY_STATES, DeliveryState
from node.domain.records import (
    HistoryEntry,
    Instance,
    NewResult,
    Study,
    StudyLease,
)
from node.domain.study import StudyEvent, StudyState
from node.store import tables as t
from node.store.arrivals import SqlArrivals
from node.store.associations import SqlAssociationRecords
from node.store.claim import claim
from node.store.explanations import SqlExplanations
from node.store.figures import SqlFigures
from node.store.outbox import SqlOutbox
from node.store.rows import (
    history_of,
    instance_of,
    study_of,
)
from node.store.schema import prepare
from node.store.steps import (
    count_open,
    find,
    for_update,
    held,
    move,
    put_delivery,
    put_results,
    withdraw,
)

__all__ = ["SqlStore"]

_SET_BACK = timedelta(minutes=1)


class SqlStore(SqlArrivals, SqlOutbox, SqlAssociationRecords, SqlExplanations, SqlFigures):
    """The `Store` port over SQLAlchemy.

    Parameters
    ----------
    url : str
        SQLAlchemy URL; SQLite and PostgreSQL are meant.

    Raises
    ------
    PermanentError
        If there is no such database, or it holds tables of another version.
    """

    def __init__(self, url: str) -> None:
        super().__init__(t.open_engine(url))
        try:
            prepare(self._engine)
        except BaseException:
            self._engine.dispose()
            raise
        self._release: Callable[[], None] = _nothing

    def claim(self) -> None:
        """Take the database for this node until `close`.

        Raises
        ------
        PermanentError
            If another node has it.
        """
        self._release = claim(self._engine)

    def close(self) -> None:
        """Close every connection, and let another node have the database."""
        self._engine.dispose()
        self._release()

    def instances(self, study_uid: str) -> tuple[Instance, ...]:
        """See `node.ports.Store`."""
        of_study = (
            select(t.instances).where(t.instances.c.study_uid == study_uid).order_by(t.instances.c.sop_uid)
        )
        with t.reading(self._engine) as connection:
            return tuple(instance_of(row) for row in connection.execute(of_study))

    def senders(self, study_uid: str) -> frozenset[tuple[str, str]]:
        """See `node.ports.Store`."""
        of_study = select(t.instances.c.calling_ae, t.instances.c.host).where(
            t.instances.c.study_uid == study_uid
        )
        with t.reading(self._engine) as connection:
            return frozenset((row.calling_ae, row.host) for row in connection.execute(of_study.distinct()))

    def all_instances(self) -> Iterator[Instance]:
        """See `node.ports.Store`."""
        with t.reading(self._engine) as connection:
            for row in connection.execute(select(t.instances).order_by(t.instances.c.sop_uid)):
                yield instance_of(row)

    def forget_originals(self, study: Study, remove: Callable[[Sequence[Instance]], None]) -> bool:
        """Remove the rows of a study's originals, and their files, unless it changed since it was read.

        Parameters
        ----------
        study : Study
            As it was read.
        remove : callable
            Removes the files. It is called while the study is held, so that what arrives meanwhile waits, and
            nothing that was just promised to a sender is removed.

        Returns
        -------
        bool
            Whether they were removed.
        """
        of_study = t.instances.c.study_uid == study.study_uid
        with t.writing(self._engine) as connection:
            now = find(connection, study.study_uid)
            if now is None or (now.state, now.revision, now.last_arrival) != (
                study.state, study.revision, study.last_arrival,
            ):  # fmt: skip
                return False
            rows = connection.execute(select(t.instances).where(of_study))
            remove([instance_of(row) for row in rows])
            connection.execute(delete(t.instances).where(of_study))
        return True

    def due_studies(self, now: datetime) -> tuple[Study, ...]:
        """See `node.ports.Store`."""
        row = t.studies.c
        # What came later than now came before the clock was set back; nobody waits until it has caught up.
        set_back = and_(row.state == StudyState.RECEIVING, row.last_arrival > now + _SET_BACK)
        passed = and_(
            row.state.in_([StudyState.RECEIVING, StudyState.SETTLED, StudyState.WAITING_FOR_PAIR]),
            row.deadline <= now,
        )
        due = select(t.studies).where(or_(passed, set_back)).order_by(row.deadline)
        with t.reading(self._engine) as connection:
            return tuple(study_of(row) for row in connection.execute(due))

    def advance(
        self,
        study: Study,
        event: StudyEvent,
        now: datetime,
        *,
        reason: str = "",
        deadline: datetime | None = None,
        attempts: int = 0,
        unexplained: Sequence[Reason] = (),
    ) -> Study | None:
        """See `node.ports.Store`."""
        with t.writing(self._engine) as connection:
            current = find(connection, study.study_uid)
            if current is None or (current.state, current.revision) != (study.state, study.revision):
                return None
            move(
                connection, current, event, now,
                reason=reason, deadline=deadline, attempts=attempts, unexplained=unexplained,
            )  # fmt: skip
            return find(connection, study.study_uid)

    def study(self, study_uid: str) -> Study | None:
        """See `node.ports.Store`."""
        with t.reading(self._engine) as connection:
            return find(connection, study_uid)

    def unchanged_since(self, states: Iterable[StudyState], moment: datetime) -> tuple[Study, ...]:
        """Return the studies that hold originals, have not changed since, and have nothing left to do."""
        holds = select(t.instances.c.sop_uid).where(t.instances.c.study_uid == t.studies.c.study_uid).exists()
        still_to_send = (
            select(t.deliveries.c.id)
            .where(
                t.deliveries.c.study_uid == t.studies.c.study_uid,
                t.deliveries.c.state.in_(list(OPEN_DELIVERY_STATES)),
            )
            .exists()
        )
        old = select(t.studies).where(
            t.studies.c.state.in_(list(states)),
            t.studies.c.changed_at <= moment,
            t.studies.c.last_arrival <= moment,
            t.studies.c.deadline.is_(None),
            holds,
            ~still_to_send,
        )
        with t.reading(self._engine) as connection:
            return tuple(study_of(row) for row in connection.execute(old))

    def history(self, study_uid: str) -> tuple[HistoryEntry, ...]:
        """See `node.ports.Store`."""
        steps = select(t.history).where(t.history.c.study_uid == study_uid).order_by(t.history.c.id)
        with t.reading(self._engine) as connection:
            return tuple(history_of(row) for row in connection.execute(steps))

    def coming_studies(self, quiet_since: datetime) -> tuple[Study, ...]:
        """See `node.ports.Store`."""
        coming = (
            select(t.studies)
            .where(t.studies.c.state == StudyState.RECEIVING, t.studies.c.last_arrival <= quiet_since)
            .order_by(t.studies.c.last_arrival)
        )
        with t.reading(self._engine) as connection:
            return tuple(study_of(row) for row in connection.execute(coming))

    def lease_study(
        self, owner: str, now: datetime, until: datetime, *, but_not: Collection[str] = ()
    ) -> StudyLease | None:
        """See `node.ports.Store`."""
        # A study is free when it is ready and its back-off is over, or when its lease ran out.
        free = or_(
            and_(t.studies.c.state == StudyState.READY, t.studies.c.deadline <= now),
            and_(t.studies.c.state == StudyState.ANALYSING, t.studies.c.lease_until <= now),
        )
        others = t.studies.c.study_uid.not_in(but_not)
        waiting_longest = select(t.studies).where(free, others).order_by(t.studies.c.changed_at).limit(1)
        token = uuid4().hex
        with t.writing(self._engine) as connection:
            row = connection.execute(for_update(waiting_longest)).first()
            if row is None:
                return None
            study = study_of(row)
            expired = study.state is StudyState.ANALYSING
            attempts = study.attempts + expired
            move(connection, study, StudyEvent.LEASED, now, attempts=attempts)
            connection.execute(
                update(t.studies)
                .where(t.studies.c.study_uid == study.study_uid)
                .values(lease_token=token, lease_owner=owner, lease_until=until)
            )
        return StudyLease(study.study_uid, study.revision, attempts + 1, token)

    def record_results(
        self,
        lease: StudyLease,
        results: Sequence[NewResult],
        summary: Mapping[str, str],
        now: datetime,
        *,
        key: str = "",
        replaced: Sequence[Predecessor] = (),
    ) -> None:
        """See `node.ports.Store`."""
        with t.writing(self._engine) as connection:
            study = held(connection, lease)
            study = move(connection, study, StudyEvent.REPORTED, now)
            connection.execute(
                update(t.studies)
                .where(t.studies.c.study_uid == study.study_uid)
                .values(summary=json.dumps(dict(summary)))
            )
            uids = [result.sop_uid for result in results]
            withdraw(connection, study.study_uid, "a newer result replaced it", now, but=uids)
            put_results(connection, study, results, now, key=key, replaced=replaced)
            for result in results:
                for destination in result.destinations:
                    put_delivery(connection, study, result, destination, now)
            still_open = count_open(connection, study.study_uid)
            event = StudyEvent.DELIVERY_BEGAN if still_open else StudyEvent.DELIVERY_ENDED
            reason = "" if still_open else "every destination has these results already"
            move(connection, study, event, now, reason=reason)

    def record_refusal(
        self,
        lease: StudyLease,
        reasons: Sequence[str],
        now: datetime,
        *,
        unexplained: Sequence[Reason] = (),
    ) -> None:
        """See `node.ports.Store`."""
        with t.writing(self._engine) as connection:
            study = held(connection, lease)
            # What an earlier revision reported is not unsent: it was true of what was there then.
            words = "; ".join(reasons)
            move(connection, study, StudyEvent.REFUSED, now, reason=words, unexplained=unexplained)

    def record_broken(self, lease: StudyLease, reason: str, now: datetime, retry_at: datetime | None) -> None:
        """See `node.ports.Store`."""
        with t.writing(self._engine) as connection:
            study = held(connection, lease)
            event = StudyEvent.GAVE_UP if retry_at is None else StudyEvent.BROKE
            move(connection, study, event, now, reason=reason, deadline=retry_at, attempts=lease.attempt)

    def release_leases(self, now: datetime) -> int:
        """Free what a node that is no more had taken; call it only while no other works on this store.

        Returns
        -------
        int
            How many studies and deliveries were freed. None of them counts an attempt: it was the node that
            ended, not the work that failed.
        """
        held = select(t.studies).where(t.studies.c.state == StudyState.ANALYSING)
        with t.writing(self._engine) as connection:
            studies = [study_of(row) for row in connection.execute(held)]
            for study in studies:
                move(
                    connection, study, StudyEvent.BROKE, now,
                    reason="the node stopped meanwhile", deadline=now, attempts=study.attempts,
                )  # fmt: skip
            sending = connection.execute(
                update(t.deliveries)
                .where(t.deliveries.c.state == DeliveryState.SENDING)
                .values(state=DeliveryState.WAITING, lease_token=None, lease_until=None, not_before=now)
            )
            confirming = connection.execute(
                update(t.deliveries)
                .where(
                    t.deliveries.c.state == DeliveryState.UNCONFIRMED, t.deliveries.c.lease_until.is_not(None)
                )
                .values(lease_token=None, lease_until=None)
            )
            return len(studies) + sending.rowcount + confirming.rowcount


def _nothing() -> None:
    """There is nothing to release."""
