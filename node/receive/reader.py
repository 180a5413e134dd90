"""One thread that reads the images of all associations.

With a thread for each of them, four senders at once made the interpreter's lock change hands some forty times
for an image, which cost more than all that is done with it.
"""

import os
import select
import threading
from collections import deque
from contextlib import suppress
from typing import Protocol

from node.log import Log, raised_at

__all__ = ["Readable", "Reader"]


class Readable(Protocol):
    """What is read when something has come."""

    def pump(self) -> None:
        """Take what is there without waiting, and not too much of it."""
        ...


class Reader:
    """Waits for all that it is given to watch; any thread may give and take back.

    Parameters
    ----------
    log : Log
        Gets a line when reading something fails.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._epoll = select.epoll()
        self._watched: dict[int, Readable] = {}
        self._nudged: deque[Readable] = deque()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def __del__(self) -> None:
        # Not by `stop`: associations that are just ending may still take back what they gave.
        self._epoll.close()
        os.close(self._bell)

    @property
    def is_running(self) -> bool:
        """Whether it reads."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more."""
        self._stopped = True
        self._ring()
        self._thread.join()

    def watch(self, descriptor: int, readable: Readable) -> None:
        """Read it whenever something has come."""
        self._epoll.register(descriptor, select.EPOLLIN)
        self._watched[descriptor] = readable

    def forget(self, descriptor: int) -> None:
        """Do not read it any more, until it is to be watched again; to be called before it is closed."""
        if self._watched.pop(descriptor, None) is not None:
            with suppress(OSError):  # closed: then the system has forgotten it
                self._epoll.unregister(descriptor)

    def nudge(self, readable: Readable) -> None:
        """Read it soon: it has something that the system does not know of."""
        if readable not in self._nudged:
            self._nudged.append(readable)
            self._ring()

    def _ring(self) -> None:
        os.eventfd_write(self._bell, 1)

    def _run(self) -> None:
        while not self._stopped:
            for descriptor, _ in self._epoll.poll():
                if descriptor == self._bell:
                    os.eventfd_read(self._bell)
                else:
                    # One that was forgotten since is not there; where its number is another's now, that
                    # finds nothing to read.
                    self._pump(self._watched.get(descriptor))
            # Who is nudged anew meanwhile has his turn after all others.
            for _ in range(len(self._nudged)):
                self._pump(self._nudged.popleft())

    def _pump(self, readable: Readable | None) -> None:
        if readable is None:
            return
        try:
            readable.pump()
        except Exception as error:  # noqa: BLE001 - without this thread the node is deaf
            self._log.error("reading_failed", error=type(error).__name__, where=raised_at(error))
