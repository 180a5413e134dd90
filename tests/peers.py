"""The real peers of the tests, from packages of Debian; a test is skipped if its peer is not installed."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from random import randrange
from typing import Any, Self

import pytest

from tests.patience import PATIENCE_S

__all__ = [
    "CtnStorage",
    "Orthanc",
    "StoreScp",
    "build_loopback_shim",
    "free_port",
    "missing",
    "program",
    "run",
    "shared_data",
    "wait_until_open",
]

REQUIRED = os.environ.get("OSTEONODE_REQUIRE_PEERS") == "1"
"""Set by `.ci/run`, where a missing peer is a failure instead of a skip."""

REPOSITORY = Path(__file__).resolve().parent.parent

_FIRST_PORT, _PORTS_EACH, _PORT_RANGES = 10_000, 2_000, 11


def program(name: str, package: str) -> Path:
    """Return the path of a system program; skip the test if it is not installed.

    The virtual environment is not searched, because pynetdicom installs its own `storescu` and others there.
    """
    found = shutil.which(name, path="/usr/bin:/usr/sbin:/usr/local/bin")
    if found is None:
        missing(f"{name} is not installed (apt-get install {package})")
    return Path(found or "")


def shared_data(*parts: str) -> Path:
    """Return a path of real images beside the repository; skip the test if there are none."""
    path = REPOSITORY.parent.joinpath("shared", "data", *parts)
    if not path.exists():
        pytest.skip(f"no real images: {Path('..', 'shared', 'data', *parts)} is missing")
    return path


def run(command: Sequence[str | Path]) -> str:
    """Run a program to its end and return its output, which is also shown if the program fails."""
    done = subprocess.run(
        [str(word) for word in command],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
        errors="replace",
        # Without it, Nagle's algorithm costs DCMTK 40 ms per image (documentation of DCMTK: TCP_NODELAY).
        env=os.environ | {"TCP_NODELAY": "1"},
    )
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def free_port() -> int:
    """Return a port that is free on loopback, and that no other test is given.

    It lies below the ports that the system chooses by itself, so that one that shall stay closed does. Each
    worker of pytest-xdist has a range of its own.
    """
    return next(port for port in _ports if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


def _own_ports() -> Iterator[int]:
    """Yield the ports of this process for ever, from a place that differs from run to run."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _FIRST_PORT + worker % _PORT_RANGES * _PORTS_EACH
    ports = range(first, first + _PORTS_EACH)
    start = randrange(_PORTS_EACH)
    return cycle((*ports[start:], *ports[:start]))


_ports = _own_ports()


def wait_until_open(port: int) -> None:
    """Wait until a port on loopback accepts connections, by connecting to it."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    pytest.fail(f"nothing listens on port {port}")


def build_loopback_shim(folder: Path) -> Path:
    """Build the library that binds a server to loopback if the server has no option for it."""
    library = folder / "bind_loopback.so"
    source = REPOSITORY / "tests" / "end_to_end" / "bind_loopback.c"
    run([program("gcc", "gcc"), "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"])
    return library


def missing(reason: str) -> None:
    if REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass(slots=True)
class Orthanc:
    """An Orthanc server on loopback with a store of its own.

    Parameters
    ----------
    directory : Path
        Holds its configuration, database and log.
    settings : dict
        Added to its configuration (`DicomModalities`, `LuaScripts`, `StableAge` …).
    credentials : str
        Base64 credentials for HTTP Basic; empty to send none.
    """

    directory: Path
    settings: dict[str, Any]
    ae_title: str = "ORTHANC"
    dicom_port: int = 0
    http_port: int = 0
    credentials: str = ""
    process: "subprocess.Popen[bytes] | None" = None

    def __enter__(self) -> Self:
        server = program("Orthanc", "orthanc")
        self.directory.mkdir(parents=True, exist_ok=True)
        self.dicom_port = self.dicom_port or free_port()
        self.http_port = self.http_port or free_port()
        configuration = self.directory / "orthanc.json"
        configuration.write_text(json.dumps(self._configuration(), indent=2))
        log = (self.directory / "orthanc.log").open("wb")
        self.process = subprocess.Popen(
            [str(server), str(configuration)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"LD_PRELOAD": str(build_loopback_shim(self.directory)), "TCP_NODELAY": "1"},
        )
        log.close()
        self._wait_until_up()
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)

    def get(self, path: str) -> Any:
        """Return the JSON response of its REST interface, parsed."""
        with urllib.request.urlopen(self._request(path), timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def get_bytes(self, path: str) -> bytes:
        """Return the response of its REST interface as bytes, such as of "/instances/…/file"."""
        with urllib.request.urlopen(self._request(path), timeout=PATIENCE_S) as answer:
            content: bytes = answer.read()
        return content

    def files(self) -> list[bytes]:
        """Return the file of every object that it holds."""
        return [self.get_bytes(f"/instances/{name}/file") for name in self.get("/instances")]

    def post(self, path: str, body: bytes) -> Any:
        """Return the JSON response of its REST interface to a POST, parsed."""
        request = self._request(path, body)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def store(self, files: Iterable[Path]) -> None:
        """Upload DICOM files through its REST interface."""
        for file in files:
            self.post("/instances", file.read_bytes())

    def log(self) -> str:
        """Return its log so far."""
        return (self.directory / "orthanc.log").read_text(errors="replace")

    def _request(self, path: str, body: bytes | None = None) -> urllib.request.Request:
        """Return a request, a POST if it has a body, with the credentials if there are any."""
        headers = {"Authorization": f"Basic {self.credentials}"} if self.credentials else {}
        url = f"http://127.0.0.1:{self.http_port}{path}"
        return urllib.request.Request(url, data=body, headers=headers)

    def _configuration(self) -> dict[str, Any]:
        return {
            "Name": "osteonode tests",
            "StorageDirectory": str(self.directory / "storage"),
            "IndexDirectory": str(self.directory / "index"),
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "DicomAet": self.ae_title,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomCheckCalledAet": False,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "ConcurrentJobs": 2,
        } | self.settings

    def _wait_until_up(self) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            try:
                self.get("/system")
            except OSError:
                time.sleep(0.1)
            else:
                return
        pytest.fail(f"Orthanc did not start:\n{self.log()}")


@dataclass(slots=True)
class StoreScp:
    """storescp of DCMTK, which writes every object that it receives to a folder."""

    directory: Path
    shim: Path
    options: tuple[str, ...] = ("+xa",)
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [str(program("storescp", "dcmtk")), "-od", str(self.directory), *self.options, str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"LD_PRELOAD": str(self.shim), "TCP_NODELAY": "1"},
        )
        wait_until_open(self.port)
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)


@dataclass(slots=True)
class CtnStorage:
    """simple_storage of CTN, an archive from 1995 that rejects SOP classes it does not know.

    Parameters
    ----------
    directory : Path
        Holds the objects that it receives.
    """

    directory: Path
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    def __enter__(self) -> Self:
        server = program("simple_storage", "ctn")
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        self.process = subprocess.Popen(
            [str(server), "-i", "-s", "-x", str(self.directory), str(self.port)],
            cwd=self.directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"LD_PRELOAD": str(build_loopback_shim(self.directory))},
        )
        give_up = time.monotonic() + PATIENCE_S
        # Not by connecting, as it exits on a connection that requests no association.
        while not _is_listened_on(self.port):
            assert time.monotonic() < give_up, "simple_storage did not start"
            time.sleep(0.1)
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)

    def received(self) -> list[Path]:
        """Return the files that it has written."""
        return [path for path in self.directory.rglob("*") if path.is_file() and path.suffix != ".so"]


def _is_listened_on(port: int) -> bool:
    """Look up a port in the socket table of the kernel, without connecting to it."""
    listening = f":{port:04X} 00000000:0000 0A "
    return listening in Path("/proc/net/tcp").read_text(encoding="ascii")
