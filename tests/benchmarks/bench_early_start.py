"""What the early start saves: time from the last image to the last result, with it and without.

Run ``uv run python -m tests.benchmarks.bench_early_start``, on a machine that does nothing else. Both ways go
through a real listener, a real analysis of a simulated patient and a real delivery, in turn and in one run;
the quiet time is the shipped one. No test asserts a time.
"""

import argparse
from collections.abc import Sequence
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
from node.sample import write_sample
from tests.node.nodes import Pacs, running_pacs, send, state_of, wait_until


def main() -> None:
    """Print both times, and what the early start saves."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repeats", type=int, default=3)
    chosen = options.parse_args()
    times: dict[bool, list[float]] = {False: [], True: []}
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_sample(folder / "sample", patients=1, seed=12)
        images = [dcmread(path) for path in files_below([folder / "sample" / "studies"])]
        for start_early in (False, True):
            configuration = _configuration(folder / str(start_early), start_early=start_early)
            with running_pacs() as pacs:
                there = replace(configuration, destinations=(pacs.destination,))
                with Node(there) as node:
                    for number in range(chosen.repeats + 1):
                        seconds = _time(node, pacs, _as_another_study(images, number))
                        if number:  # the first one waits for the worker process to import the science
                            times[start_early].append(seconds)
    late, early = median(times[False]), median(times[True])
    table = Table("", f"last C-STORE to result, s (median of {chosen.repeats})")
    table.add_row("settle, then analyse", f"{late:.1f}")
    table.add_row("analyse while it settles", f"{early:.1f}")
    table.add_row("ratio", f"{late / early:.2f}")
    table.add_row(f"saved, of a quiet time of {default().assembly.quiet_s:g} s", f"{late - early:.1f}")
    Console().print(table)


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
    wait_until(lambda: state_of(node, study) is StudyState.DELIVERED, seconds=600)
    assert any(dataset.StudyInstanceUID == study for dataset in pacs.received)
    return perf_counter() - began


if __name__ == "__main__":
    main()
