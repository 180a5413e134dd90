"""Run a program, and kill every process that it started when it ends or is cancelled.

Run as a script that needs only the standard library, so that it starts quickly::

    python -I -S supervisor.py PROGRAM ARGUMENTS...

Its standard input is a pipe that its caller holds open. The caller writes a byte to it to cancel the program.
If the pipe is closed without one, the caller was killed; then the working folder, which holds an image, is
removed here.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["supervise"]

_PR_SET_CHILD_SUBREAPER = 36
"""Linux, prctl(2): orphaned descendants become children of this process, whatever session they are in."""


def supervise(command: Sequence[str]) -> int:
    """Run a program, then kill the processes it leaves behind; return its exit status as a shell does."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    caller_died = threading.Event()

    def kill_when_cancelled() -> None:
        if not os.read(sys.stdin.fileno(), 1):
            caller_died.set()
        program.kill()

    threading.Thread(target=kill_when_cancelled, daemon=True).start()
    code = program.wait()
    _kill_descendants()
    if caller_died.is_set():
        shutil.rmtree(Path.cwd(), ignore_errors=True)
    return code if code >= 0 else 128 - code


def _kill_descendants() -> None:
    """Kill all children until none is left; the children of a killed process become children of this one."""
    while True:
        for child in _children():
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> Iterator[int]:
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The program name in parentheses may itself contain parentheses.
            state_and_parent = status.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if int(state_and_parent[1]) == os.getpid():
                yield int(status.parent.name)


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[1:]))
