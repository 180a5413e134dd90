"""What a node in a process of its own uses at one moment, and what its database tells."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from node.domain.delivery import DeliveryState
from node.domain.study import StudyState
from tests.patience import PATIENCE_S

_MB = 2**20


@dataclass(frozen=True, slots=True)
class Sample:
    """What the node used at one moment; sizes in MB, processor time in seconds.

    The node is the process that was started; workers are all processes below it. What is its own is resident
    memory without pages of files, such as libraries.
    """

    at_s: float
    delivered: int
    waiting_studies: int
    waiting_deliveries: int
    node_rss: float
    node_own: float
    worker_rss: float
    workers: int
    node_descriptors: int
    worker_descriptors: int
    node_threads: int
    worker_threads: int
    node_cpu_s: float
    worker_cpu_s: float
    database: float
    wal: float
    images: float
    results: float
    other_files: float
    log: float


@dataclass(frozen=True, slots=True)
class _Process:
    """Memory in MB, what is open, and processor time."""

    rss: float
    own: float
    descriptors: int
    threads: int
    cpu_s: float


def processes_below(pid: int) -> list[int]:
    """Return the process IDs of all descendants of a process."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has ended meanwhile
                continue
    below, found = [], [pid]
    while found:
        found = [child for child, parent in parents.items() if parent in found]
        below += found
    return below


def _process(pid: int) -> _Process:
    """Measure a process; all is 0 of one that has ended."""
    try:
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return _Process(
            rss=int(status["VmRSS"].split()[0]) / 1024,
            own=int(status["RssAnon"].split()[0]) / 1024,
            descriptors=descriptors,
            threads=int(status["Threads"]),
            cpu_s=sum(map(int, times)) / os.sysconf("SC_CLK_TCK"),
        )
    except (OSError, KeyError):  # it has ended meanwhile
        return _Process(0.0, 0.0, 0, 0, 0.0)


def _size(path: Path) -> float:
    """Return the size of a file, or of all files below a folder, in MB."""
    if path.is_file():
        return path.stat().st_size / _MB
    total = 0
    for place, _, names in os.walk(path):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_size  # noqa: PTH116, PTH118 - thousands of files
            except FileNotFoundError:
                continue
    return total / _MB


def rows(database: Path, statement: str, *values: str) -> list[tuple[Any, ...]]:
    """Read from the database of a running node."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=PATIENCE_S)) as connection:
        return connection.execute(statement, values).fetchall()


def delivered(database: Path) -> int:
    """Return how many studies are delivered."""
    return int(rows(database, "select count(*) from studies where state = ?", StudyState.DELIVERED)[0][0])


def look(folder: Path, pid: int, began: float, sent: int) -> Sample:
    """Measure everything now."""
    storage = folder / "var"
    database = storage / "osteonode.db"
    done = delivered(database)
    waiting = rows(database, "select count(*) from deliveries where state != ?", DeliveryState.SENT)[0][0]
    # Not the size of the file, to which the log of changes is added only from time to time.
    pages, page = rows(database, "pragma page_count")[0][0], rows(database, "pragma page_size")[0][0]
    node = _process(pid)
    below = processes_below(pid)
    theirs = [_process(child) for child in below]
    images, results = _size(storage / "instances"), _size(storage / "results")
    wal = _size(storage / "osteonode.db-wal")
    return Sample(
        at_s=monotonic() - began,
        delivered=done,
        waiting_studies=sent - done,
        waiting_deliveries=int(waiting),
        node_rss=node.rss,
        node_own=node.own,
        worker_rss=sum(one.rss for one in theirs),
        workers=len(below),
        node_descriptors=node.descriptors,
        worker_descriptors=sum(one.descriptors for one in theirs),
        node_threads=node.threads,
        worker_threads=sum(one.threads for one in theirs),
        node_cpu_s=node.cpu_s,
        worker_cpu_s=sum(one.cpu_s for one in theirs),
        database=pages * page / _MB,
        wal=wal,
        images=images,
        results=results,
        other_files=_size(storage) - images - results - _size(database) - wal,
        log=_size(folder / "node.log"),
    )
