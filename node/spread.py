"""Where the tasks of the offline science are done: in this process, in several here, or on a Dask cluster."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, TypeVar

from analysis.errors import AnalysisError
from analysis.tasks import Spread, in_turn
from node.analyse import SOFTWARE
from node.errors import ClusterError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["cluster", "processes", "spread_over"]

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

_ANSWER_WITHIN_S = 10


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
        version of this program. While results are asked for: if a worker died over a task again and again.
    """
    client = _connected(scheduler)
    try:
        _refuse_other_software(client, scheduler)
        yield _over(client)
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


def _over(client: "Client") -> Spread:
    def spread(function: Callable[[_Task], _Result], tasks: Sequence[_Task]) -> Iterator[tuple[int, _Result]]:
        from distributed import as_completed as as_they_come
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        # What all tasks share travels to each worker once.
        (shared,) = client.scatter([function], broadcast=True, hash=False)
        # Not pure: equal tasks are done anew, whatever another client asked before.
        pending = {client.submit(_call, shared, task, pure=False): index for index, task in enumerate(tasks)}
        try:
            for done in as_they_come(list(pending), loop=client.loop):
                yield pending[done], done.result()
        # The second: all workers that held what the tasks share died at once.
        except (KilledWorker, FutureCancelledError) as error:
            raise ClusterError("a worker died over a task again and again, out of memory perhaps") from error
        finally:
            client.cancel(list(pending))

    return spread


def _call(function: Callable[[Any], Any], task: object) -> object:
    return function(task)
