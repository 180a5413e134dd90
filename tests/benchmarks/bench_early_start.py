"""Measure the time from the last image to the last result, with and without the early start.

Run ``uv run python -m tests.benchmarks.bench_early_start`` on an otherwise idle machine; with ``--slices 20
--size 512`` for larger series than those of the simulated protocols. Two nodes, one with
the early start and one without, take turns, so that other load affects both. Each round includes a real
listener, a real analysis of a simulated patient and a real delivery, with the default quiet time. No test
asserts a time.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from pydicom import Dataset, dcmread
from rich.console import Console
from rich.table import Table

from node.app import Node
from node.config import AssemblySettings, Configuration, WebSettings, default
from node.decode import files_below
from node.domain.study import StudyState
from tests.benchmarks.studies import add_protocol_options, simulate_studies
from tests.node.nodes import Pacs, running_pacs, send, state_of
from tests.patience import wait_until


def main() -> None:
    """Print both times and their difference, as median and range over the rounds."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    add_protocol_options(options)
    chosen = options.parse_args()
    rounds = chosen.rounds
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        simulate_studies(folder / "sample", 1, seed=12, slices=chosen.slices, size=chosen.size)
        images = [dcmread(path) for path in files_below([folder / "sample" / "studies"])]
        with (
            _delivering(folder / "late", start_early=False) as late,
            _delivering(folder / "early", start_early=True) as early,
        ):
            pairs = [_time_both(late, early, images, number) for number in range(rounds + 1)][1:]
    # Round 0 does not count: it waits for the worker processes to import the analysis.
    without, with_it = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    table = Table("last C-STORE to last result", f"median of {rounds} rounds", "range")
    table.add_row("settle, then analyse, s", *_told(without, 1))
    table.add_row("analyse while it settles, s", *_told(with_it, 1))
    saved = [slow - fast for slow, fast in pairs]
    table.add_row(f"saved, of a quiet time of {default().assembly.quiet_s:g} s, s", *_told(saved, 1))
    table.add_row("ratio", *_told([slow / fast for slow, fast in pairs], 2))
    Console().print(table)


def _told(values: Sequence[float], digits: int) -> tuple[str, str]:
    return f"{median(values):.{digits}f}", f"{min(values):.{digits}f} to {max(values):.{digits}f}"


@contextmanager
def _delivering(directory: Path, *, start_early: bool) -> Iterator[tuple[Node, Pacs]]:
    """Run a node and the PACS that receives its results."""
    with running_pacs() as pacs:
        configuration = replace(
            _configuration(directory, start_early=start_early), destinations=(pacs.destination,)
        )
        with Node(configuration) as node:
            yield node, pacs


def _time_both(
    late: tuple[Node, Pacs], early: tuple[Node, Pacs], images: Sequence[Dataset], number: int
) -> tuple[float, float]:
    """Time one round; the two nodes alternate in going first."""
    study = _as_another_study(images, number)
    if number % 2:
        seconds = _time(*early, study)
        return _time(*late, study), seconds
    return _time(*late, study), _time(*early, study)


def _configuration(directory: Path, *, start_early: bool) -> Configuration:
    base = default()
    return replace(
        base,
        web=WebSettings(port=0),
        node=replace(base.node, port=0),
        storage=replace(base.storage, directory=directory, watermark_mb=0),
        assembly=AssemblySettings(start_early=start_early),
    )


def _as_another_study(images: Sequence[Dataset], number: int) -> list[Dataset]:
    for image in images:
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            root = str(image[keyword].value).partition(".9999.")[0]
            image[keyword].value = f"{root}.9999.{number}"
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return list(images)


def _time(node: Node, pacs: Pacs, images: Sequence[Dataset]) -> float:
    study = str(images[0].StudyInstanceUID)
    assert set(send(node.port, *images)) == {0}
    began = perf_counter()
    wait_until(lambda: state_of(node, study) is StudyState.DELIVERED)
    assert any(dataset.StudyInstanceUID == study for dataset in pacs.received)
    return perf_counter() - began


if __name__ == "__main__":
    main()
