"""Call a function in a process of its own, for native code that damaged input may crash.

The decoders of compressed pixels are written in C and C++. Damaged input makes some of them abort, or take
memory and time without bound, and no exception of Python tells of that. A forked process can be lost without
more than its own series; it starts at once, which a worker process, spawned with its imports, does not.
"""

import ctypes
import faulthandler
import os
import resource
import signal
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from analysis.domain.reason import Reason
from analysis.errors import RefusedError
from node.decode.damage import damage_refused, kind_of

__all__ = ["LostError", "apart"]

_WALL_PER_CPU = 4.0
"""How much longer than its processor time a call may take, on a busy machine."""
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class LostError(Exception):
    """The process ended without an answer, and how it did."""


def apart(function: Callable[[], Any], *, cpu_limit_s: float) -> Any:  # noqa: ANN401 - what the function returns
    """Call a function in a forked process, which has the limits of this one and writes to no terminal.

    Parameters
    ----------
    function : callable
        Must not need any other thread of this process.
    cpu_limit_s : float
        Processor time after which the process is ended.

    Raises
    ------
    RefusedError
        If the function raised it, or any other exception.
    LostError
        If the process ended without an answer, or did not answer in time.
    """
    ours, theirs = Pipe(duplex=False)
    with warnings.catch_warnings():
        # Python 3.12 warns of other threads; what the child does needs none of them, and it has a time limit.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _serve(theirs, function, cpu_limit_s)
    theirs.close()
    try:
        kind, value = _answer(ours, child, cpu_limit_s * _WALL_PER_CPU)
    finally:
        ours.close()
    if kind == "refused":
        raise RefusedError(*value)
    return value


def _answer(connection: Connection, child: int, limit_s: float) -> tuple[str, Any]:
    answer: tuple[str, Any] | None = None
    in_time = True
    try:
        in_time = connection.poll(limit_s)
        with suppress(EOFError, OSError):
            answer = connection.recv() if in_time else None
    finally:
        if answer is None and not in_time:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if answer is not None:
        return answer
    raise LostError("it took too long" if not in_time else _how(os.waitstatus_to_exitcode(status)))


def _how(exit_code: int) -> str:
    if exit_code == -signal.SIGXCPU:
        return "it took too long"
    if exit_code < 0:
        return f"the decoder was ended by {signal.Signals(-exit_code).name}"
    return f"the decoder ended with {exit_code}"


def _serve(connection: Connection, function: Callable[[], Any], cpu_limit_s: float) -> NoReturn:
    """Answer with the value of the function, or with the reasons for which it refuses, and end."""
    try:
        _restrict(cpu_limit_s)
        connection.send(_reply(function))
    finally:
        # Without the clean-up of the interpreter, which belongs to the process that was forked.
        os._exit(0)


def _reply(function: Callable[[], Any]) -> tuple[str, Any]:
    try:
        with damage_refused("pixels_damaged"):
            return "done", function()
    except RefusedError as error:
        return "refused", error.reasons
    except BaseException as error:  # noqa: BLE001 - a panic of a decoder in Rust is no Exception
        return "refused", (Reason("pixels_damaged", kind=kind_of(error)),)


def _restrict(cpu_limit_s: float) -> None:
    """Limit the process, have it end with the one that forked it, and keep native code from writing."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGXCPU):
        signal.signal(one, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime + cpu_limit_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # SIGXCPU, then SIGKILL
    faulthandler.disable()  # it keeps a standard error of its own
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
