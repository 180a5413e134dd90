"""Time, processor time and memory of `osteonode analyse` from a cold start, as a user calls it.

Run ``uv run python -m tests.benchmarks.bench_analyse`` on an otherwise idle machine: one study, and a folder
of ``--studies 20``. ``--slices 60 --size 1024 --studies 1`` measures the largest series. Each call is a
program of its own; the memory is the largest resident memory of any one of its processes. On a busy machine
only the processor time and the memory mean something. No test asserts a time.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from rich.console import Console
from rich.table import Table

from tests.benchmarks.studies import add_protocol_options, simulate_studies

_CHILD = (
    "import resource, subprocess, sys;"
    "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode;"
    "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
    "print(code, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)"
)
"""A process of its own counts for each call, because a process counts all its children together."""


def main() -> None:
    """Print medians over the rounds."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--studies", type=int, default=20, help="in the folder")
    add_protocol_options(options)
    chosen = options.parse_args()
    table = Table("call", "wall, s", "per study, s", "CPU, s", "peak memory, MB")
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        simulate_studies(folder, chosen.studies, seed=12, slices=chosen.slices, size=chosen.size)
        program = str(Path(sys.executable).with_name("osteonode"))
        _add(table, "osteonode --help", [program, "--help"], 1, chosen.rounds)
        every = folder / "studies"
        one = min(every.iterdir())
        calls = [("analyse, 1 study", one, 1)]
        if chosen.studies > 1:
            calls.append((f"analyse, {chosen.studies} studies", every, chosen.studies))
        for name, path, studies in calls:
            command = [program, "analyse", str(path), "--out", str(folder / f"out{studies}")]
            _add(table, name, command, studies, chosen.rounds)
    Console().print(table)


def _add(table: Table, name: str, command: list[str], studies: int, rounds: int) -> None:
    wall, cpu, memory = (
        median(values) for values in zip(*(_call(command) for _ in range(rounds)), strict=True)
    )
    table.add_row(name, f"{wall:.2f}", f"{wall / studies:.2f}", f"{cpu:.2f}", f"{memory:.0f}")


def _call(command: list[str]) -> tuple[float, float, float]:
    """Return wall seconds, processor seconds and peak memory in MB of one call."""
    began = perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, *command], check=True, capture_output=True, text=True
    )
    wall = perf_counter() - began
    code, cpu, memory = done.stdout.split()
    if code != "0":
        sys.exit(f"{command} ended with {code}")
    return wall, float(cpu), float(memory)


if __name__ == "__main__":
    main()
