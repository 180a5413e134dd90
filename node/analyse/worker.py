"""A process of its own for work that may hang, crash or eat all memory."""

import errno
import fcntl
import multiprocessing
import os
import resource
import signal
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection, wait
from typing import Any

from analysis.errors import AnalysisError, RefusedError
from node.errors import NodeError, PermanentError, StorageFullError, TransientError, WorkerLostError

__all__ = ["WorkerProcess"]

_STOP_S = 2.0
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_START_LIMIT_S = 300.0
"""For importing the science, slow on a busy machine; it is no study's fault and costs none its time."""


class WorkerProcess:
    """One function, called in one process that is kept warm between calls.

    Not thread-safe: one worker belongs to one sweep.

    Parameters
    ----------
    function : str
        Its name, "module:function". The module is imported in the process, once and as it starts; the node
        itself never pays for what the function imports.
    memory_limit_mb : int or None
        Address space of the process; None for no limit.
    """

    def __init__(self, function: str, memory_limit_mb: int | None = None) -> None:
        self._function = function
        self._memory_limit_mb = memory_limit_mb
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._imported = False
        self._ended = threading.Event()

    def start(self) -> None:
        """Start the process if it is not running; `call` does so too."""
        if self._ended.is_set():
            raise WorkerLostError("the node is stopping")
        if self._process is not None and self._process.is_alive():
            return
        self._discard()
        # Spawned, not forked: a fork of a process with threads and open sockets inherits both.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve,
            args=(theirs, self._function, self._memory_limit_mb),
            name="osteonode-worker",
            daemon=True,
        )
        self._process.start()
        self._imported = False
        theirs.close()
        self._connection = ours

    def interrupt(self) -> None:
        """End the process from another thread, for good; a waiting call raises `WorkerLostError`."""
        self._ended.set()
        process = self._process
        if process is not None and process.pid is not None:
            # Not by closing the pipe: that would leave the waiting thread on a descriptor that the next file
            # may get.
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """End the process for good, once nobody calls it any more."""
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

    def call(self, *arguments: object, time_limit_s: float) -> Any:  # noqa: ANN401 - whatever the function gives
        """Call the function in the process.

        Raises
        ------
        RefusedError
            As the function raised it.
        StorageFullError
            If nothing could be written.
        WorkerLostError
            If the process died, ran out of memory or did not answer in time; it is replaced at the next call.
        PermanentError
            If the function raised another error of ours, with its message.
        TransientError
            If it raised one, with its message, or anything else; then its kind is told, not its message,
            which may quote a dataset.
        """
        self.start()
        assert self._connection is not None  # noqa: S101 - `start` made it
        try:
            if not self._imported:
                self._receive(_START_LIMIT_S, "its process did not start within")
                self._imported = True
            self._connection.send(arguments)
            kind, value = self._receive(time_limit_s, "it took longer than")
        except (EOFError, OSError) as error:
            raise WorkerLostError(self._why_it_died()) from error
        if kind == "done":
            return value
        if kind == "out of memory":
            self._discard()
        raise _error_of(kind, value)

    def _receive(self, limit_s: float, otherwise: str) -> tuple[str, Any]:
        assert self._connection is not None  # noqa: S101 - only `call` asks, after `start`
        if not self._connection.poll(limit_s):
            self._discard()
            raise WorkerLostError(f"{otherwise} {limit_s:g} s")
        answer: tuple[str, Any] = self._connection.recv()
        return answer

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


def _serve(connection: Connection, name: str, memory_limit_mb: int | None) -> None:
    """Answer calls until the node closes the pipe or is gone."""
    # Ctrl-C in a terminal reaches every process of the group; the node stops its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent()
    warnings.simplefilter("ignore")  # libraries quote datasets in them, on standard error
    if memory_limit_mb is not None:
        limit = memory_limit_mb * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # Late: the node that starts this process must not pay for it.
    from node.dicom.libraries import configure_libraries

    configure_libraries()
    module, _, function_name = name.partition(":")
    function = getattr(import_module(module), function_name)
    connection.send(("imported", None))
    while True:
        try:
            arguments = connection.recv()
        except EOFError:
            return
        connection.send(_answer(function, arguments))


def _error_of(kind: str, value: Any) -> AnalysisError | NodeError:  # noqa: ANN401 - whatever came with it
    """Return what to raise for an answer of `_answer`."""
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


def _answer(function: Callable[..., Any], arguments: Sequence[object]) -> tuple[str, object]:
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
    except Exception as error:  # noqa: BLE001 - it is told to the node; the process lives on for the next study
        room = not isinstance(error, OSError) or error.errno not in _NO_ROOM
        return "fault" if room else "no room", _describe(error)


def _describe(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" in {trace.tb_frame.f_code.co_name}, line {trace.tb_lineno}"
    return f"{type(error).__name__}{place}"


def _end_with_parent() -> None:
    """Let the kernel end this process when the node is gone, so that a killed node leaves no analysis behind.

    A thread that watches would have to wait for the interpreter, which much of the science holds for minutes.
    The kernel signals SIGIO, which ends a process, once the other end of this pipe is closed; the node closes
    it by ending in whatever way, and never writes into it.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    pipe = parent.sentinel
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    if wait([pipe], 0):  # it was gone before the kernel was asked
        os._exit(1)
