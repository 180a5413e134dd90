"""A worker process, for work that may hang, crash or run out of memory.

The stations `settle` and `analyse` have their work on studies done in such processes; see `node.app.workers`.
"""

import errno
import fcntl
import gc
import multiprocessing
import os
import resource
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from multiprocessing.connection import Connection, wait
from typing import Any

from analysis.errors import AnalysisError, RefusedError
from node.errors import NodeError, PermanentError, StorageFullError, TransientError, WorkerLostError

__all__ = ["WorkerProcess"]

_STOP_S = 2.0
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_START_LIMIT_S = 300.0
"""Limit for importing the analysis, slow on a busy machine; not counted in the time limit of a study."""


class WorkerProcess:
    """Calls one function in a child process, which stays alive between calls.

    Not thread-safe: one worker belongs to one sweep. `interrupt` alone may be called from another thread.

    Parameters
    ----------
    function : str
        The function to call, "module:function". Its module is imported when the process starts, and in that
        process only.
    memory_limit_mb : int or None
        Limit of the address space of the process; None for no limit.
    """

    def __init__(self, function: str, memory_limit_mb: int | None = None) -> None:
        self._function = function
        self._memory_limit_mb = memory_limit_mb
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._imported = False
        self._ended = threading.Event()

    def start(self, *, warm: bool = False) -> None:
        """Start the process if it is not running; `call` does so as well.

        Parameters
        ----------
        warm : bool
            Whether it calls `warm_up` of the function's module, if there is one, before its first call comes.
        """
        if self._ended.is_set():
            raise WorkerLostError("the node is stopping")
        if self._process is not None and self._process.is_alive():
            return
        self._discard()
        # Spawned, not forked: a forked process would inherit the locks and open sockets of this one.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve,
            args=(theirs, self._function, self._memory_limit_mb, warm),
            name="osteonode-worker",
            daemon=True,
        )
        self._process.start()
        self._imported = False
        theirs.close()
        self._connection = ours

    def interrupt(self) -> None:
        """Kill the process from another thread, for good; a call in progress raises `WorkerLostError`."""
        self._ended.set()
        process = self._process
        if process is not None and process.pid is not None:
            # Closing the pipe instead would leave the waiting thread polling a descriptor number that the
            # next file to be opened may get.
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """End the process for good; no call may be in progress."""
        self._ended.set()
        self._discard()

    def _discard(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.terminate()
            self._process.join(_STOP_S)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
            self._process.close()
            self._process = None

    def call(
        self,
        *arguments: object,
        time_limit_s: float,
        report_progress: Callable[[str], None] | None = None,
    ) -> Any:  # noqa: ANN401 - any return value of the function
        """Call the function in the process.

        Parameters
        ----------
        *arguments : object
            Of the function.
        time_limit_s : float
            Limit for the call; for each of its steps if it reports them.
        report_progress : callable, optional
            Told each step that the function reports to its parameter of the same name, in words.

        Raises
        ------
        RefusedError
            If the function raised it.
        StorageFullError
            If the function failed because the disk is full or read-only.
        WorkerLostError
            If the process died, ran out of memory or did not answer in time; the next call starts a new one.
        TransientError
            If the function raised it, with its message; or if the function raised an error of a library,
            with its type and place only, as its message may quote a dataset.
        PermanentError
            If the function raised any other error of this program, with its message.
        """
        self.start()
        assert self._connection is not None  # noqa: S101 - `start` made it
        try:
            if not self._imported:
                self._receive(_START_LIMIT_S, late="its process did not start within")
                self._imported = True
            self._connection.send((arguments, report_progress is not None))
            kind, value = self._receive(time_limit_s, late="it took longer than")
            while kind == "step" and report_progress is not None:
                report_progress(value)
                kind, value = self._receive(time_limit_s, late="it took longer than")
        except (EOFError, OSError) as error:
            raise WorkerLostError(self._why_it_died()) from error
        if kind == "done":
            return value
        if kind == "out of memory":
            self._discard()
        raise _error_of(kind, value)

    def _receive(self, limit_s: float, *, late: str) -> tuple[str, Any]:
        assert self._connection is not None  # noqa: S101 - only `call` receives, after `start`
        if not self._connection.poll(limit_s):
            self._discard()
            raise WorkerLostError(f"{late} {limit_s:g} s")
        reply: tuple[str, Any] = self._connection.recv()
        return reply

    def _why_it_died(self) -> str:
        process = self._process
        code = None
        if process is not None:
            process.join(_STOP_S)
            code = process.exitcode
        self._discard()
        if code is not None and code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        return f"its process ended with {code}"


def _serve(connection: Connection, name: str, memory_limit_mb: int | None, warm: bool) -> None:  # noqa: FBT001 - of `Process`
    """Answer calls until the node closes the pipe or ends."""
    # Ctrl-C in a terminal reaches the whole process group, but the node stops its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent()
    warnings.simplefilter("ignore")  # libraries print them to standard error, and they may quote a dataset
    # A crash is told and its input kept; a dump of memory would be patient data in a place of its own.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_limit_mb is not None:
        limit = memory_limit_mb * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # Late: the node that starts this process must not pay for it.
    from analysis.memory import give_back, keep_one_heap
    from analysis.threads import start_no_threads_for_algebra

    start_no_threads_for_algebra()  # before anything imports numpy
    from node.dicom.libraries import configure_libraries

    keep_one_heap()
    gc.disable()  # importing makes no garbage, but a collection after each few hundred objects
    configure_libraries()
    module_name, _, function_name = name.partition(":")
    module = import_module(module_name)
    function = getattr(module, function_name)
    if warm and hasattr(module, "warm_up"):
        module.warm_up()
    gc.freeze()  # what is imported is never garbage, and need not be looked through again
    gc.enable()
    connection.send(("imported", None))
    while True:
        try:
            arguments, reports = connection.recv()
        except EOFError:
            return
        told = partial(function, report_progress=partial(_tell, connection)) if reports else function
        connection.send(_reply_of(told, arguments))
        # After the reply, so that nobody waits. Images in reference cycles would stay until the next study.
        gc.collect()
        give_back()


def _tell(connection: Connection, step: str) -> None:
    connection.send(("step", step))


def _error_of(kind: str, value: Any) -> AnalysisError | NodeError:  # noqa: ANN401 - its type depends on the kind
    """Return the error to raise for a reply of `_reply_of`."""
    match kind:
        case "refused":
            return RefusedError(*value)
        case "out of memory":
            return WorkerLostError("it needed more memory than [engine] memory_limit_mb allows")
        case "no room":
            return StorageFullError("there is no room for its results, or the disk is read-only")
        case "stopped":
            return PermanentError(value)
        case "try again":
            return TransientError(value)
        case _:
            return TransientError(f"it met a fault ({value})")


def _reply_of(function: Callable[..., Any], arguments: Sequence[object]) -> tuple[str, object]:
    """Call the function; return "done" and its value, or the kind of failure and its details."""
    try:
        return "done", function(*arguments)
    except RefusedError as error:
        return "refused", error.reasons
    except MemoryError:
        return "out of memory", None
    except TransientError as error:
        return "try again", str(error)
    except (AnalysisError, NodeError) as error:
        return "stopped", str(error)
    except Exception as error:  # noqa: BLE001 - sent to the node; the process serves the next study
        no_room = isinstance(error, OSError) and error.errno in _NO_ROOM
        return "no room" if no_room else "fault", _type_and_place(error)


def _type_and_place(error: BaseException) -> str:
    """Return the type of an error and the function and line that raised it, without its message."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    return f"{type(error).__name__} in {frame.f_code.co_name}, line {line}"


def _end_with_parent() -> None:
    """Have the kernel end this process when the node ends, so that a killed node leaves no analysis running.

    A watching thread would need the interpreter lock, which native code of the analysis may hold for minutes.
    Instead the kernel sends SIGIO, which ends the process, as soon as the other end of the sentinel pipe is
    closed. The node never writes to that pipe, and however it ends, the pipe is closed.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    pipe = parent.sentinel
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    if wait([pipe], 0):  # the node ended before the signal was set up
        os._exit(1)
