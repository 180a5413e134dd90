"""The store: the truth about every study, in SQL; the only module that knows the database.

Each public method is one transaction. Every change of a study's state goes through `_move`, which asks the
table of `node.domain.study` and writes the history, so that what is not in the table cannot happen.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Dialect,
    Double,
    Engine,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    and_,
    create_engine,
    delete,
    event,
    func,
    insert,
    or_,
    select,
    update,
)

from node.domain.delivery import OPEN_DELIVERY_STATES, DeliveryState
from node.domain.records import (
    Arrival,
    Delivery,
    DeliveryBatch,
    HistoryEntry,
    Instance,
    NewResult,
    QuarantineEntry,
    Result,
    Study,
    StudyLease,
)
from node.domain.results import ResultKind
from node.domain.study import StudyEvent, StudyState, next_state
from node.errors import LeaseLostError

__all__ = ["SqlStore"]

_UID = String(64)


class _Moment(TypeDecorator[datetime]):
    """An aware moment, stored as seconds since 1970: sorts alike in every database, and has no zone to lose."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> float | None:
        del dialect
        return None if value is None else value.timestamp()

    def process_result_value(self, value: float | None, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else datetime.fromtimestamp(value, UTC)


_metadata = MetaData()

_instances = Table(
    "instances",
    _metadata,
    Column("sop_uid", _UID, primary_key=True),
    Column("series_uid", _UID, nullable=False),
    Column("study_uid", _UID, nullable=False, index=True),
    Column("sop_class_uid", _UID, nullable=False),
    Column("transfer_syntax_uid", _UID, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("patient_key", String(64), nullable=False),
    Column("calling_ae", String(16), nullable=False),
    Column("host", String(64), nullable=False),
    Column("received_at", _Moment, nullable=False),
)

_studies = Table(
    "studies",
    _metadata,
    Column("study_uid", _UID, primary_key=True),
    Column("state", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_at", _Moment, nullable=False),
    Column("first_arrival", _Moment, nullable=False),
    Column("last_arrival", _Moment, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("deadline", _Moment),
    Column("wait_until", _Moment, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("summary", Text, nullable=False),
    Column("lease_token", String(64)),
    Column("lease_owner", String(64)),
    Column("lease_until", _Moment),
    # The sweeps ask "which studies in this state are due"; without the index they read every study ever seen.
    Index("studies_by_state", "state", "deadline"),
)

_history = Table(
    "history",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("study_uid", _UID, nullable=False, index=True),
    Column("at", _Moment, nullable=False),
    Column("event", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("reason", Text, nullable=False),
)

_results = Table(
    "results",
    _metadata,
    Column("sop_uid", _UID, primary_key=True),
    Column("study_uid", _UID, nullable=False, index=True),
    Column("revision", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("sop_class_uid", _UID, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", _Moment, nullable=False),
)

_deliveries = Table(
    "deliveries",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("destination", String(32), nullable=False),
    Column("sop_uid", _UID, ForeignKey("results.sop_uid"), nullable=False),
    Column("study_uid", _UID, nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("status", Integer),
    Column("reason", Text, nullable=False),
    Column("not_before", _Moment, nullable=False),
    Column("changed_at", _Moment, nullable=False),
    Column("lease_token", String(64)),
    Column("lease_until", _Moment),
    # A result made twice of the same inputs has the same UID, so it waits and is sent once.
    UniqueConstraint("destination", "sop_uid"),
    Index("deliveries_by_state", "destination", "state", "not_before"),
)

_quarantine = Table(
    "quarantine",
    _metadata,
    Column("name", String(64), primary_key=True),
    Column("sop_uid", _UID, nullable=False),
    Column("reason", Text, nullable=False),
    Column("calling_ae", String(16), nullable=False),
    Column("host", String(64), nullable=False),
    Column("at", _Moment, nullable=False),
)


def _open_engine(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own
            # The driver would begin transactions by itself, and late; `begin` below does it instead.
            connection.isolation_level = None
            # FULL: a commit that returned is on disk, also when the power fails in the next moment.
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            reading = connection.get_execution_options().get("reading")
            # IMMEDIATE takes the write lock at once, so no two transactions read the same row and then both
            # write it: two workers never lease one study.
            connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


class SqlStore:
    """The `Store` port over SQLAlchemy.

    Parameters
    ----------
    url : str
        SQLAlchemy URL; SQLite and PostgreSQL are meant.
    """

    def __init__(self, url: str) -> None:
        self._engine = _open_engine(url)
        _metadata.create_all(self._engine)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._engine.connect().execution_options(reading=True) as connection, connection.begin():
            yield connection

    # --- instances -------------------------------------------------------------------------------------------

    def known_digests(self, sop_uids: Iterable[str]) -> dict[str, str]:
        """See `node.ports.Store`."""
        wanted = select(_instances.c.sop_uid, _instances.c.sha256).where(
            _instances.c.sop_uid.in_(list(sop_uids))
        )
        with self._reading() as connection:
            return {row.sop_uid: row.sha256 for row in connection.execute(wanted)}

    def record_arrivals(
        self, arrivals: Sequence[Arrival], now: datetime, quiet_s: float, wait_s: float
    ) -> None:
        """See `node.ports.Store`."""
        with self._writing() as connection:
            connection.execute(
                insert(_instances),
                [_instance_row(arrival, now) for arrival in arrivals],
            )
            for study_uid in dict.fromkeys(arrival.instance.study_uid for arrival in arrivals):
                count = sum(
                    arrival.matters for arrival in arrivals if arrival.instance.study_uid == study_uid
                )
                _note_arrivals(connection, study_uid, count, now, quiet_s, wait_s)

    def record_quarantine(self, entry: QuarantineEntry) -> None:
        """See `node.ports.Store`."""
        row = {
            name: getattr(entry, name) for name in ("name", "sop_uid", "reason", "calling_ae", "host", "at")
        }
        with self._writing() as connection:
            connection.execute(insert(_quarantine).values(row))

    def quarantine(self, limit: int = 100) -> tuple[QuarantineEntry, ...]:
        """Return what was put aside last."""
        latest = select(_quarantine).order_by(_quarantine.c.at.desc()).limit(limit)
        with self._reading() as connection:
            return tuple(QuarantineEntry(**row._mapping) for row in connection.execute(latest))

    def instances(self, study_uid: str) -> tuple[Instance, ...]:
        """See `node.ports.Store`."""
        of_study = (
            select(_instances).where(_instances.c.study_uid == study_uid).order_by(_instances.c.sop_uid)
        )
        with self._reading() as connection:
            return tuple(_instance(row) for row in connection.execute(of_study))

    def all_instances(self) -> Iterator[Instance]:
        """See `node.ports.Store`."""
        with self._reading() as connection:
            for row in connection.execute(select(_instances).order_by(_instances.c.sop_uid)):
                yield _instance(row)

    def forget_instances(self, study_uid: str) -> None:
        """Remove the rows of a study's originals, after their files."""
        with self._writing() as connection:
            connection.execute(delete(_instances).where(_instances.c.study_uid == study_uid))

    # --- studies ---------------------------------------------------------------------------------------------

    def due_studies(self, now: datetime) -> tuple[Study, ...]:
        """See `node.ports.Store`."""
        due = (
            select(_studies)
            .where(
                _studies.c.state.in_([StudyState.RECEIVING, StudyState.SETTLED, StudyState.WAITING_FOR_PAIR]),
                _studies.c.deadline <= now,
            )
            .order_by(_studies.c.deadline)
        )
        with self._reading() as connection:
            return tuple(_study(row) for row in connection.execute(due))

    def advance(
        self,
        study: Study,
        event: StudyEvent,
        now: datetime,
        *,
        reason: str = "",
        deadline: datetime | None = None,
        attempts: int = 0,
    ) -> Study | None:
        """See `node.ports.Store`."""
        with self._writing() as connection:
            current = _find(connection, study.study_uid)
            if current is None or (current.state, current.revision) != (study.state, study.revision):
                return None
            _move(connection, current, event, now, reason=reason, deadline=deadline, attempts=attempts)
            return _find(connection, study.study_uid)

    def study(self, study_uid: str) -> Study | None:
        """See `node.ports.Store`."""
        with self._reading() as connection:
            return _find(connection, study_uid)

    def studies(self, limit: int = 100) -> tuple[Study, ...]:
        """See `node.ports.Store`."""
        latest = select(_studies).order_by(_studies.c.changed_at.desc(), _studies.c.study_uid).limit(limit)
        with self._reading() as connection:
            return tuple(_study(row) for row in connection.execute(latest))

    def counts(self) -> dict[StudyState, int]:
        """Return how many studies are in each state."""
        by_state = select(_studies.c.state, func.count()).group_by(_studies.c.state)
        with self._reading() as connection:
            return {StudyState(state): count for state, count in connection.execute(by_state)}

    def unchanged_since(self, states: Iterable[StudyState], moment: datetime) -> tuple[Study, ...]:
        """Return the studies in these states that hold originals and have not changed since."""
        holds = select(_instances.c.sop_uid).where(_instances.c.study_uid == _studies.c.study_uid).exists()
        old = select(_studies).where(
            _studies.c.state.in_(list(states)),
            _studies.c.changed_at <= moment,
            _studies.c.last_arrival <= moment,
            holds,
        )
        with self._reading() as connection:
            return tuple(_study(row) for row in connection.execute(old))

    def history(self, study_uid: str) -> tuple[HistoryEntry, ...]:
        """See `node.ports.Store`."""
        steps = select(_history).where(_history.c.study_uid == study_uid).order_by(_history.c.id)
        with self._reading() as connection:
            return tuple(
                HistoryEntry(row.at, StudyEvent(row.event), StudyState(row.state), row.revision, row.reason)
                for row in connection.execute(steps)
            )

    # --- analysis --------------------------------------------------------------------------------------------

    def lease_study(self, owner: str, now: datetime, until: datetime) -> StudyLease | None:
        """See `node.ports.Store`."""
        # A study is free when it is ready and its back-off is over, or when whoever had it let the lease run out.
        free = or_(
            and_(_studies.c.state == StudyState.READY, _studies.c.deadline <= now),
            and_(_studies.c.state == StudyState.ANALYSING, _studies.c.lease_until <= now),
        )
        waiting_longest = select(_studies).where(free).order_by(_studies.c.changed_at).limit(1)
        token = uuid4().hex
        with self._writing() as connection:
            row = connection.execute(_for_update(waiting_longest)).first()
            if row is None:
                return None
            study = _study(row)
            expired = study.state is StudyState.ANALYSING
            attempts = study.attempts + expired
            _move(connection, study, StudyEvent.LEASED, now, attempts=attempts)
            connection.execute(
                update(_studies)
                .where(_studies.c.study_uid == study.study_uid)
                .values(lease_token=token, lease_owner=owner, lease_until=until)
            )
        return StudyLease(study.study_uid, study.revision, attempts + 1, token)

    def record_results(
        self, lease: StudyLease, results: Sequence[NewResult], summary: Mapping[str, str], now: datetime
    ) -> None:
        """See `node.ports.Store`."""
        with self._writing() as connection:
            study = _held(connection, lease)
            study = _move(connection, study, StudyEvent.REPORTED, now)
            connection.execute(
                update(_studies)
                .where(_studies.c.study_uid == study.study_uid)
                .values(summary=json.dumps(dict(summary)))
            )
            _supersede(connection, study, {result.sop_uid for result in results}, now)
            for result in results:
                _put_result(connection, study, result, now)
                for destination in result.destinations:
                    _put_delivery(connection, study, result, destination, now)
            still_open = _count_open(connection, study.study_uid)
            event = StudyEvent.DELIVERY_BEGAN if still_open else StudyEvent.DELIVERY_ENDED
            reason = "" if still_open else "every destination has these results already"
            _move(connection, study, event, now, reason=reason)

    def record_refusal(self, lease: StudyLease, reasons: Sequence[str], now: datetime) -> None:
        """See `node.ports.Store`."""
        with self._writing() as connection:
            study = _held(connection, lease)
            # What an earlier revision reported is not unsent: it was true of what was there then.
            _move(connection, study, StudyEvent.REFUSED, now, reason="; ".join(reasons))

    def record_broken(self, lease: StudyLease, reason: str, now: datetime, retry_at: datetime | None) -> None:
        """See `node.ports.Store`."""
        with self._writing() as connection:
            study = _held(connection, lease)
            event = StudyEvent.GAVE_UP if retry_at is None else StudyEvent.BROKE
            _move(connection, study, event, now, reason=reason, deadline=retry_at, attempts=lease.attempt)

    def release_leases(self, now: datetime) -> int:
        """Free what a node that is no more had taken; call it only while no other works on this store.

        Returns
        -------
        int
            How many studies and deliveries were freed. None of them counts an attempt: it was the node that
            ended, not the work that failed.
        """
        held = select(_studies).where(_studies.c.state == StudyState.ANALYSING)
        with self._writing() as connection:
            studies = [_study(row) for row in connection.execute(held)]
            for study in studies:
                _move(
                    connection, study, StudyEvent.BROKE, now,
                    reason="the node stopped meanwhile", deadline=now, attempts=study.attempts,
                )  # fmt: skip
            sending = connection.execute(
                update(_deliveries)
                .where(_deliveries.c.state == DeliveryState.SENDING)
                .values(state=DeliveryState.WAITING, lease_token=None, lease_until=None, not_before=now)
            )
            return len(studies) + sending.rowcount

    # --- results and outbox ----------------------------------------------------------------------------------

    def results(self, study_uid: str) -> tuple[Result, ...]:
        """See `node.ports.Store`."""
        of_study = (
            select(_results)
            .where(_results.c.study_uid == study_uid)
            .order_by(_results.c.revision, _results.c.kind, _results.c.sop_uid)
        )
        with self._reading() as connection:
            return tuple(_result(row) for row in connection.execute(of_study))

    def deliveries(self, study_uid: str) -> tuple[Delivery, ...]:
        """See `node.ports.Store`."""
        of_study = _DELIVERIES.where(_deliveries.c.study_uid == study_uid).order_by(_deliveries.c.id)
        with self._reading() as connection:
            return tuple(_delivery(row) for row in connection.execute(of_study))

    def lease_deliveries(
        self, destination: str, owner: str, now: datetime, until: datetime
    ) -> DeliveryBatch | None:
        """See `node.ports.Store`."""
        due = and_(
            _deliveries.c.destination == destination,
            or_(
                and_(_deliveries.c.state == DeliveryState.WAITING, _deliveries.c.not_before <= now),
                and_(_deliveries.c.state == DeliveryState.SENDING, _deliveries.c.lease_until <= now),
            ),
        )
        oldest = select(_deliveries.c.study_uid).where(due).order_by(_deliveries.c.id).limit(1)
        token = f"{owner}-{uuid4().hex}"[:64]
        with self._writing() as connection:
            study_uid = connection.execute(_for_update(oldest)).scalar()
            if study_uid is None:
                return None
            connection.execute(
                update(_deliveries)
                .where(due, _deliveries.c.study_uid == study_uid)
                .values(state=DeliveryState.SENDING, lease_token=token, lease_until=until)
            )
            taken = _DELIVERIES.where(_deliveries.c.lease_token == token).order_by(_deliveries.c.id)
            return DeliveryBatch(
                destination, study_uid, tuple(_delivery(row) for row in connection.execute(taken)), token
            )

    def record_delivery(
        self,
        batch: DeliveryBatch,
        delivery: Delivery,
        state: DeliveryState,
        *,
        status: int | None,
        reason: str,
        now: datetime,
        not_before: datetime | None = None,
    ) -> None:
        """See `node.ports.Store`."""
        with self._writing() as connection:
            changed = connection.execute(
                update(_deliveries)
                .where(_deliveries.c.id == delivery.identifier, _deliveries.c.lease_token == batch.token)
                .values(
                    state=state, status=status, reason=reason, changed_at=now,
                    attempts=_deliveries.c.attempts + (state is not DeliveryState.SENT),
                    not_before=not_before or now, lease_token=None, lease_until=None,
                )
            )  # fmt: skip
            if not changed.rowcount:
                raise LeaseLostError("another took this delivery over")

    def return_deliveries(self, batch: DeliveryBatch, reason: str, not_before: datetime) -> None:
        """See `node.ports.Store`."""
        with self._writing() as connection:
            connection.execute(
                update(_deliveries)
                .where(_deliveries.c.lease_token == batch.token)
                .values(
                    state=DeliveryState.WAITING, reason=reason, not_before=not_before,
                    lease_token=None, lease_until=None,
                )
            )  # fmt: skip

    def finish_deliveries(self, study_uid: str, now: datetime) -> StudyState | None:
        """See `node.ports.Store`."""
        with self._writing() as connection:
            study = _find(connection, study_uid)
            if (
                study is None
                or study.state is not StudyState.DELIVERING
                or _count_open(connection, study_uid)
            ):
                return None
            rows = connection.execute(
                select(_deliveries.c.state, _deliveries.c.destination, _deliveries.c.reason)
                .join(_results, _results.c.sop_uid == _deliveries.c.sop_uid)
                .where(_deliveries.c.study_uid == study_uid, _results.c.revision == study.revision)
            )
            ends = [(DeliveryState(row.state), row.destination, row.reason) for row in rows]
            event, reason = _how_deliveries_ended(ends)
            return _move(connection, study, event, now, reason=reason).state

    def resend(self, study: Study, now: datetime) -> bool:
        """Put failed deliveries of the current results back into the outbox; False if there are none."""
        current = select(_results.c.sop_uid).where(
            _results.c.study_uid == study.study_uid, _results.c.revision == study.revision
        )
        with self._writing() as connection:
            changed = connection.execute(
                update(_deliveries)
                .where(
                    _deliveries.c.sop_uid.in_(current),
                    _deliveries.c.state.in_([DeliveryState.FAILED, DeliveryState.NOT_ACCEPTED]),
                )
                .values(state=DeliveryState.WAITING, attempts=0, not_before=now, changed_at=now)
            )
            found = _find(connection, study.study_uid)
            if not changed.rowcount or found is None:
                return False
            _move(connection, found, StudyEvent.RESENT, now, reason="an operator asked for it")
            return True


# --- operations inside a transaction -------------------------------------------------------------------------

_DELIVERIES = select(
    _deliveries,
    _results.c.revision,
    _results.c.kind,
    _results.c.sop_class_uid,
    _results.c.name,
    _results.c.created_at,
).join(_results, _results.c.sop_uid == _deliveries.c.sop_uid)
"""Deliveries with what they deliver."""


def _for_update(query: Any) -> Any:  # noqa: ANN401 - a select of any shape
    # PostgreSQL: workers skip the row another is taking instead of waiting for it. SQLite ignores the clause.
    return query.with_for_update(skip_locked=True)


def _note_arrivals(
    connection: Connection, study_uid: str, count: int, now: datetime, quiet_s: float, wait_s: float
) -> None:
    """Open the study of new instances; those that cannot change a result only found it."""
    deadline = now + timedelta(seconds=quiet_s)
    study = _find(connection, study_uid)
    if study is None:
        connection.execute(
            insert(_studies).values(
                study_uid=study_uid, state=StudyState.RECEIVING, reason="", changed_at=now, first_arrival=now,
                last_arrival=now, revision=max(count, 1), deadline=deadline, attempts=0, summary="{}",
                wait_until=now + timedelta(seconds=wait_s),
            )
        )  # fmt: skip
        _write_history(connection, study_uid, now, StudyEvent.ARRIVED, StudyState.RECEIVING, 1, "")
        return
    values: dict[str, Any] = {"last_arrival": now}
    if study.state is StudyState.RECEIVING:
        values["deadline"] = deadline
    if count:
        values |= {"revision": study.revision + count, "deadline": deadline}
        if study.state is not StudyState.RECEIVING:
            # A wait that is over begins anew: the latecomer may itself be one of a pair.
            values["wait_until"] = now + timedelta(seconds=wait_s)
            _move(connection, study, StudyEvent.ARRIVED, now, reason=f"more images came while {study.state}")
    connection.execute(update(_studies).where(_studies.c.study_uid == study_uid).values(values))


def _find(connection: Connection, study_uid: str) -> Study | None:
    # Locked where the database can: what is read here is decided upon and written in the same transaction.
    query = select(_studies).where(_studies.c.study_uid == study_uid)
    if not connection.get_execution_options().get("reading"):
        query = query.with_for_update()
    row = connection.execute(query).first()
    return None if row is None else _study(row)


def _held(connection: Connection, lease: StudyLease) -> Study:
    """Return the study of a lease that still holds.

    Raises
    ------
    LeaseLostError
        If the lease ran out and another has the study, or more images arrived.
    """
    study = _find(connection, lease.study_uid)
    token = connection.execute(
        select(_studies.c.lease_token).where(_studies.c.study_uid == lease.study_uid)
    ).scalar()
    if study is None or (token, study.revision) != (lease.token, lease.revision):
        raise LeaseLostError("the study changed while it was analysed")
    return study


def _move(
    connection: Connection,
    study: Study,
    event: StudyEvent,
    now: datetime,
    *,
    reason: str = "",
    deadline: datetime | None = None,
    attempts: int = 0,
) -> Study:
    """Change the state of a study, by the table, with its history."""
    state = next_state(study.state, event)
    connection.execute(
        update(_studies)
        .where(_studies.c.study_uid == study.study_uid)
        .values(
            state=state, reason=reason, changed_at=now, deadline=deadline, attempts=attempts,
            lease_token=None, lease_owner=None, lease_until=None,
        )
    )  # fmt: skip
    _write_history(connection, study.study_uid, now, event, state, study.revision, reason)
    moved = _find(connection, study.study_uid)
    if moved is None:
        raise LeaseLostError("the study was removed meanwhile")
    return moved


def _write_history(
    connection: Connection,
    study_uid: str,
    now: datetime,
    event: StudyEvent,
    state: StudyState,
    revision: int,
    reason: str,
) -> None:
    connection.execute(
        insert(_history).values(
            study_uid=study_uid, at=now, event=event, state=state, revision=revision, reason=reason
        )
    )


def _put_result(connection: Connection, study: Study, result: NewResult, now: datetime) -> None:
    """Record a result; the same one made again of the same inputs moves to the current revision."""
    values = {
        "study_uid": study.study_uid,
        "revision": study.revision,
        "kind": result.kind.value,
        "sop_class_uid": result.sop_class_uid,
        "name": result.name,
    }
    made_again = connection.execute(
        update(_results).where(_results.c.sop_uid == result.sop_uid).values(values)
    ).rowcount
    if not made_again:
        connection.execute(insert(_results).values(values | {"sop_uid": result.sop_uid, "created_at": now}))


def _put_delivery(
    connection: Connection, study: Study, result: NewResult, destination: str, now: datetime
) -> None:
    """Put a result into an outbox, unless that destination has or awaits it already."""
    there = connection.execute(
        select(_deliveries.c.id, _deliveries.c.state).where(
            _deliveries.c.destination == destination, _deliveries.c.sop_uid == result.sop_uid
        )
    ).first()
    if there is None:
        connection.execute(
            insert(_deliveries).values(
                destination=destination, sop_uid=result.sop_uid, study_uid=study.study_uid,
                state=DeliveryState.WAITING, attempts=0, reason="", not_before=now, changed_at=now,
            )
        )  # fmt: skip
    elif DeliveryState(there.state) in {DeliveryState.SUPERSEDED, DeliveryState.FAILED}:
        connection.execute(
            update(_deliveries)
            .where(_deliveries.c.id == there.id)
            .values(state=DeliveryState.WAITING, attempts=0, reason="", not_before=now, changed_at=now)
        )


def _supersede(connection: Connection, study: Study, current: set[str], now: datetime) -> None:
    """Withdraw what an earlier revision put into an outbox and nobody has sent yet."""
    connection.execute(
        update(_deliveries)
        .where(
            _deliveries.c.study_uid == study.study_uid,
            _deliveries.c.state.in_(list(OPEN_DELIVERY_STATES)),
            _deliveries.c.sop_uid.not_in(current),
        )
        .values(
            state=DeliveryState.SUPERSEDED, reason="a newer result replaced it", changed_at=now,
            lease_token=None, lease_until=None,
        )
    )  # fmt: skip


def _count_open(connection: Connection, study_uid: str) -> int:
    still_open = (
        select(func.count())
        .select_from(_deliveries)
        .where(_deliveries.c.study_uid == study_uid, _deliveries.c.state.in_(list(OPEN_DELIVERY_STATES)))
    )
    return int(connection.execute(still_open).scalar_one())


def _how_deliveries_ended(ends: Sequence[tuple[DeliveryState, str, str]]) -> tuple[StudyEvent, str]:
    """Judge a study by how each of its current results ended at each destination."""
    failed = [
        f"{destination}: {reason}" for state, destination, reason in ends if state is DeliveryState.FAILED
    ]
    empty_handed = sorted(
        {destination for _, destination, _ in ends}
        - {destination for state, destination, _ in ends if state is DeliveryState.SENT}
    )
    if failed:
        return StudyEvent.GAVE_UP, "; ".join(dict.fromkeys(failed))
    if empty_handed:
        return StudyEvent.GAVE_UP, f"{', '.join(empty_handed)} accepts none of these results"
    refused = sum(state is DeliveryState.NOT_ACCEPTED for state, _, _ in ends)
    reason = (
        f"{refused} of {len(ends)} deliveries were of a kind the destination does not take" if refused else ""
    )
    return StudyEvent.DELIVERY_ENDED, reason


# --- rows to values and back ---------------------------------------------------------------------------------

_INSTANCE_FIELDS = (
    "sop_uid", "series_uid", "study_uid", "sop_class_uid", "transfer_syntax_uid", "sha256", "size", "patient_key",
)  # fmt: skip


def _instance_row(arrival: Arrival, now: datetime) -> dict[str, Any]:
    row = {name: getattr(arrival.instance, name) for name in _INSTANCE_FIELDS}
    return row | {"calling_ae": arrival.calling_ae, "host": arrival.host, "received_at": now}


def _instance(row: Row[Any]) -> Instance:
    return Instance(**{name: getattr(row, name) for name in _INSTANCE_FIELDS})


def _study(row: Row[Any]) -> Study:
    return Study(
        study_uid=row.study_uid,
        state=StudyState(row.state),
        reason=row.reason,
        changed_at=row.changed_at,
        first_arrival=row.first_arrival,
        last_arrival=row.last_arrival,
        revision=row.revision,
        deadline=row.deadline,
        wait_until=row.wait_until,
        attempts=row.attempts,
        summary=json.loads(row.summary),
    )


def _result(row: Row[Any]) -> Result:
    return Result(
        row.study_uid,
        row.revision,
        ResultKind(row.kind),
        row.sop_uid,
        row.sop_class_uid,
        row.name,
        row.created_at,
    )


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        row.id, row.destination, DeliveryState(row.state), row.attempts, row.status, row.reason, _result(row)
    )
