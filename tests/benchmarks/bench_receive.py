"""Compare how fast objects are received: this node, Orthanc and DCMTK's storescp, side by side.

Run ``uv run python -m tests.benchmarks.bench_receive``. Each round makes new files and sends them to every
receiver in turn with the same sender, over one association and over four. This node answers after the object
is synced to disk and in its database; the other two answer before anything is synced. Only the ratios within
a round mean anything, so the table gives the median ratio of all rounds. No test asserts a time.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from rich.console import Console
from rich.table import Table

from tests.node.nodes import slice_of
from tests.peers import Orthanc, build_loopback_shim, free_port, program

NODE = """
import sys
from dataclasses import replace
from pathlib import Path
from node.app import Node
from node.config import AssemblySettings, WebSettings, default
if __name__ == "__main__":
    base = default()
    configuration = replace(
        base,
        web=WebSettings(port=int(sys.argv[3]) if sys.argv[3:] else 0),
        node=replace(base.node, port=int(sys.argv[2])),
        storage=replace(base.storage, directory=Path(sys.argv[1])),
        # Nothing settles while it is measured: what is compared is receiving.
        assembly=AssemblySettings(quiet_s=3600),
        destinations=(),
    )
    analyses = "tests.node.analyses"
    with Node(configuration, analyse_study=f"{analyses}:report", examine_study=f"{analyses}:examine_as_pair"):
        print("up", flush=True)
        sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who is measured, and where it listens."""

    name: str
    ae_title: str
    port: int


@contextmanager
def running(command: Sequence[str | Path], folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server on loopback, without Nagle's delay."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=os.environ | {"TCP_NODELAY": "1", "LD_PRELOAD": str(build_loopback_shim(folder))},
        )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def receivers(folder: Path) -> Iterator[tuple[Receiver, ...]]:
    """Start all three."""
    places = {name: folder / name for name in ("ours", "orthanc", "storescp")}
    for place in places.values():
        place.mkdir()
    with ExitStack() as stack:
        ours, theirs = free_port(), free_port()
        command: list[str | Path] = [sys.executable, "-c", NODE, places["ours"], str(ours)]
        process = stack.enter_context(running(command, places["ours"]))
        assert process.stdout is not None
        assert any(line.strip() == b"up" for line in process.stdout)
        orthanc = stack.enter_context(Orthanc(places["orthanc"], {}))
        storescp = program("storescp", "dcmtk")
        # --fork: without it the second association waits for the end of the first.
        stack.enter_context(
            running([storescp, "--fork", "-od", places["storescp"], str(theirs)], places["storescp"])
        )
        yield (
            Receiver("ours", "OSTEONODE", ours),
            Receiver("Orthanc", "ORTHANC", orthanc.dicom_port),
            Receiver("storescp", "STORESCP", theirs),
        )


def write_files(folder: Path, size: int, number: int, study: int) -> None:
    """Write a series of MR slices that no receiver has seen."""
    random = Random(study)
    for index in range(number):
        dataset = slice_of(index, study=f"1.2.826.0.1.{study}")
        dataset.Rows = dataset.Columns = size
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
        dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.PixelData = random.randbytes(2 * size * size)
        dataset["PixelData"].VR = "OW"
        dataset.save_as(folder / f"{index}.dcm", enforce_file_format=True)


def send(sender: str, receiver: Receiver, folders: Sequence[Path]) -> float:
    """Send each folder over an association of its own, all at once; return the seconds it took."""
    called = ["-aec", receiver.ae_title, "127.0.0.1", str(receiver.port), "--scan-directories"]
    began = perf_counter()
    senders = [
        subprocess.Popen(
            [str(program(sender, "dcmtk")), *called, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"TCP_NODELAY": "1"},
        )
        for folder in folders
    ]
    printed = [process.communicate()[0] for process in senders]
    seconds = perf_counter() - began
    for process, words in zip(senders, printed, strict=True):
        assert process.returncode == 0, words.decode(errors="replace")
    return seconds


def measure(chosen: argparse.Namespace, folder: Path) -> dict[tuple[str, int, str], list[float]]:
    """Return objects per second for each (sender, associations, receiver), one figure a round."""
    rates: dict[tuple[str, int, str], list[float]] = {}
    studies = count(int(perf_counter()))
    with receivers(folder) as all_three:
        for turn in range(chosen.rounds):
            for sender in chosen.senders:
                for associations in chosen.associations:
                    with TemporaryDirectory(dir=folder) as place:
                        folders = [Path(place, str(number)) for number in range(associations)]
                        for one in folders:
                            one.mkdir()
                            write_files(one, chosen.size, chosen.number // associations, next(studies))
                        # Whoever comes first finds colder files: each is first in one of three rounds.
                        for receiver in (*all_three[turn % 3 :], *all_three[: turn % 3]):
                            seconds = send(sender, receiver, folders)
                            sent = chosen.number // associations * associations
                            key = sender, associations, receiver.name
                            rates.setdefault(key, []).append(sent / seconds)
    return rates


def main() -> None:
    """Print the rates and their ratios."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--number", type=int, default=200, help="objects in a round")
    options.add_argument("--size", type=int, default=320, help="rows and columns of a slice")
    options.add_argument("--senders", nargs="+", default=["dcmsend", "storescu"])
    options.add_argument("--associations", nargs="+", type=int, default=[1, 4])
    chosen = options.parse_args()
    with TemporaryDirectory() as folder:
        rates = measure(chosen, Path(folder))
    table = Table(
        "sender", "associations", "ours /s", "Orthanc /s", "storescp /s", "ours / Orthanc", "ours / storescp"
    )
    for sender in chosen.senders:
        for associations in chosen.associations:
            ours, orthanc, storescp = (
                rates[sender, associations, name] for name in ("ours", "Orthanc", "storescp")
            )
            table.add_row(
                sender,
                str(associations),
                *(f"{median(one):.0f}" for one in (ours, orthanc, storescp)),
                *(
                    f"{median(a / b for a, b in zip(ours, other, strict=True)):.2f}"
                    for other in (orthanc, storescp)
                ),
            )
    Console().print(table)


if __name__ == "__main__":
    main()
