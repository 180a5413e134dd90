"""Independent tasks are run in this process, in several processes of this machine, or on a Dask cluster."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from analysis.errors import AnalysisError
from analysis.tasks import Spread, in_turn
from analysis.threads import single_threaded
from node.analyse.findings import SOFTWARE
from node.dicom.libraries import configure_libraries
from node.errors import ClusterError

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["in_parallel", "in_processes", "on_cluster"]

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

_ANSWER_WITHIN_S = 10
_LOOK_EVERY_S = 5.0
_PATIENCE_S = 60.0
"""How long a cluster may be without workers before it is given up; a nanny restarts a worker in seconds."""


@contextmanager
def in_parallel(workers: int, scheduler: str = "") -> Iterator[Spread]:
    """Yield a function that runs tasks on a Dask cluster if one is given, or else in local processes."""
    with on_cluster(scheduler) if scheduler else in_processes(workers) as spread:
        yield spread


@contextmanager
def in_processes(count: int) -> Iterator[Spread]:
    """Yield a function that runs tasks in processes of this machine; with a count of 1, in this process.

    Libraries use one thread in each process until the end, because the processes share the cores.

    Raises
    ------
    AnalysisError
        While results are read, if a process died. Results that were ready before have been yielded.
    """
    if count == 1:
        with single_threaded():
            yield in_turn
        return
    # Spawned, because ITK and OpenMP do not work after a fork.
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=configure_libraries)
    with single_threaded(), pool:

        def spread(
            function: Callable[[_Task], _Result], tasks: Sequence[_Task]
        ) -> Iterator[tuple[int, _Result]]:
            pending = {pool.submit(function, task): index for index, task in enumerate(tasks)}
            try:
                for done in as_completed(pending):
                    yield pending[done], done.result()
            except BrokenProcessPool as error:
                raise AnalysisError(
                    "a worker process died, out of memory perhaps; run again to go on with fewer workers"
                ) from error
            finally:
                for future in pending:
                    future.cancel()

        yield spread


@contextmanager
def on_cluster(scheduler: str) -> Iterator[Spread]:
    """Yield a function that runs tasks on a Dask cluster whose workers see the same files at the same paths.

    Parameters
    ----------
    scheduler : str
        Its address, such as "tcp://10.0.0.5:8786". Anyone who can connect to a scheduler can run code on its
        workers: keep it on a trusted network, or set up Dask's TLS.

    Raises
    ------
    ClusterError
        If Dask is not installed here, the scheduler does not answer or has no workers, or the workers run
        another version of OsteoNode. While results are read: if a worker died repeatedly on the same task, if
        there have been no workers for a minute, or if the scheduler is gone.
    """
    client = _connected(scheduler)
    try:
        _check_software(client, scheduler)
        yield _over(client, scheduler)
    finally:
        client.close()


def _connected(scheduler: str) -> "Client":
    try:
        from distributed import Client
    except ImportError:
        raise ClusterError(
            "Dask is not installed here: `uv sync --extra dask`, or `pip install 'osteonode[dask]'`"
        ) from None
    try:
        return Client(scheduler, timeout=_ANSWER_WITHIN_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        # Raised for a malformed address, for no listener, and for a listener that is not a Dask scheduler.
        raise ClusterError(
            f"no Dask scheduler answers at {scheduler} within {_ANSWER_WITHIN_S} s: is it running, and is "
            'this its address ("tcp://HOST:PORT", as `dask scheduler` prints it)?'
        ) from error


def _check_software(client: "Client", scheduler: str) -> None:
    """Raise an error if a worker runs another version: results must not depend on where they are computed."""
    try:
        told = client.run(_software)
    except (ImportError, AttributeError, RuntimeError) as error:
        raise ClusterError(f"a worker of {scheduler} has no {SOFTWARE} installed") from error
    if not told:
        raise ClusterError(f"the Dask scheduler at {scheduler} has no workers yet: start some, and run again")
    others = sorted({software for software in told.values() if software != SOFTWARE})
    if others:
        raise ClusterError(f"workers of {scheduler} run {', '.join(others)}, and this is {SOFTWARE}")


def _software() -> str:
    return SOFTWARE


def _over(client: "Client", scheduler: str) -> Spread:
    def spread(function: Callable[[_Task], _Result], tasks: Sequence[_Task]) -> Iterator[tuple[int, _Result]]:
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        # The function holds what all tasks share; it is sent to each worker once, not with each task.
        shared = _shared(client, scheduler, function)
        # Not pure: otherwise Dask would return the result of an equal task of another client.
        pending = {client.submit(_call, shared, task, pure=False): index for index, task in enumerate(tasks)}
        finished: SimpleQueue[Future] = SimpleQueue()
        for future in pending:
            future.add_done_callback(finished.put)
        try:
            for _ in pending:
                done = _next(finished, client, scheduler)
                yield pending[done], done.result()
        except KilledWorker as error:
            raise ClusterError("a worker died over a task again and again, out of memory perhaps") from error
        except FutureCancelledError as error:
            # The last worker that held the shared function is gone, or the connection is lost.
            raise ClusterError(
                _all_died(scheduler) if client.status == "running" else _gone(scheduler)
            ) from error
        finally:
            if client.status == "running":
                client.cancel(list(pending))

    return spread


def _shared(client: "Client", scheduler: str, function: Callable[[_Task], _Result]) -> "Future":
    try:
        (shared,) = client.scatter([function], broadcast=True, hash=False)
    except TimeoutError as error:
        raise ClusterError(_left_alone(scheduler, _ANSWER_WITHIN_S)) from error
    return shared


def _next(finished: "SimpleQueue[Future]", client: "Client", scheduler: str) -> "Future":
    """Wait for the next finished task, as long as the cluster has workers."""
    alone_s = 0.0
    while True:
        try:
            return finished.get(timeout=_LOOK_EVERY_S)
        except Empty:
            try:
                alone_s = 0.0 if client.nthreads() else alone_s + _LOOK_EVERY_S
            except (OSError, TimeoutError) as error:
                raise ClusterError(_gone(scheduler)) from error
        if alone_s >= _PATIENCE_S:
            raise ClusterError(_left_alone(scheduler, _PATIENCE_S))


def _all_died(scheduler: str) -> str:
    return f"all workers of {scheduler} died at once, out of memory perhaps, or were stopped; {_TO_DO}"


def _left_alone(scheduler: str, seconds: float) -> str:
    return f"all workers of {scheduler} are gone, and none has come back within {seconds:.0f} s; {_TO_DO}"


def _gone(scheduler: str) -> str:
    return f"the Dask scheduler at {scheduler} is gone; start it again, and {_TO_DO}"


_TO_DO = "start workers, with a nanny that brings them back, and run again: what was measured is kept"


def _call(function: Callable[[Any], Any], task: object) -> object:
    configure_libraries()  # a worker of Dask is started by others
    with single_threaded():
        return function(task)
