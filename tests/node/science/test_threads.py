"""Processes that share a machine compute with one thread each."""

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from sklearn.neighbors import KNeighborsClassifier

from analysis.segment.network import embedded_network
from analysis.threads import single_threaded
from node.science.parallel import in_parallel


def threads_after(work: str) -> int:
    """Return how many threads this process has after a computation that would be worth several."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(600, 600))
    if work == "BLAS":
        _ = matrix @ matrix
    elif work == "OpenMP":
        KNeighborsClassifier(algorithm="brute").fit(matrix, matrix[:, 0] > 0).predict(matrix)
    elif work == "ITK":
        SimpleITK.SmoothingRecursiveGaussian(
            SimpleITK.GetImageFromArray(rng.normal(size=(40, 200, 200))), 2.0
        )
    else:
        embedded_network().probabilities(rng.random((2, 128, 128), dtype=np.float32))
    return len(list(Path("/proc/self/task").iterdir()))


WORK = ("BLAS", "OpenMP", "ITK", "onnxruntime")


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="a library starts no threads on one core")
def test_no_library_starts_a_thread_in_a_worker_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)  # the tests themselves may run with one thread
    with in_parallel(2) as spread:
        assert dict(spread(threads_after, WORK)) == dict.fromkeys(range(len(WORK)), 1)


def test_a_thread_of_the_network_that_waits_does_not_spin() -> None:
    options = embedded_network().session.get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_the_environment_is_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    before = dict(os.environ)
    itk = SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    with single_threaded():
        assert os.environ["OMP_NUM_THREADS"] == os.environ["OPENBLAS_NUM_THREADS"] == "1"
        assert SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads() == 1
    assert dict(os.environ) == before
    assert SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads() == itk
