"""Compare how fast objects are received: this node, Orthanc and DCMTK's storescp, side by side.

Run ``uv run python -m tests.benchmarks.bench_receive``. Each round makes new files and sends them to every
receiver in turn with the same sender, over one association and over four. This node answers after the object
is synced to disk and in its database; the other two answer before anything is synced. Only the ratios within
a round mean anything, so the table gives the median ratio of all rounds. No test asserts a time.

With ``--against CHECKOUT`` this node is compared with the node of another checkout, which has an environment
of its own in ``.venv``: their rates, and the processor time that each of them needs for an object.

With ``--rules FILE`` this node, and no other, has the ``[[rules]]`` of a configuration file.
"""

import argparse
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count, product
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TypeAlias

from rich.console import Console
from rich.table import Table

from tests.node.nodes import slice_of
from tests.peers import Orthanc, build_loopback_shim, free_port, program

NODE = """
import sys
from dataclasses import replace
from pathlib import Path
from analysis.memory import keep_one_heap
from node.app import Node
from node.config import AssemblySettings, WebSettings, default
if __name__ == "__main__":
    keep_one_heap()  # as `osteonode serve` does
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
    if sys.argv[4:]:
        from node.config import load
        configuration = replace(configuration, rules=load(Path(sys.argv[4])).rules)
    analyses = "tests.node.analyses"
    with Node(configuration, analyse_study=f"{analyses}:report", examine_study=f"{analyses}:examine_as_pair"):
        print("up", flush=True)
        sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class Receiver:
    """A program that is measured, and where it listens; `pid` is 0 where no processor time is asked for."""

    name: str
    ae_title: str
    port: int
    pid: int = 0


@contextmanager
def running(
    command: Sequence[str | Path], folder: Path, place: Path | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server on loopback, without Nagle's delay; `place` is its working directory."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=place,
            env=os.environ | {"TCP_NODELAY": "1", "LD_PRELOAD": str(build_loopback_shim(folder))},
        )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def node_of(checkout: Path, name: str, folder: Path, rules: Path | None = None) -> Iterator[Receiver]:
    """Run the node of a checkout."""
    python = checkout / ".venv" / "bin" / "python"
    port = free_port()
    command: list[str | Path] = [
        python if python.exists() else sys.executable, "-c", NODE, folder / "storage", str(port)
    ]  # fmt: skip
    if rules is not None:
        command += ["0", rules.resolve()]
    folder.mkdir()
    with running(command, folder, checkout) as process:
        assert process.stdout is not None
        assert any(line.strip() == b"up" for line in process.stdout), (folder / "server.log").read_text()
        yield Receiver(name, "OSTEONODE", port, process.pid)


@contextmanager
def receivers(folder: Path, against: Path | None, rules: Path | None) -> Iterator[tuple[Receiver, ...]]:
    """Start this node, and what it is compared with."""
    with ExitStack() as stack:
        ours = stack.enter_context(node_of(Path(__file__).parents[2], "ours", folder / "ours", rules))
        if against is not None:
            yield ours, stack.enter_context(node_of(against.resolve(), "other", folder / "other"))
            return
        places = {name: folder / name for name in ("orthanc", "storescp")}
        for place in places.values():
            place.mkdir()
        orthanc = stack.enter_context(Orthanc(places["orthanc"], {}))
        storescp, port = program("storescp", "dcmtk"), free_port()
        # --fork: without it the second association waits for the end of the first.
        stack.enter_context(
            running([storescp, "--fork", "-od", places["storescp"], str(port)], places["storescp"])
        )
        yield (
            ours,
            Receiver("Orthanc", "ORTHANC", orthanc.dicom_port),
            Receiver("storescp", "STORESCP", port),
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


def processor_seconds(receiver: Receiver) -> float:
    """Return the processor time that a receiver has used, with all its threads."""
    if not receiver.pid:
        return 0.0
    fields = Path(f"/proc/{receiver.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


Cell: TypeAlias = tuple[str, int, str]
"""Sender, associations, receiver."""


def measure(
    chosen: argparse.Namespace, folder: Path
) -> tuple[dict[Cell, list[float]], dict[Cell, list[float]]]:
    """Return objects per second and processor time in ms per object, of each cell one figure a round."""
    rates: dict[Cell, list[float]] = defaultdict(list)
    costs: dict[Cell, list[float]] = defaultdict(list)
    studies = count(int(perf_counter()))
    with receivers(folder, chosen.against, chosen.rules) as compared:
        for turn, sender, associations in product(range(chosen.rounds), chosen.senders, chosen.associations):
            with TemporaryDirectory(dir=folder) as place:
                folders = [Path(place, str(number)) for number in range(associations)]
                for one in folders:
                    one.mkdir()
                    write_files(one, chosen.size, chosen.number // associations, next(studies))
                sent = chosen.number // associations * associations
                # The first one finds colder files, so the order changes from round to round.
                at = turn % len(compared)
                for receiver in (*compared[at:], *compared[:at]):
                    before_s = processor_seconds(receiver)
                    seconds = send(sender, receiver, folders)
                    cell = sender, associations, receiver.name
                    rates[cell].append(sent / seconds)
                    costs[cell].append(1000 * (processor_seconds(receiver) - before_s) / sent)
    return rates, costs


def ratio(one: Sequence[float], other: Sequence[float]) -> str:
    """Return the median of the ratios within a round."""
    return f"{median(a / b for a, b in zip(one, other, strict=True)):.3f}"


def main() -> None:
    """Print the rates and their ratios."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--number", type=int, default=200, help="objects in a round")
    options.add_argument("--size", type=int, default=320, help="rows and columns of a slice")
    options.add_argument("--senders", nargs="+", default=["dcmsend", "storescu"])
    options.add_argument("--associations", nargs="+", type=int, default=[1, 4])
    options.add_argument("--against", type=Path, help="another checkout, instead of Orthanc and storescp")
    options.add_argument("--rules", type=Path, help="configuration file with the rules of this node")
    chosen = options.parse_args()
    with TemporaryDirectory() as folder:
        rates, costs = measure(chosen, Path(folder))
    names = ["Orthanc", "storescp"] if chosen.against is None else ["other"]
    table = Table(
        "sender", "associations", "ours /s", *(f"{name} /s" for name in names),
        *(f"ours / {name}" for name in names),
        *(() if chosen.against is None else ("ours, ms of processor", "other", "ours / other")),
    )  # fmt: skip
    for sender, associations in product(chosen.senders, chosen.associations):
        ours, *others = (rates[sender, associations, name] for name in ("ours", *names))
        figures = [f"{median(one):.0f}" for one in (ours, *others)] + [ratio(ours, other) for other in others]
        if chosen.against is not None:
            mine, theirs = (costs[sender, associations, name] for name in ("ours", "other"))
            figures += [f"{median(mine):.2f}", f"{median(theirs):.2f}", ratio(mine, theirs)]
        table.add_row(sender, str(associations), *figures)
    Console().print(table)


if __name__ == "__main__":
    main()
