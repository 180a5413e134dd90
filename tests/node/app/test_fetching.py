"""Studies of a real archive are fetched, analysed and reported, whatever is killed meanwhile."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset

from node.config import ArchiveSettings, Configuration, Fetching, FetchLimits, Method
from node.domain.study import StudyState
from node.domain.wish import Batch, NewWish, WantedSeries, WishState
from node.operate.database import open_store
from tests.node.analyses import CLASSES
from tests.node.nodes import Pacs, quick, quick_node, running_pacs, send, slice_of, state_of
from tests.node.store.suite.studies import START
from tests.patience import PATIENCE_S, wait_until
from tests.peers import Orthanc, program, run
from tests.thoroughness import share_of

ROOT = "1.2.826.0.1.77"
RUN = """
import sys
from pathlib import Path
from tests.node.app.test_fetching import fetching
from tests.node.nodes import quick_node
from tests.thoroughness import share_of
if __name__ == "__main__":
    directory, pacs, archive = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with quick_node(fetching(directory, pacs, archive), examine="examine_by_series") as node:
        print(node.port, flush=True)
        sys.stdin.read()
"""


def fetching(directory: Path, pacs_port: int, archive_port: int, **settings: object) -> Configuration:
    """Return a node that asks an archive by C-GET, and sends its results to a PACS."""
    archive = ArchiveSettings(
        name="archive",
        method=Method.GET,
        ae_title="ORTHANC",
        port=archive_port,
        max_associations=2,
        timeout_s=PATIENCE_S,
        fetching=Fetching(limits=FetchLimits(ahead=50), results_not_older_than_days=0),
    )
    made = quick(directory, Pacs(port=pacs_port).destination, **settings)
    return replace(made, archives=(archive,))


def study_of(number: int) -> list[Dataset]:
    """Make a T1, a T2 and a localiser of one study, of 2 images each."""
    study = f"{ROOT}.{number}"
    images = []
    for series, words in (("1", "LWS t1 sag"), ("2", "LWS t2 sag"), ("9", "localizer")):
        for slice_number in (1, 2):
            image = slice_of(slice_number, study=study, series=series)
            image.SeriesDescription = words
            image.StudyDate = "20260105"
            image.StudyTime = "093000"
            images.append(image)
    return images


def fill(orthanc: Orthanc, folder: Path, count: int) -> list[str]:
    """Put studies into an archive; return their UIDs."""
    folder.mkdir()
    for number in range(count):
        for image in study_of(number):
            image.save_as(folder / f"{image.SOPInstanceUID}.dcm", enforce_file_format=True)
    to = ["-aec", "ORTHANC", "127.0.0.1", str(orthanc.dicom_port)]
    run([program("storescu", "dcmtk"), *to, "+sd", folder])
    return [f"{ROOT}.{number}" for number in range(count)]


def wish(configuration: Configuration, studies: Sequence[str]) -> None:
    """Ask for studies, as `osteonode fetch` does beside a running node."""
    beside = open_store(configuration)
    beside.put_wishes(
        Batch("backlog", "archive", "all", START), [NewWish(one) for one in studies], START, renew=True
    )
    beside.close()


@contextmanager
def node_process(directory: Path, pacs_port: int, archive_port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a node in a process of its own, which is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(directory), str(pacs_port), str(archive_port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).resolve().parents[3],
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert any(line.strip().isdigit() for line in iter(process.stdout.readline, b"")), "it did not start"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stdin.close()


def wait_for_all(done: Callable[[], int], count: int) -> None:
    """Wait until so many are done, as long as they become more."""
    for part in range(0, count + 20, 20):
        wait_until(lambda: done() >= min(part, count))  # noqa: B023 - called at once


def were_reported_once(pacs: Pacs, studies: Sequence[str]) -> None:
    """Check that the PACS has one result set of every study, with no result under two UIDs.

    A kill between the answer to a C-STORE and its record has the same object sent again.
    """
    each = {str(one.SOPInstanceUID): str(one.StudyInstanceUID) for one in pacs.received}
    assert Counter(each.values()) == dict.fromkeys(studies, len(CLASSES))


@pytest.mark.peers
@pytest.mark.parametrize(
    "count",
    [
        pytest.param(20, marks=pytest.mark.timeout(300)),
        pytest.param(2000, marks=[pytest.mark.nightly, pytest.mark.timeout(7200)]),
    ],
)
def test_a_backlog_is_reported_once_while_the_archive_and_the_node_go_down(
    tmp_path: Path, count: int
) -> None:
    """The archive goes down, the node is killed several times; a live study comes in between."""
    kills = share_of(5)
    with running_pacs() as pacs, Orthanc(tmp_path / "orthanc", {"DicomAlwaysAllowGet": True}) as orthanc:
        studies = fill(orthanc, tmp_path / "images", count)
        configuration = fetching(tmp_path / "node", pacs.port, orthanc.dicom_port)
        with quick_node(configuration):
            beside = open_store(configuration)

        def ended() -> int:
            return sum(one.counts.get(WishState.FETCHED, 0) for one in beside.batches(1))

        portions = [studies[at :: kills + 1] for at in range(kills + 1)]
        for kill, portion in enumerate(portions[:-1]):
            with node_process(tmp_path / "node", pacs.port, orthanc.dicom_port) as process:
                begun = ended()
                is_outage = kill % 2 == 1
                if is_outage:
                    orthanc.__exit__()
                wish(configuration, portion)
                if is_outage:
                    wait_until(lambda: any(w.reason for one in portion for w in beside.wishes(one)))  # noqa: B023 - called at once
                    orthanc.__enter__()
                some = begun + len(portion) // 3
                wait_until(lambda: ended() > some)  # noqa: B023 - called at once
                os.kill(process.pid, signal.SIGKILL)
        wish(configuration, portions[-1])
        with quick_node(configuration, examine="examine_by_series") as node:
            live = f"{ROOT}.99999"
            send(node.port, *(slice_of(1, study=live, series=series) for series in "12"))
            wait_until(lambda: state_of(node, live) is StudyState.DELIVERED)
            wait_for_all(ended, count)
            wait_for_all(lambda: sum(state_of(node, one) is StudyState.DELIVERED for one in studies), count)
            for one in studies:
                assert {image.series_uid for image in node.store.instances(one)} == {f"{one}.1", f"{one}.2"}
        beside.close()
        were_reported_once(pacs, [*studies, live])


@pytest.mark.parametrize(
    ("results_to", "study_date", "expected"),
    [
        (("*",), date.today(), {"a", "b"}),  # noqa: DTZ011 - its age counts from today
        (("b",), date.today(), {"b"}),  # noqa: DTZ011
        (("*",), date(2019, 1, 5), set()),
        (("*",), None, set()),
    ],
)
@pytest.mark.parametrize("was_here", [False, True])
def test_results_go_where_the_archive_says_and_nowhere_else(
    tmp_path: Path,
    *,
    results_to: tuple[str, ...],
    study_date: date | None,
    expected: set[str],
    was_here: bool,
) -> None:
    with running_pacs() as pacs:
        destinations = [replace(pacs.destination, name=name) for name in "ab"]
        archive = ArchiveSettings(name="archive", fetching=Fetching(results_to=results_to))
        configuration = replace(quick(tmp_path, *destinations), archives=(archive,))
        study, now = f"{ROOT}.1", START
        with quick_node(configuration, examine="examine_by_series") as node:
            batch = Batch("b", "archive", "", now)
            node.store.put_wishes(
                batch, [NewWish(study, study_date)], now + timedelta(days=99999), renew=True
            )
            lease = node.store.lease_wish(
                "archive", "t", now + timedelta(days=99999), now + timedelta(days=99999)
            )
            assert lease is not None
            lease = node.store.record_judged(lease, [WantedSeries(f"{study}.1")], now, was_here=was_here)
            lease = node.store.record_series(lease, f"{study}.1", 1, now, now)
            node.store.end_wish(lease, WishState.FETCHED, "", now)
            send(node.port, *(slice_of(1, study=study, series=series) for series in "12"))
            wait_until(lambda: state_of(node, study) is StudyState.DELIVERED)
            found = {one.destination for one in node.store.deliveries(study)}
            assert found == ({"a", "b"} if was_here else expected)
            told = node.store.study(study)
            assert told is not None
            assert ("they are kept here" in told.reason) == (not found)
