"""One thread that reads the connections of all associations.

With a thread for each of them, four senders at once made the interpreter's lock change hands about 40 times
per image, which took more processor time than all the work on the image.
"""

import os
import select
import threading
from collections import deque
from contextlib import suppress
from typing import Protocol

from node.log import Log, raised_at

__all__ = ["Readable", "SocketReader"]


class Readable(Protocol):
    """A connection to be read."""

    def read_available(self) -> None:
        """Read what has arrived, without waiting, up to a limit that leaves time for other connections."""
        ...


class SocketReader:
    """Reads each watched connection when data arrives; any thread may call `watch` and `forget`.

    Parameters
    ----------
    log : Log
        Logs one line when a read fails.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._epoll = select.epoll()
        self._watched: dict[int, Readable] = {}
        self._due: deque[Readable] = deque()
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wakeup, select.EPOLLIN)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def __del__(self) -> None:
        # Not in `stop`: associations that are just ending may still call `forget`.
        self._epoll.close()
        os.close(self._wakeup)

    @property
    def is_running(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more; on return the thread has ended."""
        self._stopped = True
        self._wake()
        self._thread.join()

    def watch(self, descriptor: int, readable: Readable) -> None:
        """Read a connection whenever it has data."""
        self._epoll.register(descriptor, select.EPOLLIN)
        self._watched[descriptor] = readable

    def forget(self, descriptor: int) -> None:
        """Stop watching a connection; must be called before its descriptor is closed."""
        if self._watched.pop(descriptor, None) is not None:
            with suppress(OSError):  # closed already, which unregisters it
                self._epoll.unregister(descriptor)

    def read_soon(self, readable: Readable) -> None:
        """Read a connection in its turn, although epoll may not report it as readable."""
        if readable not in self._due:
            self._due.append(readable)
            self._wake()

    def _wake(self) -> None:
        os.eventfd_write(self._wakeup, 1)

    def _run(self) -> None:
        while not self._stopped:
            for descriptor, _ in self._epoll.poll():
                if descriptor == self._wakeup:
                    os.eventfd_read(self._wakeup)
                else:
                    # A connection that was removed since is skipped. If another connection has its descriptor
                    # by now, that one is read without need, which does no harm.
                    self._read(self._watched.get(descriptor))
            # Only those that are due now: a connection that becomes due again waits for all others.
            for _ in range(len(self._due)):
                self._read(self._due.popleft())

    def _read(self, readable: Readable | None) -> None:
        if readable is None:
            return
        try:
            readable.read_available()
        except Exception as error:  # noqa: BLE001 - if this thread ended, the node would receive nothing
            self._log.error("reading_failed", error=type(error).__name__, where=raised_at(error))
