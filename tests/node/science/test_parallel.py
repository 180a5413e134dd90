"""The offline science gives the same bytes, wherever its tasks are run."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from signal import SIGKILL

import pytest
from typer.testing import CliRunner

from analysis.cohort.feature_table import FeatureTable
from analysis.cohort.measure import measure_cohort
from analysis.errors import AnalysisError
from analysis.evaluation.evaluate import evaluate
from analysis.evaluation.report import write_report
from analysis.settings import AnalysisSettings
from analysis.tasks import Spread, in_turn
from node.cli import application
from node.errors import ClusterError
from node.science import parallel
from node.science.parallel import in_parallel, in_processes, on_cluster
from tests.analysis.cohort.test_cohort import analyse_numbered, assert_equal_tables, cohort_rows
from tests.analysis.evaluation.test_evaluate import QUICK
from tests.analysis.synthetic_cohort import synthetic_table
from tests.patience import PATIENCE_S
from tests.peers import free_port

REPOSITORY = Path(__file__).parents[3]
SETTINGS = replace(QUICK, kinds=("KNN", "LR"), splits=2)
SCHEDULER = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
WORKER = ("--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard")
ON_A_CLUSTER = pytest.mark.gate("starts a cluster of Dask, which only `train` and `evaluate` can use")


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a Dask cluster of three processes, whose working directory is not this one."""
    elsewhere = tmp_path_factory.mktemp("cluster")
    with dask(elsewhere, *SCHEDULER) as told:
        address = next(line.split()[-1] for line in told if "Scheduler at:" in line)
        with dask(elsewhere, "worker", address, *WORKER, "--nworkers", "2") as told_by_workers:
            # Wait for both workers, otherwise the first one may take all tasks.
            for _ in range(2):
                next(line for line in told_by_workers if "Registered to" in line)
            yield address


class dask:  # noqa: N801 - reads as the command it runs
    """Runs the `dask` command until the end of the block, and gives the lines that it prints."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._folder, self._words = folder, words

    def __enter__(self) -> Iterator[str]:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dask", *self._words],
            cwd=self._folder,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        return iter(self._process.stderr)

    @property
    def pid(self) -> int:
        """Identifier of the process."""
        return self._process.pid

    def __exit__(self, *_exception: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=PATIENCE_S)


def report_of(spreading: Spread, folder: Path) -> dict[str, bytes]:
    files = write_report(evaluate(synthetic_table(), SETTINGS, spreading), folder, "test")
    return {path.name: path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def local_report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return report_of(in_turn, tmp_path_factory.mktemp("local"))


@ON_A_CLUSTER
def test_an_evaluation_on_a_cluster_is_the_same_byte_for_byte(
    scheduler: str, local_report: dict[str, bytes], tmp_path: Path
) -> None:
    with in_parallel(1, scheduler) as spreading:
        assert report_of(spreading, tmp_path) == local_report


def test_an_evaluation_in_several_processes_is_the_same_byte_for_byte(
    local_report: dict[str, bytes], tmp_path: Path
) -> None:
    with in_parallel(2) as spreading:
        assert report_of(spreading, tmp_path) == local_report


def measured(tmp_path: Path, spreading: Spread) -> tuple[FeatureTable, set[str]]:
    rows, log = cohort_rows(tmp_path, 6), tmp_path / "log"
    analyse = partial(analyse_numbered, log=log)
    for _ in range(2):  # the second time, all measurements exist
        found = measure_cohort(
            rows, analyse, AnalysisSettings(), tmp_path / "cache", software="1", spread=spreading
        )
    assert sorted(log.read_text().split()) == [str(number) for number in range(6)]
    return found.table, {path.name for path in (tmp_path / "cache").iterdir()}


@ON_A_CLUSTER
def test_studies_measured_on_a_cluster_give_the_same_table_and_checkpoints(
    scheduler: str, tmp_path: Path
) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    expected, checkpoints = measured(tmp_path / "here", in_turn)
    with on_cluster(scheduler) as spreading:
        table, written = measured(tmp_path / "there", spreading)
    assert_equal_tables(table, expected)
    assert written == checkpoints


def who(_task: int) -> int:
    return os.getpid()


@ON_A_CLUSTER
def test_tasks_are_done_by_other_processes(scheduler: str) -> None:
    with on_cluster(scheduler) as spreading:
        others = {result for _, result in spreading(who, range(20))}
    assert len(others) == 2
    assert os.getpid() not in others


def fail(task: int) -> int:
    raise AnalysisError(f"task {task} failed")


@ON_A_CLUSTER
def test_a_fault_of_a_task_comes_back_as_what_it_was(scheduler: str) -> None:
    with on_cluster(scheduler) as spreading, pytest.raises(AnalysisError, match="task 1 failed"):
        list(spreading(fail, [1]))


@ON_A_CLUSTER
def test_workers_of_another_version_are_refused(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "SOFTWARE", "OsteoNode 99")
    with (
        pytest.raises(ClusterError, match=r"run OsteoNode .*, and this is OsteoNode 99"),
        on_cluster(scheduler),
    ):
        pass


# The test of a cluster comes after the others that use it, because its workers take a while to restart.
def die(_task: int) -> None:
    os._exit(1)


def test_a_process_that_dies_is_told() -> None:
    with in_processes(2) as spreading, pytest.raises(AnalysisError, match="a worker process died"):
        list(spreading(die, [1]))


@ON_A_CLUSTER
def test_a_worker_of_a_cluster_that_dies_is_told(scheduler: str) -> None:
    with (
        on_cluster(scheduler) as spreading,
        pytest.raises(ClusterError, match=r"a worker died|all workers .* died"),
    ):
        list(spreading(die, [1]))


@ON_A_CLUSTER
def test_a_cluster_whose_workers_are_all_gone_is_waited_for_a_while_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "_LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(parallel, "_PATIENCE_S", 1.0)
    with dask(tmp_path, *SCHEDULER) as told:
        address = next(line.split()[-1] for line in told if "Scheduler at:" in line)
        # Without a nanny, this worker is not restarted.
        with dask(tmp_path, "worker", address, *WORKER, "--no-nanny") as told_by_worker:
            next(line for line in told_by_worker if "Registered to" in line)
            with on_cluster(address) as spreading:
                with pytest.raises(ClusterError, match=r"all workers of .* died at once.*; start workers"):
                    list(spreading(die, [1]))
                with pytest.raises(ClusterError, match=r"all workers of .* gone.* 10 s; start workers"):
                    list(spreading(die, [1]))
        # The same for tasks that are waiting already.
        with (
            closing(parallel._connected(address)) as client,
            pytest.raises(ClusterError, match=r"all workers of .* gone.* 1 s; start workers"),
        ):
            parallel._next(SimpleQueue(), client, address)


def kill(process: int) -> None:
    os.kill(process, SIGKILL)


@ON_A_CLUSTER
def test_a_scheduler_that_vanishes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_LOOK_EVERY_S", 0.1)
    scheduler = dask(tmp_path, *SCHEDULER)
    with scheduler as told:
        address = next(line.split()[-1] for line in told if "Scheduler at:" in line)
        with dask(tmp_path, "worker", address, *WORKER, "--no-nanny") as told_by_worker:
            next(line for line in told_by_worker if "Registered to" in line)
            with (
                on_cluster(address) as spreading,
                pytest.raises(ClusterError, match=r"scheduler at .* is gone; start it"),
            ):
                list(spreading(kill, [scheduler.pid]))


@ON_A_CLUSTER
def test_a_scheduler_without_workers_is_refused(tmp_path: Path) -> None:
    with dask(tmp_path, *SCHEDULER) as told:
        address = next(line.split()[-1] for line in told if "Scheduler at:" in line)
        with pytest.raises(ClusterError, match="has no workers yet"), on_cluster(address):
            pass


def test_a_scheduler_that_does_not_answer_is_refused_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "_ANSWER_WITHIN_S", 1)
    table = tmp_path / "cohort.csv"
    table.write_text("patient_id,study,bmd_mg_cm3\n")
    address = f"tcp://127.0.0.1:{free_port()}"
    words = ["evaluate", str(table), "--out", str(tmp_path / "out"), "--dask", address]
    result = CliRunner().invoke(application, words)
    assert result.exit_code == 1
    assert f"no Dask scheduler answers at {address}" in result.output
    assert not (tmp_path / "out").exists()


def test_without_dask_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match=r"osteonode\[dask\]"), on_cluster("tcp://127.0.0.1:8786"):
        pass
