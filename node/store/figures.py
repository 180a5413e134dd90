"""Lists and counts over all rows, for operators, the status page and the metrics."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Double,
    Engine,
    cast,
    func,
    literal,
    or_,
    select,
    type_coerce,
)

from node.domain.delivery import OPEN_DELIVERY_STATES, DeliveryState
from node.domain.drift import Observation, ScannerRange, Subject
from node.domain.growth import Kept
from node.domain.model_answer import KeptAnswer
from node.domain.records import Instance, QuarantineEntry, Study, StudyQuery
from node.domain.status import UNFINISHED_STATES, FailedStudies, OutboxFigures, StoreFigures
from node.domain.study import StudyState
from node.domain.wish import WishState
from node.store import tables as t
from node.store.answers import kept_answers
from node.store.faults import reporting_faults
from node.store.rows import instance_of, quarantine_of, study_of
from node.store.scanner_ranges import observations, scanner_ranges

__all__ = ["SqlFigures"]

_STUDIES = select(t.studies.c.state, func.count()).group_by(t.studies.c.state)
_OLDEST = (
    select(t.studies.c.state, func.min(t.studies.c.changed_at, type_=t.studies.c.changed_at.type))
    .where(t.studies.c.state.in_(UNFINISHED_STATES))
    .group_by(t.studies.c.state)
)
_LATEST = select(t.studies).order_by(t.studies.c.changed_at.desc(), t.studies.c.study_uid)
_DELIVERIES = select(t.deliveries.c.destination, t.deliveries.c.state, func.count()).group_by(
    t.deliveries.c.destination, t.deliveries.c.state
)
_SENT = (
    select(
        t.deliveries.c.destination,
        func.max(t.deliveries.c.changed_at, type_=t.deliveries.c.changed_at.type),
    )
    .where(t.deliveries.c.state == DeliveryState.SENT)
    .group_by(t.deliveries.c.destination)
)
# Age is taken from the study's `changed_at`, because each attempt changes that of the delivery.
_WAITING = (
    select(
        t.deliveries.c.destination,
        func.min(t.studies.c.changed_at, type_=t.studies.c.changed_at.type),
    )
    .join(t.studies, t.studies.c.study_uid == t.deliveries.c.study_uid)
    .where(t.deliveries.c.state.in_(list(OPEN_DELIVERY_STATES)))
    .group_by(t.deliveries.c.destination)
)
_FIRST = select(func.min(t.studies.c.first_arrival, type_=t.studies.c.first_arrival.type))
_DAY_S = 86400
_INSTANCES = select(func.count()).select_from(t.instances)
_QUARANTINED = select(t.quarantine.c.reason, func.count()).group_by(t.quarantine.c.reason)
# A study whose images were removed by an operator needs no action.
_HOLDS_IMAGES = select(t.instances.c.sop_uid).where(t.instances.c.study_uid == t.studies.c.study_uid).exists()
_ONE_OF_EACH = select(t.instances).where(
    t.instances.c.sop_uid.in_(
        select(func.min(t.instances.c.sop_uid)).group_by(t.instances.c.study_uid, t.instances.c.patient_key)
    )
)
_WISHES = select(t.wishes.c.archive, t.wishes.c.state, func.count()).group_by(
    t.wishes.c.archive, t.wishes.c.state
)
_ALL = StudyQuery()
_LATEST_QUARANTINED = select(t.quarantine).order_by(t.quarantine.c.at.desc())


class SqlFigures:
    """The `Figures` port, except for reading one study.

    Parameters
    ----------
    engine : Engine
        The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def studies(self, limit: int, query: StudyQuery = _ALL) -> tuple[Study, ...]:
        """See `node.ports.Figures`."""
        with t.reading(self._engine) as connection:
            return _latest(connection, limit, query)

    def one_of_each(self) -> tuple[Instance, ...]:
        """See `node.ports.Figures`."""
        with t.reading(self._engine) as connection:
            return tuple(instance_of(row) for row in connection.execute(_ONE_OF_EACH))

    def kept(self, now: datetime) -> Kept:
        """See `node.ports.Figures`."""
        seconds = cast(literal(now.timestamp()) - type_coerce(t.instances.c.received_at, Double), BigInteger)
        age = (seconds // _DAY_S).label("age")
        with reporting_faults(), t.reading(self._engine) as connection:
            by_age = connection.execute(select(age, func.sum(t.instances.c.size)).group_by(age))
            since = connection.execute(_FIRST).scalar_one()
            return Kept({int(days): int(size) for days, size in by_age}, since)

    def model_answers(self, scanner: str | None = None) -> tuple[KeptAnswer, ...]:
        """See `node.ports.Figures`."""
        with reporting_faults(), t.reading(self._engine) as connection:
            return kept_answers(connection, scanner)

    def scanner_ranges(self) -> Mapping[Subject, ScannerRange]:
        """See `node.ports.Figures`."""
        with reporting_faults(), t.reading(self._engine) as connection:
            return scanner_ranges(connection)

    def observations(self, bundle: str, since: datetime) -> tuple[Observation, ...]:
        """See `node.ports.Figures`."""
        with reporting_faults(), t.reading(self._engine) as connection:
            return observations(connection, bundle, since)

    def failed_studies(self, since: datetime, limit: int) -> FailedStudies:
        """See `node.ports.Figures`."""
        with t.reading(self._engine) as connection:
            return _failed_studies(connection, since, limit)

    def figures(self, studies: int, latest: int, since: datetime) -> StoreFigures:
        """See `node.ports.Figures`; one transaction that only reads."""
        with reporting_faults(), t.reading(self._engine) as connection:
            return StoreFigures(
                studies=_by_state(connection),
                oldest={StudyState(state): oldest for state, oldest in connection.execute(_OLDEST)},
                outboxes=_outboxes(connection),
                instances=connection.execute(_INSTANCES).scalar_one(),
                quarantined={row.reason: row[1] for row in connection.execute(_QUARANTINED)},
                latest=_latest(connection, studies),
                latest_quarantined=_latest_quarantined(connection, latest),
                failed_studies=_failed_studies(connection, since, latest),
                wishes=_wishes(connection),
            )


def _latest(connection: Connection, limit: int, query: StudyQuery = _ALL) -> tuple[Study, ...]:
    wanted = _LATEST.where(*_conditions(query)).limit(limit)
    return tuple(study_of(row) for row in connection.execute(wanted))


def _conditions(query: StudyQuery) -> Iterator[ColumnElement[bool]]:
    row = t.studies.c
    if query.states:
        yield row.state.in_(list(query.states))
    if query.since is not None:
        yield row.last_arrival >= query.since
    if query.until is not None:
        yield row.last_arrival < query.until
    if query.destination:
        yield (
            select(t.deliveries.c.id)
            .where(t.deliveries.c.study_uid == row.study_uid, t.deliveries.c.destination == query.destination)
            .exists()
        )
    if query.text:
        yield or_(*(it.icontains(query.text, autoescape=True) for it in (row.study_uid, row.reason)))
    if query.uid_prefix:
        yield row.study_uid.startswith(query.uid_prefix, autoescape=True)


def _wishes(connection: Connection) -> dict[str, dict[WishState, int]]:
    counts: dict[str, dict[WishState, int]] = defaultdict(dict)
    for archive, state, count in connection.execute(_WISHES):
        counts[archive][WishState(state)] = count
    return dict(counts)


def _by_state(connection: Connection) -> dict[StudyState, int]:
    return {StudyState(state): count for state, count in connection.execute(_STUDIES)}


def _latest_quarantined(connection: Connection, limit: int) -> tuple[QuarantineEntry, ...]:
    return tuple(quarantine_of(row) for row in connection.execute(_LATEST_QUARANTINED.limit(limit)))


def _failed_studies(connection: Connection, since: datetime, limit: int) -> FailedStudies:
    waits = _LATEST.where(
        t.studies.c.state == StudyState.FAILED, t.studies.c.changed_at > since, _HOLDS_IMAGES
    )
    count = select(func.count()).select_from(waits.order_by(None).subquery())
    return FailedStudies(
        connection.execute(count).scalar_one(),
        tuple(study_of(row) for row in connection.execute(waits.limit(limit))),
    )


def _outboxes(connection: Connection) -> dict[str, OutboxFigures]:
    counts: dict[str, dict[DeliveryState, int]] = defaultdict(dict)
    for destination, state, count in connection.execute(_DELIVERIES):
        counts[destination][DeliveryState(state)] = count
    oldest = {row.destination: row[1] for row in connection.execute(_WAITING)}
    latest = {row.destination: row[1] for row in connection.execute(_SENT)}
    return {
        name: OutboxFigures(theirs, oldest.get(name), latest.get(name)) for name, theirs in counts.items()
    }
