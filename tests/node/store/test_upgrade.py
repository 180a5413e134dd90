"""A database of any earlier version is upgraded to this one, with all that it holds."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, create_engine, text
from typer.testing import CliRunner

from node.cli import application
from node.domain.study import StudyState
from node.errors import PermanentError
from node.operate.database import upgrade_store
from node.store import tables as t
from node.store import upgrade
from node.store.migration import STEPS
from node.store.schema import VERSION
from node.store.sql import SqlStore
from tests.node.nodes import quick, quick_node

SCHEMAS = Path(__file__).parent / "schemas"
STUDY = "1.2.826.0.1.1"


def as_made_by(version: int, url: str, *more: str) -> None:
    """Create the tables as that version did, with some rows."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for part in (engine.dialect.name, "rows"):
            script = (SCHEMAS / f"version-{version}.{part}.sql").read_text().partition("\n")[2]
            for statement in script.removesuffix(";\n").split(";\n"):
                connection.execute(text(statement))
        for statement in more:
            connection.execute(text(statement))
    engine.dispose()


def differences(connection: Connection) -> list[object]:
    """Return the differences between a database and `node.store.tables`."""
    context = MigrationContext.configure(
        connection,
        opts={"compare_type": True, "include_name": lambda name, *_: name != "schema_version"},
    )
    return list(compare_metadata(context, t.metadata))


def test_there_is_a_step_from_every_version_to_the_next() -> None:
    assert sorted(STEPS) == list(range(1, VERSION))


@pytest.mark.parametrize("version", range(1, VERSION))
def test_every_earlier_version_becomes_what_this_one_makes_itself(url: str, version: int) -> None:
    as_made_by(version, url)
    done = upgrade(url)
    assert (done.before, done.after) == (version, VERSION)
    engine = create_engine(url)
    with engine.connect() as connection:
        assert not differences(connection)
    engine.dispose()
    store = SqlStore(url)
    study = store.study(STUDY)
    assert study is not None
    assert (study.state, study.reason, study.revision) == (StudyState.DELIVERING, "as it was", 3)
    (delivery,) = store.deliveries(STUDY)
    assert (delivery.attempts, delivery.reason, delivery.result.name) == (2, "it cannot be reached", "a.dcm")
    store.close()
    again = upgrade(url)
    assert (again.before, again.after, again.copy) == (VERSION, VERSION, None)


def test_an_earlier_version_is_refused_with_the_command_that_mends_it(url: str) -> None:
    as_made_by(1, url)
    with pytest.raises(PermanentError, match=rf"of version 1, .* version {VERSION}: .*`osteonode upgrade`"):
        SqlStore(url)


@pytest.mark.parametrize("version", [0, 99])
def test_what_is_not_known_is_left_as_it_is(url: str, version: int) -> None:
    as_made_by(1, url, f"UPDATE schema_version SET version = {version}")  # noqa: S608 - ours
    with pytest.raises(PermanentError, match=f"version {version}"):
        upgrade(url)


def test_an_empty_database_is_for_serve_to_fill(url: str) -> None:
    with pytest.raises(PermanentError, match="osteonode serve"):
        upgrade(url)


def test_a_step_that_breaks_leaves_everything_as_it_was(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    as_made_by(1, url)

    def breaks(operations: Operations) -> None:
        STEPS[1](operations)
        raise RuntimeError

    monkeypatch.setattr("node.store.migration.STEPS", {**STEPS, 1: breaks})
    with pytest.raises(RuntimeError):
        upgrade(url)
    monkeypatch.undo()
    assert upgrade(url).before == 1


def test_a_file_is_copied_before_it_is_changed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'osteonode.db'}"
    as_made_by(1, url)
    copy = upgrade(url).copy
    assert copy == tmp_path / "osteonode.db.version-1"
    with closing(sqlite3.connect(copy)) as before:
        assert before.execute("SELECT version FROM schema_version").fetchall() == [(1,)]
        assert before.execute("SELECT study_uid FROM studies").fetchall() == [(STUDY,)]


def test_a_running_node_is_not_upgraded_under_its_feet(tmp_path: Path) -> None:
    configuration = quick(tmp_path)
    with quick_node(configuration), pytest.raises(PermanentError, match="already working"):
        upgrade_store(configuration)


def test_the_command_upgrades_and_the_node_works_on(tmp_path: Path) -> None:
    storage = tmp_path / "var"
    storage.mkdir()
    as_made_by(1, f"sqlite:///{storage / 'osteonode.db'}")
    config = tmp_path / "config.toml"
    config.write_text(f'[storage]\ndirectory = "{storage}"\n')
    refused = CliRunner().invoke(application, ["studies", "--config", str(config)])
    assert refused.exit_code == 1
    done = CliRunner().invoke(application, ["upgrade", "--config", str(config)])
    assert done.exit_code == 0
    assert f"of version 1 and are of version {VERSION} now" in done.output
    assert "osteonode.db.version-1" in done.output.replace("\n", "")
    again = CliRunner().invoke(application, ["upgrade", "--config", str(config)])
    assert "Nothing to do" in again.output
    with quick_node(quick(storage)) as node:
        assert [study.study_uid for study in node.store.studies(9)] == [STUDY]
