"""What the store knows of the whole node: for operators, the status page and the metrics."""

from collections import defaultdict
from datetime import datetime

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError

from node.domain.delivery import OPEN_DELIVERY_STATES, DeliveryState
from node.domain.records import QuarantineEntry, Study
from node.domain.status import UNFINISHED_STATES, OutboxFigures, SetAside, StoreFigures
from node.domain.study import StudyState
from node.errors import TransientError
from node.store import tables as t
from node.store.rows import quarantine_of, study_of

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
# Since when its study is where it is: the row of the delivery changes with every try.
_WAITING = (
    select(
        t.deliveries.c.destination,
        func.min(t.studies.c.changed_at, type_=t.studies.c.changed_at.type),
    )
    .join(t.studies, t.studies.c.study_uid == t.deliveries.c.study_uid)
    .where(t.deliveries.c.state.in_(list(OPEN_DELIVERY_STATES)))
    .group_by(t.deliveries.c.destination)
)
_INSTANCES = select(func.count()).select_from(t.instances)
_QUARANTINED = select(t.quarantine.c.reason, func.count()).group_by(t.quarantine.c.reason)
# A study whose images a person removed is nobody's business any more.
_HOLDS_IMAGES = select(t.instances.c.sop_uid).where(t.instances.c.study_uid == t.studies.c.study_uid).exists()
_PUT_ASIDE = select(t.quarantine).order_by(t.quarantine.c.at.desc())


class SqlFigures:
    """The part of the store that lists and counts.

    Parameters
    ----------
    engine : Engine
        The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def studies(self, limit: int = 100) -> tuple[Study, ...]:
        """See `node.ports.Store`."""
        with t.reading(self._engine) as connection:
            return _latest(connection, limit)

    def counts(self) -> dict[StudyState, int]:
        """Return how many studies are in each state."""
        with t.reading(self._engine) as connection:
            return _by_state(connection)

    def quarantine(self, limit: int = 100) -> tuple[QuarantineEntry, ...]:
        """Return what was put aside last."""
        with t.reading(self._engine) as connection:
            return _put_aside(connection, limit)

    def set_aside(self, since: datetime, limit: int) -> SetAside:
        """Return what was set aside since a moment, and has neither been tried again nor cleared away.

        Parameters
        ----------
        since : datetime
            The moment.
        limit : int
            How many of the latest are returned; all are counted.
        """
        with t.reading(self._engine) as connection:
            return _set_aside(connection, since, limit)

    def figures(self, studies: int, put_aside: int, since: datetime) -> StoreFigures:
        """Count everything in one transaction that only reads.

        Parameters
        ----------
        studies, put_aside : int
            How many of the latest studies, and of what was put aside and set aside last, are returned.
        since : datetime
            What was set aside before is not counted any more.

        Raises
        ------
        TransientError
            If the database does not answer.
        """
        try:
            with t.reading(self._engine) as connection:
                return StoreFigures(
                    studies=_by_state(connection),
                    oldest={StudyState(state): oldest for state, oldest in connection.execute(_OLDEST)},
                    outboxes=_outboxes(connection),
                    instances=connection.execute(_INSTANCES).scalar_one(),
                    quarantined={row.reason: row[1] for row in connection.execute(_QUARANTINED)},
                    latest=_latest(connection, studies),
                    put_aside=_put_aside(connection, put_aside),
                    set_aside=_set_aside(connection, since, put_aside),
                )
        except DBAPIError as error:
            # Only its kind: the driver's message may quote the URL.
            raise TransientError(f"it does not answer ({type(error.orig).__name__})") from error


def _latest(connection: Connection, limit: int) -> tuple[Study, ...]:
    return tuple(study_of(row) for row in connection.execute(_LATEST.limit(limit)))


def _by_state(connection: Connection) -> dict[StudyState, int]:
    return {StudyState(state): count for state, count in connection.execute(_STUDIES)}


def _put_aside(connection: Connection, limit: int) -> tuple[QuarantineEntry, ...]:
    return tuple(quarantine_of(row) for row in connection.execute(_PUT_ASIDE.limit(limit)))


def _set_aside(connection: Connection, since: datetime, limit: int) -> SetAside:
    waits = _LATEST.where(
        t.studies.c.state == StudyState.FAILED, t.studies.c.changed_at > since, _HOLDS_IMAGES
    )
    count = select(func.count()).select_from(waits.order_by(None).subquery())
    return SetAside(
        connection.execute(count).scalar_one(),
        tuple(study_of(row) for row in connection.execute(waits.limit(limit))),
    )


def _outboxes(connection: Connection) -> dict[str, OutboxFigures]:
    counts: dict[str, dict[DeliveryState, int]] = defaultdict(dict)
    for destination, state, count in connection.execute(_DELIVERIES):
        counts[destination][DeliveryState(state)] = count
    oldest = {row.destination: row[1] for row in connection.execute(_WAITING)}
    return {name: OutboxFigures(theirs, oldest.get(name)) for name, theirs in counts.items()}
