"""A study of any size costs the node no more than its configuration allows, and is told of."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from node.domain.records import CONFLICT, Arrival, AssociationRecord
from node.domain.study import StudyState
from node.show.study_details import StudyDetailsReader
from node.show.why import explain
from node.store.sql import SqlStore
from tests.node.nodes import STUDY, quick, quick_node, send, slice_of, state_of
from tests.node.store.suite.studies import PATIENCE, START, arrival
from tests.patience import wait_until

_MOST_PARAMETERS = 60
"""Enough for a row of any table."""
LATER = START + timedelta(minutes=1)


def test_a_study_with_too_many_images_is_set_aside_unread(tmp_path: Path) -> None:
    configuration = quick(tmp_path)
    configuration = replace(configuration, assembly=replace(configuration.assembly, max_images=2))
    with quick_node(configuration) as node:
        send(node.port, *(slice_of(1, series=str(number)) for number in range(3)))
        wait_until(lambda: state_of(node) is StudyState.FAILED)
        told = "it has 3 MR images, more than [assembly] max_images = 2 allows"
        assert f"The reason: {told}." in explain(node.store, STUDY)

        def tell(*_: object) -> tuple[()]:
            raise AssertionError("the page reads them")

        details = StudyDetailsReader(node.store, node.instance_store, tell, most_images=2).read(STUDY)
        assert details is not None
        assert details.series_fault == told


@pytest.fixture
def frugal_database(tmp_path: Path) -> Iterator[SqlStore]:
    """Open a database that takes few parameters in a statement."""

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, _MOST_PARAMETERS)

    event.listen(Engine, "connect", limit)
    store = SqlStore(f"sqlite:///{tmp_path / 'osteonode.db'}")
    yield store
    store.close()
    event.remove(Engine, "connect", limit)


def test_no_statement_has_a_parameter_for_each_image(
    frugal_database: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.store.arrivals._MOST_PARAMETERS", _MOST_PARAMETERS)
    count = 2 * _MOST_PARAMETERS
    arrivals = [arrival("1.1", number) for number in range(count)]
    frugal_database.record_arrivals(arrivals, START, PATIENCE)
    assert f"{count} images are here" in explain(frugal_database, "1.1")
    assert frugal_database.quarantined("1.1", CONFLICT) == ()
    frugal_database.delete_arrivals([one.instance.sop_uid for one in arrivals])
    assert frugal_database.instances("1.1") == ()


def one_of_each_series(study: str, count: int, association: str) -> list[Arrival]:
    made = []
    for number in range(count):
        one = arrival(study, number, association=association)
        series = f"{study}.{number}"
        instance = replace(one.instance, series_uid=series, sop_uid=f"{series}.{association}")
        made.append(replace(one, instance=instance))
    return made


def test_series_that_are_sent_again_are_looked_for_together(tmp_path: Path) -> None:
    """A look for each among as many lost ones would block the database for minutes."""
    store = SqlStore(f"sqlite:///{tmp_path / 'osteonode.db'}")
    statements: list[str] = []
    event.listen(store._engine, "before_cursor_execute", lambda *told: statements.append(told[2]))

    def statements_for(study: str, count: int) -> int:
        series = frozenset((study, f"{study}.{number}") for number in range(count))
        lost, again = (
            AssociationRecord(study + end, at, series) for end, at in ((".1", START), (".2", LATER))
        )
        for record in (lost, again):
            store.record_arrivals(
                one_of_each_series(study, count, record.association), record.began_at, PATIENCE
            )
            statements.clear()
            store.end_association(record, record.began_at, orderly=record is again)
            told = len(statements)
            assert len(store.cut_off_series(study)) == (0 if record is again else count)
        return told

    assert statements_for("1.1", 30) == statements_for("1.2", 3)
    store.close()
