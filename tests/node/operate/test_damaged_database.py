"""A damaged database is told, with what to do, and that does what it says."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from node.config import Configuration
from node.domain.study import StudyState
from node.errors import PermanentError
from node.operate.doctor import Severity, database
from node.store.sql import SqlStore
from tests.node.nodes import STUDY, quick, quick_node, running_pacs, send, slice_of, state_of
from tests.patience import PATIENCE_S, wait_until
from tests.peers import free_port

Damage = Callable[[Path], object]


def no_database(file: Path) -> None:
    file.write_bytes(b"no database any more" * 500)


def without_a_page(file: Path) -> None:
    """Overwrite a page of the history, so that everything that is read at the start is whole."""
    with closing(sqlite3.connect(file)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'history'").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(file.read_bytes())
    content[4096 * (page - 1) : 4096 * page] = b"\x55" * 4096
    file.write_bytes(content)


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    """Return that of a node which has received and reported a study."""
    with running_pacs() as pacs:
        settings = quick(tmp_path / "var", pacs.destination)
        with quick_node(settings) as node:
            assert send(node.port, *(slice_of(number) for number in range(3))) == [0, 0, 0]
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
    return settings


@pytest.mark.parametrize("damage", [no_database, without_a_page])
def test_a_damaged_database_is_told_by_serve_and_doctor_and_is_made_anew(
    configuration: Configuration, tmp_path: Path, damage: Damage
) -> None:
    file = tmp_path / "var" / "osteonode.db"
    damage(file)
    (told,) = database(configuration)
    assert told.severity is Severity.FAULT
    assert "the database is damaged" in told.message
    config = tmp_path / "config.toml"
    config.write_text(f"[node]\nport = {free_port()}\n[web]\nport = 0\n[storage]\ndirectory = 'var'\n")
    words = [sys.executable, "-m", "node", "serve", "--config", str(config)]
    served = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    said = " ".join((served.stdout + served.stderr).split())
    assert served.returncode == 1
    assert "the database is damaged" in said
    assert "start the node" in said
    assert "Traceback" not in said

    for one in file.parent.glob("osteonode.db*"):
        one.unlink()
    with running_pacs() as pacs:
        with quick_node(quick(tmp_path / "var", pacs.destination)) as node:
            assert len(node.store.instances(STUDY)) == 3
            assert send(node.port, *(slice_of(number) for number in range(3))) == [0, 0, 0]
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        assert {one.StudyInstanceUID for one in pacs.received} == {STUDY}


def test_a_database_that_cannot_be_opened_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(PermanentError, match="cannot be opened"):
        SqlStore(f"sqlite:///{tmp_path / 'folder'}")
