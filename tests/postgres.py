"""A PostgreSQL server for the tests, from Debian's package, reachable only by a socket in its folder."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE_S
from tests.peers import missing

__all__ = ["Postgres", "running_postgres"]

_USER = "osteonode"


@dataclass(slots=True)
class Postgres:
    """A running server.

    Attributes
    ----------
    folder : Path
        Holds its socket.
    """

    folder: Path
    _command: list[str | Path]
    _account: dict[str, Any]
    _process: "subprocess.Popen[bytes] | None" = None
    _numbers: "Iterator[int]" = field(default_factory=lambda: count(1))

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, **self._account)
        _wait_until_up(self.folder)

    def kill(self, number: signal.Signals) -> None:
        """End it with a signal; on return its processes have ended."""
        assert self._process is not None
        children = [Path("/proc", name) for name in _children_of(self._process.pid)]
        self._process.send_signal(number)
        self._process.wait(PATIENCE_S)
        while any(one.exists() for one in children):
            time.sleep(0.02)  # without their parent they end by themselves

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        import psycopg

        name = f"test_{next(self._numbers)}"
        with psycopg.connect(host=str(self.folder), user=_USER, dbname="postgres", autocommit=True) as server:
            server.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://{_USER}@/{name}?host={self.folder}"

    def let_in_with_password(self, user: str, password: str) -> None:
        """Create a user who needs a password, unless there is one."""
        import psycopg

        with psycopg.connect(host=str(self.folder), user=_USER, dbname="postgres", autocommit=True) as server:
            if server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [user]).fetchone():
                return
            server.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
            rules = self.folder / "data" / "pg_hba.conf"
            rules.write_text(f"local all {user} scram-sha-256\n{rules.read_text()}")
            server.execute("SELECT pg_reload_conf()")
        _wait_until_asked(self.folder, user)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start a server, and stop it at the end."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        missing("PostgreSQL is not installed (apt-get install postgresql)")
    # Not below pytest's own folder, which only its owner may enter: the server refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="osteonode-postgres-"))
    account = _account(folder)
    data = folder / "data"
    try:
        initdb: list[str | Path] = [
            programs[-1] / "initdb",
            "--auth=trust",
            "--no-sync",
            "-U",
            _USER,
            "-D",
            data,
        ]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **account)
        # -F: without syncs, for speed; that PostgreSQL survives a power cut is not tested here.
        command: list[str | Path] = [
            programs[-1] / "postgres",
            "-F",
            "-D",
            data,
            "-k",
            folder,
            "-c",
            "listen_addresses=",
        ]
        server = Postgres(folder, command, account)
        try:
            server.start()
            yield server
        finally:
            server.kill(signal.SIGTERM)
    finally:
        shutil.rmtree(folder)


def _children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _account(folder: Path) -> dict[str, Any]:
    """Choose the account that the server runs as, and give the folder to it."""
    if os.geteuid() != 0:
        return {}
    shutil.chown(folder, "postgres", "postgres")
    return {"user": "postgres", "group": "postgres", "extra_groups": [], "cwd": folder}


def _wait_until_up(folder: Path) -> None:
    import psycopg

    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            psycopg.connect(host=str(folder), user=_USER, dbname="postgres").close()
        except psycopg.OperationalError:
            assert time.monotonic() < give_up, (folder / "log").read_text()
            time.sleep(0.1)
        else:
            return


def _wait_until_asked(folder: Path, user: str) -> None:
    """Wait until the server has read its rules again, and asks this user for a password."""
    import psycopg

    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        try:
            psycopg.connect(host=str(folder), user=user, dbname="postgres").close()
        except psycopg.OperationalError:
            return
        time.sleep(0.1)
    raise TimeoutError("the server still asks for no password")
