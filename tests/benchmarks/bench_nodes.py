"""Compare how many studies an hour one node analyses, alone and with a second one that only analyses.

Run ``uv run python -m tests.benchmarks.bench_nodes`` on an otherwise idle machine with at least two cores and
PostgreSQL. Each node has one process that analyses; the studies are simulated, and are all there before the
first is analysed. With ``--asleep`` each analysis sleeps instead, which shows on a busy machine, too, whether
the nodes hinder each other. No test asserts a time.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from pydicom import Dataset, dcmread
from rich.console import Console
from rich.table import Table

from node.app import AnalysingNode, Node
from node.config import AssemblySettings, Configuration, StoreSettings
from node.decode import files_below
from node.domain.study import StudyState
from node.science.sample import write_sample
from tests.node.analyses import SLOW
from tests.node.nodes import InThread, quick, running_pacs, send, slice_of, state_of
from tests.patience import wait_until
from tests.postgres import Postgres, running_postgres

_ASLEEP: Mapping[str, Any] = {"analyse_study": "tests.node.analyses:by_study", "make_worker": InThread}


def main() -> None:
    """Print studies an hour with one node and with two, and their ratio."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--studies", type=int, default=8)
    options.add_argument("--asleep", action="store_true")
    arguments = options.parse_args()
    count = arguments.studies
    with TemporaryDirectory() as scratch, running_postgres() as server:
        folder = Path(scratch)
        images = [slice_of(1)] if arguments.asleep else _sample(folder / "sample")
        rates = []
        for nodes in (1, 2):
            settings = _settings(folder / str(nodes), server)
            seconds = _time(settings, images, count, nodes, _ASLEEP if arguments.asleep else {})
            rates.append(count / seconds * 3600)
    table = Table("nodes", "studies an hour")
    for nodes, rate in zip((1, 2), rates, strict=True):
        table.add_row(str(nodes), f"{rate:.0f}")
    table.add_row("ratio", f"{rates[1] / rates[0]:.2f}")
    Console().print(table)


def _sample(folder: Path) -> list[Dataset]:
    write_sample(folder, patients=1, seed=12)
    return [dcmread(path) for path in files_below([folder / "studies"])]


def _settings(directory: Path, server: Postgres) -> Configuration:
    return quick(
        directory,
        store=StoreSettings(url=server.new_database()),
        assembly=AssemblySettings(quiet_s=1.0, start_early=False),
    )


@contextmanager
def _working(settings: Configuration, nodes: int, how: Mapping[str, Any]) -> Iterator[Node]:
    examine = {"examine_study": "tests.node.analyses:examine_as_pair"} if how else {}
    with Node(settings, **{**how, **examine}) as node:
        if nodes == 1:
            yield node
            return
        with AnalysingNode(settings, name="helper", **how):
            yield node


def _time(
    settings: Configuration, images: Sequence[Dataset], count: int, nodes: int, how: Mapping[str, Any]
) -> float:
    with running_pacs() as pacs:
        settings = replace(settings, destinations=(pacs.destination,))
        with _working(settings, nodes, how) as node:
            # They do not count: until they are done, worker processes import the analysis.
            _send_all(node, images, range(nodes))
            began = perf_counter()
            _send_all(node, images, range(nodes, nodes + count))
            return perf_counter() - began


def _send_all(node: Node, images: Sequence[Dataset], numbers: range) -> None:
    studies = [_send(node, images, number) for number in numbers]
    wait_until(lambda: all(state_of(node, one) is StudyState.DELIVERED for one in studies))


def _send(node: Node, images: Sequence[Dataset], number: int) -> str:
    for image in images:
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            root = str(image[keyword].value).partition(".9999.")[0]
            image[keyword].value = f"{root}.9999.{number}.{SLOW}"
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    assert set(send(node.port, *images)) == {0}
    return str(images[0].StudyInstanceUID)


if __name__ == "__main__":
    main()
