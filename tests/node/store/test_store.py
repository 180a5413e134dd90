"""The databases and the store in memory pass the same suite; what only a database can do is tested below."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from node.errors import PermanentError, TransientError
from node.ports import InstanceStore, Store
from node.store.instance_store import DiskInstanceStore
from node.store.sql import SqlStore
from tests.node.store.memory import MemoryStore, Tables
from tests.node.store.suite import StoreSuite
from tests.node.store.suite.studies import START, ready
from tests.postgres import Postgres


class TestSqlite(StoreSuite):
    """SQLite in a file."""

    @pytest.fixture
    def opening(self, tmp_path: Path) -> Callable[[], Store]:
        """See `StoreSuite`."""
        return partial(SqlStore, f"sqlite:///{tmp_path / 'store.db'}")


@pytest.mark.peers
@pytest.mark.gate("as with SQLite; PostgreSQL is tried by `test_store_against_memory.py`")
class TestPostgresql(StoreSuite):
    """A PostgreSQL server."""

    @pytest.fixture
    def opening(self, postgres: Postgres) -> Callable[[], Store]:
        """See `StoreSuite`."""
        return partial(SqlStore, postgres.new_database())


class TestMemory(StoreSuite):
    """Dictionaries, the model of the other two."""

    @pytest.fixture
    def opening(self) -> Callable[[], Store]:
        """See `StoreSuite`."""
        return partial(MemoryStore, Tables())


def public(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def test_nothing_public_of_a_class_is_outside_its_port(store: SqlStore, tmp_path: Path) -> None:
    assert public(store) == public(Store)
    assert public(MemoryStore(Tables())) == public(Store)
    assert public(DiskInstanceStore(tmp_path)) == public(InstanceStore)


@pytest.mark.peers
@pytest.mark.parametrize(
    ("login", "host", "told"),
    [
        ("knocker:wrong", "", "answers, but does not accept this user with this password"),
        ("knocker", "", "asks for a password, and the URL holds none"),
        ("nobody", "", "answers, but refuses: do this database and this user exist"),
        ("osteonode", "/nowhere", "it does not answer: is it running"),
        ("osteonode:secret", "no.such.host.invalid", "it does not answer: is it running"),
    ],
)
def test_a_wrong_password_is_not_called_a_server_that_is_down(
    postgres: Postgres, login: str, host: str, told: str
) -> None:
    postgres.let_in_with_password("knocker", "right")
    with pytest.raises(PermanentError, match=told) as caught:
        SqlStore(f"postgresql+psycopg://{login}@/postgres?host={host or postgres.folder}")
    assert not any(word in str(caught.value) for word in ("knocker", "wrong", "secret", "invalid"))


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    opened = SqlStore(url)
    yield opened
    opened.close()


LEASE_ALL = """
import sys
import time
from node.store.sql import SqlStore
from tests.node.store.suite.studies import LEASE, START
store = SqlStore(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
while lease := store.lease_study(sys.argv[2], START, START + LEASE):
    print(lease.study_uid, flush=True)
    time.sleep(0.02)  # as work would, so that the other gets its turn on a machine with one free core
"""


def test_two_processes_share_the_studies_without_leasing_one_twice(store: SqlStore, url: str) -> None:
    studies = [f"1.{number}" for number in range(20)]
    for study in studies:
        ready(store, study)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LEASE_ALL, url, owner],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for owner in "ab"
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:  # both are up: now they race
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    taken = [process.communicate()[0].split() for process in processes]
    assert sorted(taken[0] + taken[1]) == sorted(studies)
    assert all(taken), "one process took them all; the test says nothing"


def test_a_database_that_went_away_is_told_by_its_kind_only(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'planted.db'}")
    store.close()
    (tmp_path / "planted.db").write_bytes(b"no database any more" * 500)
    for beside in tmp_path.glob("planted.db-*"):
        beside.unlink()
    with pytest.raises(TransientError, match=r"^it does not answer \(DatabaseError\)$"):
        store.figures(1, 1, START)
    store.close()


def test_a_database_of_another_version_is_refused_in_words(url: str) -> None:
    SqlStore(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE schema_version SET version = 99"))
    with pytest.raises(PermanentError, match=r"version 99.*works with version"):
        SqlStore(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE schema_version"))
    engine.dispose()
    with pytest.raises(PermanentError, match="version 0"):
        SqlStore(url)


@pytest.mark.parametrize(
    "wrong",
    [
        "sqlite:////nowhere/at/all.db",
        "postgresql+psycopg://planted-user@/nowhere?host=/nowhere",
        "no url",
        "oracle://planted-user@x/y",
    ],
)
def test_a_database_that_is_not_there_is_told_in_words_without_its_url(wrong: str) -> None:
    with pytest.raises(PermanentError, match=r"\[store\] url") as caught:
        SqlStore(wrong)
    assert "planted" not in str(caught.value)


def test_a_file_that_is_no_database_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "letter.db").write_text("Dear colleague, " * 100)
    with pytest.raises(PermanentError, match="the database is damaged, or its file is none"):
        SqlStore(f"sqlite:///{tmp_path / 'letter.db'}")


def test_sqlite_answers_only_after_a_sync(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'store.db'}")
    with store._engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL
    store.close()


@pytest.mark.peers
def test_postgresql_answers_only_after_a_sync_whatever_its_configuration_says(postgres: Postgres) -> None:
    url = postgres.new_database()
    engine = create_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        name = connection.execute(text("SELECT current_database()")).scalar()
        connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit TO off"))
    engine.dispose()
    store = SqlStore(url)
    with store._engine.connect() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"
    store.close()
