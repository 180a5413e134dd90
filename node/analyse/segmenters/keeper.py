"""Runs a program, and ends all that it started once it has ended or nobody wants it any more.

It is run as a script with nothing but the standard library, so that it starts at once::

    python -I -S keeper.py PROGRAM ARGUMENTS...

Its standard input is a pipe that is held open by whoever wants the program. That pipe ends with a word where
the program is not wanted any more, and without one where its holder was killed; then nobody else is left to
remove the working folder, which holds an image.
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

__all__ = ["keep"]

_PR_SET_CHILD_SUBREAPER = 36
"""Linux, prctl(2): who loses its parent becomes a child of this process, whatever session it went to."""


def keep(command: Sequence[str]) -> int:
    """Run a program to its end, and end what it leaves behind; return its exit status as a shell does."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    orphaned = threading.Event()

    def end_with_the_pipe() -> None:
        if not os.read(sys.stdin.fileno(), 1):
            orphaned.set()
        program.kill()

    threading.Thread(target=end_with_the_pipe, daemon=True).start()
    code = program.wait()
    _end_children()
    if orphaned.is_set():
        shutil.rmtree(Path.cwd(), ignore_errors=True)
    return code if code >= 0 else 128 - code


def _end_children() -> None:
    """End every process below this one: those of an ended one become children of this."""
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
            # The name in brackets may hold anything, brackets too.
            state_and_parent = status.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if int(state_and_parent[1]) == os.getpid():
                yield int(status.parent.name)


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))
