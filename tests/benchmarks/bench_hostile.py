"""How much ten hostile associations of one source slow an honest sender of another source.

Run ``uv run python -m tests.benchmarks.bench_hostile``. One association sends MR slices to a node, each once
the one before it is answered, first alone and then beside ten hostile associations of one kind, in turns. The
node and the hostile side are processes of their own. Only the ratios of one run mean anything: of the median
time of an answer beside the hostile ones, and of that of the slowest twentieth, to the same alone in the same
round; the table has the median of the rounds. The goal is that no ratio of medians is above 3, on two cores
of which the hostile side takes its part.
"""

import argparse
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from random import Random
from statistics import median
from struct import pack
from tempfile import TemporaryDirectory
from time import perf_counter

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.sop_class import Verification
from rich.console import Console
from rich.table import Table

from tests.node.nodes import encode, slice_of
from tests.node.wire import (
    ASSOCIATE_AC,
    COMMAND,
    LAST,
    P_DATA,
    RELEASE_RQ,
    Wire,
    associate,
    echo_request,
    fragment,
    pdu,
    store_request,
    wire_to,
)
from tests.peers import REPOSITORY

NODE = """
import sys
from dataclasses import replace
from pathlib import Path
from node.app import Node
from node.config import AssemblySettings, LogSettings, Source, WebSettings, default
from node.log import configure
if __name__ == "__main__":
    configure(LogSettings(format="json", level="error"))
    base = default()
    free = {"max_instances_per_hour": 10**9, "max_mb_per_hour": 10**9}
    configuration = replace(
        base,
        web=WebSettings(port=0),
        node=replace(base.node, port=0),
        sources=(Source(ae_title="HONEST", **free), Source(ae_title="HOSTILE", max_associations=10, **free)),
        storage=replace(base.storage, directory=Path(sys.argv[1])),
        # Nothing settles while it is measured: what is compared is receiving.
        assembly=AssemblySettings(quiet_s=3600),
        destinations=(),
    )
    analyses = "tests.node.analyses"
    names = {"analyse_study": f"{analyses}:report", "examine_study": f"{analyses}:examine_as_pair"}
    with Node(configuration, **names) as node:
        print("port", node.port, flush=True)
        sys.stdin.read()
"""
_HOSTILE = 10
_PART = 16_000
"""Bytes of a dataset in a PDU, as most senders have it."""


@contextmanager
def serving(folder: Path) -> Iterator[tuple[int, int]]:
    """Run a node; yield its port and its process."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", NODE, str(folder / "storage")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=REPOSITORY,
        )
    try:
        assert process.stdout is not None
        line = next((line for line in process.stdout if line.startswith(b"port")), b"")
        assert line, (folder / "server.log").read_text()
        yield int(line.split()[1]), process.pid
    finally:
        process.terminate()
        process.communicate()


def opened(wire: Wire, syntax: str, sop_class: str = "") -> Wire:
    """Request an association of the hostile source."""
    named = {"sop_class": sop_class} if sop_class else {}
    wire.send(associate(syntax, calling="HOSTILE", **named))
    assert wire.receive()[0] == ASSOCIATE_AC
    return wire


def in_pdus(instance: str, content: bytes, part: int = _PART) -> bytes:
    """Make the PDUs of one C-STORE request."""
    pdus = [pdu(P_DATA, fragment(1, store_request(instance.encode()), control=COMMAND | LAST))]
    for at in range(0, len(content), part):
        last = LAST if at + part >= len(content) else 0
        pdus.append(pdu(P_DATA, fragment(1, content[at : at + part], control=last)))
    return b"".join(pdus)


# What a hostile association does, for ever


def inflate(port: int, _number: int) -> None:
    """Send 6 kB that inflate to half a million empty elements, again and again."""
    empty = b"".join(pack("<HH2sH", 8, 0x0005, b"CS", 0) for _ in range(500_000))
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    content = in_pdus("1.2.3", compressor.compress(empty) + compressor.flush())
    with wire_to(port) as wire:
        opened(wire, DeflatedExplicitVRLittleEndian)
        while True:
            wire.send(content)
            wire.status()


def crowd(port: int, _number: int) -> None:
    """Send objects with as many elements as are looked at, uncompressed, in one PDU."""
    empty = b"".join(pack("<HH2sH", 8, 0x0005, b"CS", 0) for _ in range(25_000))
    content = in_pdus("1.2.3", empty, 60_000)
    with wire_to(port) as wire:
        opened(wire, ExplicitVRLittleEndian)
        while True:
            wire.send(content)
            wire.status()


def trickle(port: int, number: int) -> None:
    """Send an image byte by byte, a thousand a second."""
    image = slice_of(1, study=f"1.2.{number + 1}")
    content = in_pdus(image.SOPInstanceUID, encode(image, ImplicitVRLittleEndian) * 1000)
    with wire_to(port) as wire:
        opened(wire, ImplicitVRLittleEndian)
        for at in range(len(content)):
            wire.send(content[at : at + 1])
            time.sleep(0.001)


def shred(port: int, number: int) -> None:
    """Send an endless image in PDUs of two bytes, as fast as they are taken."""
    image = slice_of(1, study=f"1.2.{number + 1}")
    parts = pdu(P_DATA, fragment(1, b"\0\0", control=0)) * 10_000
    with wire_to(port) as wire:
        opened(wire, ImplicitVRLittleEndian)
        head = pdu(P_DATA, fragment(1, store_request(image.SOPInstanceUID.encode()), control=COMMAND | LAST))
        wire.send(head, parts)
        while True:
            wire.send(parts)


def flood(port: int, number: int) -> None:
    """Send small sound images as fast as they are answered."""
    with wire_to(port) as wire:
        opened(wire, ImplicitVRLittleEndian)
        for index in count():
            image = slice_of(index, study=f"1.2.{os.getpid()}.{number + 1}")
            wire.send(in_pdus(image.SOPInstanceUID, encode(image, ImplicitVRLittleEndian)))
            wire.status()


def spoil(port: int, _number: int) -> None:
    """Send objects that are refused and quarantined, as fast as they are answered."""
    content = in_pdus("1.2.3", b"\0" * 2000)
    with wire_to(port) as wire:
        opened(wire, ImplicitVRLittleEndian)
        while True:
            wire.send(content)
            wire.status()


def contradict(port: int, number: int) -> None:
    """Send other pixels under a known UID, as fast as they are answered."""
    with wire_to(port) as wire:
        opened(wire, ImplicitVRLittleEndian)
        for index in count():
            image = slice_of(index, study=f"1.2.{os.getpid()}.{number + 1}.7")
            image.SOPInstanceUID = f"1.2.{os.getpid()}.{number + 1}.8"
            wire.send(in_pdus(image.SOPInstanceUID, encode(image, ImplicitVRLittleEndian)))
            wire.status()


def echo(port: int, _number: int) -> None:
    """Ask for an echo as fast as it is answered."""
    question = pdu(P_DATA, fragment(1, echo_request(), control=COMMAND | LAST))
    with wire_to(port) as wire:
        opened(wire, ImplicitVRLittleEndian, Verification)
        while True:
            wire.send(question)
            wire.status()


def knock(port: int, _number: int) -> None:
    """Open and release associations as fast as they are accepted."""
    while True:
        with wire_to(port) as wire:
            wire.send(associate(calling="HOSTILE"))
            wire.receive()
            wire.send(pdu(RELEASE_RQ, b"\0" * 4))
            wire.receive()


KINDS: Mapping[str, Callable[[int, int], None]] = {
    "inflate": inflate, "crowd": crowd, "trickle": trickle, "shred": shred, "flood": flood, "spoil": spoil,
    "contradict": contradict, "echo": echo, "knock": knock,
}  # fmt: skip


def be_hostile(kind: str, port: int) -> None:
    """Run ten associations of a kind, each in a thread, for ever."""

    def run(number: int) -> None:
        while True:
            with suppress(OSError, AssertionError):
                KINDS[kind](port, number)
            time.sleep(0.01)

    for number in range(_HOSTILE):
        threading.Thread(target=run, args=(number,), daemon=True).start()
    threading.Event().wait()


@contextmanager
def beside(kind: str, port: int) -> Iterator[None]:
    """Run the hostile side in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=be_hostile, args=(kind, port), daemon=True)
    process.start()
    time.sleep(2.0)  # until all of them are in full swing
    try:
        yield
    finally:
        process.kill()
        process.join()


def calm_down(pid: int) -> None:
    """Wait until a node does nothing any more."""
    for _ in range(60):
        before_s = processor_s(pid)
        time.sleep(0.5)
        if processor_s(pid) - before_s < 0.05:
            return


def processor_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def answer_times(port: int, number: int, study: str, size: int) -> list[float]:
    """Send new slices over one association; return how long each took until it was answered."""
    pixels = Random(study).randbytes(2 * size * size)
    times = []
    with wire_to(port) as wire:
        wire.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        wire.send(associate(calling="HONEST"))
        assert wire.receive()[0] == ASSOCIATE_AC
        for index in range(number):
            image = slice_of(index, study=study)
            image.Rows = image.Columns = size
            image.PixelData = pixels
            content = in_pdus(image.SOPInstanceUID, encode(image, ImplicitVRLittleEndian))
            began = perf_counter()
            wire.send(content)
            assert wire.status() == 0
            times.append(perf_counter() - began)
    return times


def slow(times: list[float]) -> float:
    """Return the time that only a twentieth exceeds."""
    return sorted(times)[int(0.95 * len(times))]


def main() -> None:
    """Print the ratios."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--number", type=int, default=30, help="slices of the honest sender in a round")
    options.add_argument("--size", type=int, default=320, help="rows and columns of a slice")
    options.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    chosen = options.parse_args()
    table = Table("ten that", "alone, ms", "beside, ms", "ratio", "slowest 5 %, alone", "beside", "ratio")
    studies = (f"1.2.826.0.2.{number}" for number in count(1))
    for kind in chosen.kinds:
        rounds: list[tuple[list[float], list[float]]] = []
        with TemporaryDirectory() as folder, serving(Path(folder)) as (port, pid):
            answer_times(port, 10, next(studies), chosen.size)
            for _ in range(chosen.rounds):
                calm_down(pid)
                alone = answer_times(port, chosen.number, next(studies), chosen.size)
                with beside(kind, port):
                    rounds.append((alone, answer_times(port, chosen.number, next(studies), chosen.size)))
        figures = []
        for how in (median, slow):
            before, after = ([how(times) for times in side] for side in zip(*rounds, strict=True))
            ratio = median(there / here for here, there in zip(before, after, strict=True))
            figures += [f"{1000 * median(before):.1f}", f"{1000 * median(after):.1f}", f"{ratio:.1f}"]
        table.add_row(kind, *figures)
    Console().print(table)


if __name__ == "__main__":
    main()
