"""Let many studies pass through one node, and tell what it uses from the first to the last.

Run ``uv run python -m tests.benchmarks.bench_soak``. A node as ``osteonode serve`` starts it, with one worker
process and the default configuration, gets simulated studies from DCMTK's storescu over four associations,
analyses them as always, and sends the results to a receiver that counts them. A sender waits while `--ahead`
studies are under way, as otherwise the figures would be those of a queue that only shortens.

It prints a line every `--every` studies, as they are delivered. At the end a table follows memory,
descriptors, threads, the database and its log of changes from the start over study 1, a quarter and half to
the end, and tells what each 100 studies of the last half added. Another compares the last fifth with the
first: memory, descriptors, threads and the log of changes must not grow; database, images and results grow by
design, because they are kept for their days, and must grow by the same for each study. It exits with 1 if
anything grew, or if a study was not reported and delivered exactly once. Rates and processor time are those
of the machine and its load; everything else holds on any machine.

``--slices`` and ``--size`` make the images smaller than those of the simulated scanners. ``--quick`` replaces
the analysis by one that only writes small results, so that thousands of studies pass in an hour: it shows the
node, not the worker. ``--minutes`` ends the sending after so long.
"""

import argparse
import csv
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any, Self

import numpy as np
from pydicom import dcmread
from pynetdicom import AE, evt
from rich.console import Console
from rich.table import Table

from analysis.phantom import SCANNERS, Protocol, SimulatedSeries, cohort, draw_anatomy, simulate
from dicom_templates.objects.mr_image import ImageIdentity, mr_images
from dicom_templates.origin.uids import derive_uid
from node.domain.study import StudyState
from tests.benchmarks.soak_course import MOMENTS, compare, courses
from tests.benchmarks.soak_sample import Sample, delivered, look, rows
from tests.node.analyses import CLASSES
from tests.patience import PATIENCE_S, application_entity
from tests.peers import REPOSITORY, free_port, program, run, wait_until_open

ASSOCIATIONS = 4
PATIENTS = 4
"""Simulated patients; every study has the images of one of them, with identifiers of its own."""
_LOOK_S = 1.0
_COMMENTS = (
    "SIMULATED DATA: computed by OsteoNode, no living person. For software tests, not for medical use."
)


@dataclass(slots=True)
class Receiver:
    """A receiving PACS that counts what it gets and keeps nothing of it but UIDs."""

    port: int
    received: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each object came: Study and SOP Instance UID."""
    _ae: Any = None

    def __enter__(self) -> Self:
        self._ae = application_entity("PACS")
        for sop_class in CLASSES.values():
            self._ae.add_supported_context(sop_class)
        handlers = [(evt.EVT_C_STORE, self._store)]
        self._ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        return self

    def __exit__(self, *_exception: object) -> None:
        ae: AE = self._ae
        ae.shutdown()

    def _store(self, event: evt.Event) -> int:
        file = BytesIO(event.encoded_dataset())
        header = dcmread(file, stop_before_pixels=True, specific_tags=["StudyInstanceUID", "SOPInstanceUID"])
        self.received[str(header.StudyInstanceUID), str(header.SOPInstanceUID)] += 1
        return 0


QUICK = """
import sys
from pathlib import Path
from analysis.memory import keep_one_heap
from node.app import Node
from node.config import load
if __name__ == "__main__":
    keep_one_heap()
    analyses = "tests.node.analyses"
    configuration = load(Path(sys.argv[1]))
    with Node(configuration, analyse_study=f"{analyses}:report", examine_study=f"{analyses}:examine_as_pair"):
        sys.stdin.read()
"""
"""A node with another analysis, whose memory is kept as `osteonode serve` keeps its own."""


@contextmanager
def serving(folder: Path, receiver: int, *, quick: bool) -> Iterator[tuple[int, int]]:
    """Run a node with the default configuration; yield its process ID and its port."""
    port = free_port()
    configuration = folder / "config.toml"
    configuration.write_text(f"""
[node]
port = {port}
[[sources]]
ae_title = "*"
network = "127.0.0.0/8"
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = {receiver}
[storage]
directory = "{folder / "var"}"
[web]
port = {free_port()}
""")
    with (folder / "node.log").open("wb") as log:
        serve = ["-c", QUICK, configuration] if quick else ["-m", "node", "serve", "--config", configuration]
        process = subprocess.Popen(
            [sys.executable, *map(str, serve)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_open(port)
        yield process.pid, port
    finally:
        if not quick:
            process.terminate()
        process.communicate(timeout=PATIENCE_S)
        code = process.returncode
    assert code == 0, f"the node ended with {code}"


def simulated(slices: int | None, size: int | None) -> list[tuple[SimulatedSeries, SimulatedSeries]]:
    """Return T1 and T2 of each patient, reduced to so many slices of so many rows and columns."""
    pairs = []
    for patient, scanner in zip(cohort(PATIENTS, seed=12), SCANNERS, strict=False):
        maps, rng = draw_anatomy(patient), np.random.default_rng(patient.number)
        t1, t2 = (
            simulate(patient, scanner, _reduced(one, slices, size), rng, maps)
            for one in (scanner.t1, scanner.t2)
        )
        pairs.append((t1, t2))
    return pairs


def _reduced(protocol: Protocol, slices: int | None, size: int | None) -> Protocol:
    """Reduce the number of slices, over the same width, and the matrix, over the same field of view."""
    number = slices or protocol.slices
    width_mm = protocol.spacing_mm * protocol.slices
    return replace(
        protocol, slices=number, spacing_mm=round(width_mm / number, 2), matrix=size or protocol.matrix
    )


@dataclass(slots=True)
class Feed:
    """Sends studies, each over an association of its own, while not too many are under way."""

    port: int
    pairs: Sequence[tuple[SimulatedSeries, SimulatedSeries]]
    may_begin: threading.Semaphore
    ended: threading.Event = field(default_factory=threading.Event)
    sent: list[str] = field(default_factory=list)

    def send(self, number: int) -> None:
        """Write the files of a study, send them with storescu, and remove them."""
        self.may_begin.acquire()
        if self.ended.is_set():
            return
        study = derive_uid("study", "soak", str(number))
        with TemporaryDirectory() as place:
            for index, series in enumerate(self.pairs[number % len(self.pairs)], start=1):
                for image in mr_images(series.volume, series.facts, _identity(number, study, index)):
                    image.save_as(
                        Path(place, f"{index}.{image.InstanceNumber}.dcm"), enforce_file_format=True
                    )
            node = ["-aec", "OSTEONODE", "127.0.0.1", str(self.port)]
            run([program("storescu", "dcmtk"), "-R", "+sd", *node, place])
        self.sent.append(study)

    def end(self, studies: int) -> None:
        """Send no further studies, and let nobody wait."""
        self.ended.set()
        self.may_begin.release(studies)


def _identity(number: int, study: str, index: int) -> ImageIdentity:
    return ImageIdentity(
        patient_id=f"SOAK{number:05d}",
        patient_name=f"SIMULATED^{number:05d}",
        birth_date="19600701",
        sex="F",
        age="065Y",
        study_uid=study,
        series_uid=derive_uid("series", "soak", str(number), str(index)),
        frame_of_reference_uid=derive_uid("frame of reference", "soak", str(number)),
        study_date="20260105",
        study_time="080000",
        accession_number=f"SOAK{number:05d}",
        study_description="SIMULATED lumbar spine",
        series_number=index,
        comments=_COMMENTS,
    )


def faults_of(database: Path, sent: Sequence[str], received: Counter[tuple[str, str]]) -> list[str]:
    """Tell what was not reported and delivered exactly once."""
    states = dict(rows(database, "select study_uid, state from studies"))
    reported = Counter(
        uid for (uid,) in rows(database, "select study_uid from history where event = 'reported'")
    )
    made = {(study, uid) for study, uid in rows(database, "select study_uid, sop_uid from results")}
    kinds = Counter(study for study, _ in made)
    faults = [f"{uid} is {states.get(uid)}" for uid in sent if states.get(uid) != StudyState.DELIVERED]
    faults += [f"{uid} was reported {reported[uid]} times" for uid in sent if reported[uid] != 1]
    faults += [f"{uid} has {kinds[uid]} results" for uid in sent if kinds[uid] < len(CLASSES)]
    faults += [f"{uid} was never sent" for uid in states if uid not in set(sent)]
    faults += [
        f"{uid} was delivered {received[study, uid]} times"
        for study, uid in made
        if received[study, uid] != 1
    ]
    return faults + [f"{uid} is no result" for study, uid in received if (study, uid) not in made]


COLUMNS: dict[str, Callable[[Sample], str]] = {
    "delivered": lambda one: str(one.delivered),
    "waiting": lambda one: f"{one.waiting_studies}/{one.waiting_deliveries}",
    "RSS node+workers": lambda one: f"{one.node_rss:.1f}+{one.worker_rss:.0f}",
    "own": lambda one: f"{one.node_own:.1f}",
    "descriptors": lambda one: f"{one.node_descriptors}+{one.worker_descriptors}",
    "threads": lambda one: f"{one.node_threads}+{one.worker_threads}",
    "CPU s": lambda one: f"{one.node_cpu_s:.0f}+{one.worker_cpu_s:.0f}",
    "database": lambda one: f"{one.database:.2f}",
    "WAL": lambda one: f"{one.wal:.2f}",
    "images": lambda one: f"{one.images:.0f}",
    "results": lambda one: f"{one.results:.0f}",
    "others": lambda one: f"{one.other_files:.1f}",
    "log": lambda one: f"{one.log:.2f}",
}


def told(sample: Sample, before: Sample | None) -> str:
    """Return the line of a sample, with the rate since the sample before it."""
    since = (sample.delivered, sample.at_s)
    if before is not None:
        since = sample.delivered - before.delivered, sample.at_s - before.at_s
    rate = f"{3600 * since[0] / max(since[1], 1e-9):.0f}/h"
    words = [f"{name} {shown(sample)}" for name, shown in COLUMNS.items()]
    return f"{sample.at_s:7.0f} s  {rate}  " + "  ".join(words)


def soak(chosen: argparse.Namespace, folder: Path, console: Console) -> tuple[list[Sample], list[str]]:
    """Send all studies and wait until all are delivered; return what was measured, and the faults."""
    pairs = simulated(chosen.slices, chosen.size)
    samples: list[Sample] = []
    shown: list[Sample] = []
    port = free_port()
    with Receiver(port) as receiver, serving(folder, port, quick=chosen.quick) as (pid, at):
        began, gate = monotonic(), threading.Semaphore(chosen.ahead)
        feed = Feed(at, pairs, gate)
        database = folder / "var" / "osteonode.db"

        def note(*, show: bool) -> None:
            samples.append(look(folder, pid, began, len(feed.sent)))
            if show:
                console.print(told(samples[-1], shown[-1] if shown else None), soft_wrap=True)
                shown.append(samples[-1])

        note(show=True)
        with ThreadPoolExecutor(ASSOCIATIONS) as senders:
            sendings = [senders.submit(feed.send, number) for number in range(chosen.studies)]
            done, progressed = 0, monotonic()
            while done < len(feed.sent) or not all(one.done() for one in sendings):
                sleep(_LOOK_S)
                now = delivered(database)
                if now > done:
                    progressed = monotonic()
                    note(show=now // chosen.every > done // chosen.every)
                    gate.release(now - done)
                    done = now
                failed = [one.exception() for one in sendings if one.done() and one.exception() is not None]
                if failed or monotonic() - progressed > PATIENCE_S:
                    console.print("given up: ", failed or "nothing was delivered for long", soft_wrap=True)
                    feed.end(chosen.studies)
                    break
                if monotonic() - began > 60 * chosen.minutes and not feed.ended.is_set():
                    feed.end(chosen.studies)
        note(show=True)
    return samples, faults_of(database, feed.sent, receiver.received)


def show_course(console: Console, samples: Sequence[Sample]) -> None:
    """Print each figure from the start to the end, and what a study of the last half added to it."""
    table = Table("figure", *MOMENTS, "each 100 studies of the last half")
    for one in courses(samples):
        table.add_row(one.name, *(f"{value:.1f}" for value in one.values), f"{100 * one.each_study:+.2f}")
    console.print(table)


def show(console: Console, samples: Sequence[Sample]) -> bool:
    """Print the comparison of the last fifth with the first; return whether all is flat."""
    table = Table("figure", "first fifth", "fourth", "last fifth", "last / first", "rule", "flat")
    compared = compare(samples)
    for one in compared:
        ratio = f"{one.last / one.first:.3f}" if one.first else "-"
        table.add_row(
            one.name,
            *(f"{value:.3f}" for value in (one.first, one.fourth, one.last)),
            ratio,
            one.rule,
            "yes" if one.flat else "NO",
        )
    console.print(table)
    return all(one.flat for one in compared)


def main() -> int:
    """Soak a node and print what it used; return the exit status."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--studies", type=int, default=500)
    options.add_argument("--slices", type=int, help="slices of a series; those of the scanner if not given")
    options.add_argument("--size", type=int, help="rows and columns of a slice; the same")
    options.add_argument("--ahead", type=int, default=8, help="studies under way at the same time")
    options.add_argument("--minutes", type=float, default=float("inf"), help="end the sending after so long")
    options.add_argument("--quick", action="store_true", help="replace the analysis")
    options.add_argument("--every", type=int, default=25, help="studies between two lines")
    options.add_argument("--folder", type=Path, help="keep everything there; must be empty")
    chosen = options.parse_args()
    console = Console(width=200)
    with TemporaryDirectory() as scratch:
        folder = (chosen.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        assert not list(folder.iterdir()), f"{folder} is not empty"
        samples, faults = soak(chosen, folder, console)
        with (folder / "samples.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            names = [one.name for one in fields(Sample)]
            writer.writerow(names)
            writer.writerows([getattr(one, name) for name in names] for one in samples)
    last = samples[-1]
    console.print(
        f"{last.delivered} studies in {last.at_s:.0f} s: {3600 * last.delivered / last.at_s:.0f} an hour"
    )
    show_course(console, samples)
    flat = show(console, samples)
    console.print(f"not exactly once: {len(faults)}", *faults[:20], sep="\n")
    return 0 if flat and not faults else 1


if __name__ == "__main__":
    raise SystemExit(main())
