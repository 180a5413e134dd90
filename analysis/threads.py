"""How many threads the numerical libraries of this process use.

Processes that share a machine must not start threads as well: libraries for linear algebra wait for their
threads by spinning, and on a loaded machine most of the processor time is then spent on waiting.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

__all__ = ["algebra_in_one_thread", "single_threaded", "start_no_threads_for_algebra", "threads_allowed"]

_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
"""Read by OpenMP, BLAS and ITK when they are loaded, also in processes that are started meanwhile."""


@contextmanager
def single_threaded() -> Iterator[None]:
    """Let every numerical library use one thread, in this process and in those that it starts meanwhile.

    ITK keeps one thread after the end if it was loaded meanwhile.
    """
    before = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update(dict.fromkeys(_VARIABLES, "1"))
    itk = sys.modules.get("SimpleITK")
    itk_before = itk.ProcessObject.GetGlobalDefaultNumberOfThreads() if itk else 0
    if itk:
        itk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        with threadpool_limits(1):  # libraries that are loaded already no longer read the variables
            yield
    finally:
        if itk:
            itk.ProcessObject.SetGlobalDefaultNumberOfThreads(itk_before)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def algebra_in_one_thread() -> Iterator[None]:
    """Let linear algebra use one thread; also a decorator.

    Sums of several threads differ in the last digits, so results would depend on the number of cores.
    """
    with threadpool_limits(1, user_api="blas"):
        yield


def start_no_threads_for_algebra() -> None:
    """Let OpenBLAS start no threads, in this process and those it starts.

    To be called before numpy is imported, which starts them. `analysis.pipeline.analyse` uses one thread in
    any case; this saves the memory of the others.
    """
    os.environ["OPENBLAS_NUM_THREADS"] = "1"


def threads_allowed() -> int:
    """Return how many threads a library that reads no variable may use, by `OMP_NUM_THREADS`.

    Without a valid value it is the number of cores.
    """
    written = os.environ.get("OMP_NUM_THREADS", "")
    return int(written) if written.isdecimal() and int(written) else os.cpu_count() or 1
