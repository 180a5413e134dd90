import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from analysis.errors import RefusedError
from node.analyse.worker_process import WorkerProcess
from node.errors import PermanentError, TransientError, WorkerLostError
from tests.node.nodes import is_running
from tests.patience import PATIENCE_S, wait_until
from tests.peers import REPOSITORY


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    running = WorkerProcess("tests.node.calls:call", memory_limit_mb=4096)
    yield running
    running.stop()


def test_a_call_runs_in_another_process_that_is_kept(worker: WorkerProcess) -> None:
    first, second = (worker.call("pid", time_limit_s=PATIENCE_S) for _ in range(2))
    assert first == second != os.getpid()


def test_algebra_has_one_thread_in_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "4")
    running = WorkerProcess("os:getenv")
    try:
        assert running.call("OPENBLAS_NUM_THREADS", time_limit_s=PATIENCE_S) == "1"
    finally:
        running.stop()


def test_what_starts_a_worker_loads_no_numpy_which_reads_the_settings_of_its_threads_once() -> None:
    loads = "import sys, analysis.threads, node.analyse.worker_process; print('numpy' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", loads], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "False"


def test_a_process_is_warm_before_its_first_call_only_if_asked() -> None:
    for warm in (True, False):
        running = WorkerProcess("tests.node.calls:call")
        try:
            running.start(warm=warm)
            assert running.call("warmed", time_limit_s=PATIENCE_S) is warm
        finally:
            running.stop()


def test_a_warm_worker_has_loaded_the_libraries_of_an_analysis() -> None:
    """A study then waits for none of them: together they take seconds to import."""
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from node.analyse.study import warm_up; warm_up(); print(*sys.modules)",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    libraries = {"highdicom", "onnxruntime", "PIL.Image", "radiomics", "SimpleITK", "skops.io", "sklearn"}
    assert libraries <= set(told)
    # What `skops.io` loads to trust all of scikit-learn, and no bundle needs, is 20 MB of each worker.
    assert not {"sklearn.datasets", "sklearn.gaussian_process", "sklearn.neural_network"} & set(told)


def test_a_refusal_arrives_with_its_reasons(worker: WorkerProcess) -> None:
    with pytest.raises(RefusedError) as caught:
        worker.call("refuse", time_limit_s=PATIENCE_S)
    assert caught.value.reasons == ("one", "two")


def test_a_fault_is_told_by_its_kind_and_not_by_its_message(worker: WorkerProcess) -> None:
    with pytest.raises(TransientError, match="ValueError") as caught:
        worker.call("fault", time_limit_s=PATIENCE_S)
    assert "PLANTED" not in str(caught.value)


def test_an_error_raised_on_purpose_keeps_its_message(worker: WorkerProcess) -> None:
    with pytest.raises(PermanentError, match="checksum differs"):
        worker.call("reject", time_limit_s=PATIENCE_S)


@pytest.mark.parametrize(
    ("what", "limit_s", "why"),
    [
        ("die", PATIENCE_S, "ended with 7"),
        ("segfault", PATIENCE_S, "SIGSEGV"),
        ("hang", 1, "longer than 1 s"),
        ("eat", PATIENCE_S, "memory"),
    ],
)
def test_a_lost_process_is_told_and_replaced(
    worker: WorkerProcess, what: str, limit_s: float, why: str
) -> None:
    worker.call("pid", time_limit_s=PATIENCE_S)
    with pytest.raises(WorkerLostError, match=why):
        worker.call(what, time_limit_s=limit_s)
    assert worker.call("pid", time_limit_s=PATIENCE_S)


def test_an_interrupted_call_ends_at_once_and_for_good() -> None:
    running = WorkerProcess("tests.node.calls:call")
    running.call("pid", time_limit_s=PATIENCE_S)
    threading.Timer(0.2, running.interrupt).start()
    with pytest.raises(WorkerLostError, match="ended by SIGKILL"):
        running.call("hang", time_limit_s=PATIENCE_S)
    with pytest.raises(WorkerLostError, match="stopping"):
        running.call("pid", time_limit_s=PATIENCE_S)
    running.stop()


def test_a_process_killed_between_two_calls_is_replaced(worker: WorkerProcess) -> None:
    pid = worker.call("pid", time_limit_s=PATIENCE_S)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_running(pid))
    assert worker.call("pid", time_limit_s=PATIENCE_S) != pid


@pytest.mark.parametrize("what", ["hang", "hold"])
def test_a_process_killed_in_mid_call_is_told_and_replaced(worker: WorkerProcess, what: str) -> None:
    pid = worker.call("pid", time_limit_s=PATIENCE_S)
    # As the kernel does when memory runs out.
    threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(WorkerLostError, match="ended by SIGKILL"):
        worker.call(what, time_limit_s=PATIENCE_S)
    assert worker.call("pid", time_limit_s=PATIENCE_S) != pid


CALL = """
import sys
from node.analyse.worker_process import WorkerProcess
if __name__ == "__main__":
    worker = WorkerProcess("tests.node.calls:call")
    print(worker.call("pid", time_limit_s=3000), flush=True)
    worker.call(sys.argv[1], time_limit_s=3000)
"""


@pytest.mark.parametrize("what", ["hang", "hold"])
def test_a_process_in_mid_call_ends_with_the_node_that_is_killed(what: str) -> None:
    node = subprocess.Popen([sys.executable, "-c", CALL, what], stdout=subprocess.PIPE, cwd=REPOSITORY)
    assert node.stdout is not None
    pid = int(node.stdout.readline())
    time.sleep(0.5)  # so that it is probably in the call; it must end in either case
    assert is_running(pid)
    node.kill()
    node.wait()
    node.stdout.close()
    wait_until(lambda: not is_running(pid))


def test_the_time_a_process_needs_to_start_is_not_taken_from_the_study() -> None:
    running = WorkerProcess("tests.node.slow_to_import:call")
    assert running.call(time_limit_s=0.5) == "done"
    running.stop()
