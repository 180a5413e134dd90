"""Fixtures: one node and one PACS for the tests of a module to share, each with a study of its own."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from itertools import count
from pathlib import Path

import pytest
import structlog
from pynetdicom.transport import AssociationSocket

from node.app import Node
from node.config import LogSettings
from node.log import configure
from tests.node.nodes import Pacs, quick, quick_node, running_pacs
from tests.postgres import Postgres, running_postgres


@pytest.fixture(scope="module")
def pacs() -> Iterator[Pacs]:
    with running_pacs() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, pacs: Pacs) -> Iterator[Node]:
    configuration = quick(tmp_path_factory.mktemp("node"), pacs.destination, engine={"attempts": 2})
    with quick_node(
        configuration, analyse="by_study", examine="examine_by_series", processes=True
    ) as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


_ON_POSTGRESQL = (
    pytest.mark.peers,
    pytest.mark.gate("as with SQLite; PostgreSQL is tried by `test_store_against_memory.py`"),
)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=_ON_POSTGRESQL)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database; the test runs once for each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


def _close(sender: AssociationSocket) -> None:
    """Close the connection of a sender that a test made of pynetdicom, established or not.

    pynetdicom 3.0.4 leaves one that the node has closed first to the garbage collector, which warns.
    """
    if sender.socket is not None:
        with suppress(OSError):
            sender.socket.shutdown(socket.SHUT_RDWR)
        sender.socket.close()


AssociationSocket._shutdown_socket = _close

_numbers = count(1)


@pytest.fixture
def study() -> str:
    """Return a Study Instance UID that no other test uses."""
    return f"1.2.826.0.1.{next(_numbers)}"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """Return what the log writes at level debug."""
    stream = StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure(LogSettings(format="json", level="debug"))
    yield stream
    structlog.reset_defaults()
