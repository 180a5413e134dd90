"""How far studies lie from the training of a model, and the states of scanners, which follow from that."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, delete, insert, select, update

from analysis.domain.remoteness import Departure, TrainingDistance
from node.domain.drift import WINDOW, Observation, ScannerRange, ScannerState, Subject, follow
from node.store import tables as t

__all__ = [
    "SqlScannerRanges",
    "departures",
    "forget_distances",
    "forget_old_distances",
    "observations",
    "put_distances",
    "scanner_ranges",
]

_MEASURED = tuple(field.name for field in fields(TrainingDistance) if field.name != "basis")


class SqlScannerRanges:
    """What operators change about scanners.

    Parameters
    ----------
    engine : Engine
        The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def accept_scanner(self, scanner: str, now: datetime) -> int:
        """See `node.ports.OperatorCommands`."""
        left = select(t.scanners).where(
            t.scanners.c.scanner == scanner, t.scanners.c.state == ScannerState.LEFT
        )
        with t.writing(self._engine) as connection:
            rows = connection.execute(left.with_for_update()).all()
            for row in rows:
                _put(connection, _subject(row), _range(row).accepted(now))
            return len(rows)


def scanner_ranges(connection: Connection) -> Mapping[Subject, ScannerRange]:
    """Return the state of each scanner that was judged."""
    return {
        _subject(row): _range(row) for row in sorted(connection.execute(select(t.scanners)), key=_subject)
    }


def observations(connection: Connection, bundle: str, since: datetime) -> tuple[Observation, ...]:
    """Return the studies that a model, by digest, read first since a moment, the oldest first."""
    of_model = select(t.distances).where(t.distances.c.bundle == bundle, t.distances.c.at >= since)
    rows = connection.execute(of_model.order_by(t.distances.c.at, t.distances.c.study_uid))
    return tuple(Observation(row.study_uid, _subject(row), row.at, _distance(row)) for row in rows)


def put_distances(
    connection: Connection, study_uid: str, distances: Mapping[Subject, TrainingDistance], now: datetime
) -> None:
    """Keep how far a study lies from the training, and judge its scanner anew.

    A study that is analysed again by the same model keeps its place among the studies of the scanner, and is
    counted once. What another model read of it is left alone.
    """
    for subject, found in sorted(distances.items()):
        values = {name: getattr(found, name) for name in _MEASURED} | {"scanner": subject.scanner}
        of_study = and_(
            t.distances.c.study_uid == study_uid,
            t.distances.c.bundle == subject.bundle,
            t.distances.c.basis == subject.basis,
        )
        known = connection.execute(update(t.distances).where(of_study).values(values)).rowcount
        if not known:
            row = asdict(subject) | values | {"study_uid": study_uid, "at": now}
            connection.execute(insert(t.distances).values(row))
        _judge(connection, subject, now)


def _judge(connection: Connection, subject: Subject, now: datetime) -> None:
    # The row of the scanner is locked first, so that of two studies that are recorded at once the later one
    # counts both.
    connection.execute(t.insert_if_new(connection.engine, t.scanners).values(_row(subject, ScannerRange())))
    before = _range(
        connection.execute(select(t.scanners).where(_is(t.scanners, subject)).with_for_update()).one()
    )
    counted = select(t.distances).where(_is(t.distances, subject))
    if before.accepted_at is not None:
        counted = counted.where(t.distances.c.at > before.accepted_at)
    latest = counted.order_by(t.distances.c.at.desc(), t.distances.c.study_uid.desc()).limit(WINDOW)
    far = [_distance(row).is_far for row in connection.execute(latest)]
    after = follow(before, far, now)
    if after != before:
        _put(connection, subject, after)


def departures(connection: Connection) -> Mapping[Subject, Departure]:
    """Return the scanners that have left the range of the training of a model."""
    left = select(t.scanners).where(t.scanners.c.state == ScannerState.LEFT)
    found = {_subject(row): _range(row).departure(row.basis) for row in connection.execute(left)}
    return {subject: departure for subject, departure in found.items() if departure is not None}


def forget_distances(connection: Connection, study_uid: str) -> int:
    """Delete what is kept of a study; return the number of rows. The state of its scanner stays."""
    return connection.execute(delete(t.distances).where(t.distances.c.study_uid == study_uid)).rowcount


def forget_old_distances(connection: Connection, before: datetime) -> None:
    """Delete what was recorded before a moment."""
    connection.execute(delete(t.distances).where(t.distances.c.at <= before))


def _is(table: Any, subject: Subject) -> Any:  # noqa: ANN401 - a table, and a condition
    return and_(
        table.c.scanner == subject.scanner,
        table.c.bundle == subject.bundle,
        table.c.basis == subject.basis,
    )


def _put(connection: Connection, subject: Subject, after: ScannerRange) -> None:
    connection.execute(update(t.scanners).where(_is(t.scanners, subject)).values(asdict(after)))


def _row(subject: Subject, scanner_range: ScannerRange) -> dict[str, Any]:
    return asdict(subject) | asdict(scanner_range)


def _subject(row: Row[Any]) -> Subject:
    return Subject(row.scanner, row.bundle, row.basis)


def _range(row: Row[Any]) -> ScannerRange:
    return ScannerRange(ScannerState(row.state), row.since, row.far, row.studies, row.accepted_at)


def _distance(row: Row[Any]) -> TrainingDistance:
    return TrainingDistance(row.basis, **{name: getattr(row, name) for name in _MEASURED})
