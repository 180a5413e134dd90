"""Where the tasks of the offline science are done: in this process, in several here, or on a Dask cluster."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from analysis.errors import AnalysisError
from analysis.tasks import Spread, in_turn
from node.analyse.findings import SOFTWARE
from node.errors import ClusterError

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["cluster", "processes", "spread_over"]

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

_ANSWER_WITHIN_S = 10
_LOOK_EVERY_S = 5.0
_PATIENCE_S = 60.0
"""How long a cluster may be without workers: tasks would wait for ever, and a nanny needs seconds."""


@contextmanager
def spread_over(workers: int, scheduler: str = "") -> Iterator[Spread]:
    """Yield what spreads tasks: over a Dask cluster if one is named, or else over processes here."""
    with cluster(scheduler) if scheduler else processes(workers) as spread:
        yield spread


@contextmanager
def processes(count: int) -> Iterator[Spread]:
    """Yield what spreads tasks over processes of this machine; for one, over this one.

    Raises
    ------
    AnalysisError
        While results are asked for: if a process died. What was finished before has been handed out.
    """
    if count == 1:
        yield in_turn
        return
    # A fresh process inherits no threads; ITK and OpenMP do not survive a fork.
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:

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
def cluster(scheduler: str) -> Iterator[Spread]:
    """Yield what spreads tasks over a Dask cluster, whose workers see the same files under the same names.

    Parameters
    ----------
    scheduler : str
        Its address, "tcp://10.0.0.5:8786". Whoever reaches a scheduler can run code on its workers: keep it
        on a trusted network, or set up Dask's TLS.

    Raises
    ------
    ClusterError
        If Dask is not installed here, the scheduler does not answer, it has no workers, or they run another
        version of this program. While results are asked for: if a worker died over a task again and again, if
        all workers have been gone for a minute, or if the scheduler is gone.
    """
    client = _connected(scheduler)
    try:
        _refuse_other_software(client, scheduler)
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
        # What an address that cannot be read, nobody at it, and somebody who speaks no Dask end in.
        raise ClusterError(
            f"no Dask scheduler answers at {scheduler} within {_ANSWER_WITHIN_S} s: is it running, and is "
            'this its address ("tcp://HOST:PORT", as `dask scheduler` prints it)?'
        ) from error


def _refuse_other_software(client: "Client", scheduler: str) -> None:
    """Equal results need equal programs."""
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

        # What all tasks share travels to each worker once.
        shared = _shared(client, scheduler, function)
        # Not pure: equal tasks are done anew, whatever another client asked before.
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
            # What the tasks share went with the last worker that held it, or the connection is lost.
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
    """Wait for the next task that is finished, as long as there is somebody to do it."""
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
    return function(task)
