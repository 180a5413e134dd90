"""A node as an administrator runs it: a process of its own with a config.toml and real peers."""

import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

import pytest

from tests.patience import PATIENCE_S
from tests.peers import REPOSITORY, StoreScp, build_loopback_shim, free_port, program, run

__all__ = ["ServedNode", "StoreScp", "wait_for"]

Answer = TypeVar("Answer")


@dataclass(slots=True)
class ServedNode:
    """Runs `osteonode serve` on loopback with one destination, as an argument of the command `under`."""

    directory: Path
    destination_ae: str
    destination_port: int
    ae_title: str = "OSTEONODE"
    quiet_s: float = 2.0
    max_wait_s: float = 30.0
    port: int = field(default_factory=free_port)
    web_port: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    under: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config.write_text(
            f"""
[node]
ae_title = "{self.ae_title}"
host = "127.0.0.1"
port = {self.port}

[[sources]]
ae_title = "*"
network = "127.0.0.0/8"

[[destinations]]
name = "pacs"
ae_title = "{self.destination_ae}"
host = "127.0.0.1"
port = {self.destination_port}
results = ["sr", "seg", "text", "summary"]

[storage]
directory = "{self.directory / "var"}"

[assembly]
quiet_s = {self.quiet_s}
max_wait_s = {self.max_wait_s}

[web]
port = {self.web_port}
"""
        )
        with (self.directory / "node.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*self.under, sys.executable, "-m", "node", "serve", "--config", str(self.config)],
                cwd=REPOSITORY,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait_until_up()
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process is not None:
            self.process.terminate()
            assert self.process.wait(PATIENCE_S) == 0, self.log()

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.directory / "config.toml"

    def log(self) -> str:
        """Return what the node has printed so far."""
        return (self.directory / "node.log").read_text(errors="replace")

    def store(self, folder: Path) -> None:
        """Send all files below a folder over one association, with storescu of DCMTK."""
        storescu = program("storescu", "dcmtk")
        node = ["-aec", self.ae_title, "127.0.0.1", str(self.port)]
        run([storescu, "-R", "+sd", "+r", *node, folder])

    def ask(self, *words: str) -> str:
        """Run another `osteonode` command on the same configuration."""
        return run([sys.executable, "-m", "node", *words, "--config", self.config])

    def _wait_until_up(self) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.1)
        pytest.fail(f"the node did not start:\n{self.log()}")


def wait_for(look: Callable[[], Answer | None], otherwise: Callable[[], str]) -> Answer:
    """Call `look` every 0.5 s until it returns something, and return that; many a look starts a program."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        if (answer := look()) is not None:
            return answer
        time.sleep(0.5)
    pytest.fail(otherwise())


@pytest.fixture(scope="session")
def sample_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the study of one simulated patient, as `osteonode sample` writes it.

    The first of the processes that run tests side by side writes it, the others wait. It is only read.
    """
    from node.science.sample import write_sample

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    out, is_done = shared / "sample", shared / "sample.done"
    with (shared / "sample.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_done.exists():
            write_sample(out, patients=1, seed=7, report_progress=lambda *_: None)
            is_done.touch()
    return out


@pytest.fixture(scope="session")
def loopback_shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the library that makes the servers of DCMTK listen on loopback only."""
    return build_loopback_shim(tmp_path_factory.mktemp("shim"))
