"""One thread that reads the images of all associations.

With a thread for each of them, four senders at once made the interpreter's lock change hands some forty times
for an image, which cost more than all that is done with it.
"""

import os
import select
import threading
from typing import Protocol

__all__ = ["Readable", "Reader"]


class Readable(Protocol):
    """What is read when something has come."""

    def pump(self) -> None:
        """Take what is there without waiting; never raises."""
        ...


class Reader:
    """Waits for all that it is given to watch; any thread may give and take back."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Readable] = {}
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more."""
        self._stopped = True
        os.eventfd_write(self._bell, 1)
        self._thread.join()
        self._epoll.close()
        os.close(self._bell)

    def watch(self, descriptor: int, readable: Readable) -> None:
        """Read it whenever something has come."""
        self._watched[descriptor] = readable
        self._epoll.register(descriptor, select.EPOLLIN)

    def pause(self, descriptor: int) -> None:
        """Do not read it for a while."""
        self._epoll.modify(descriptor, 0)

    def resume(self, descriptor: int) -> None:
        """Read it again."""
        self._epoll.modify(descriptor, select.EPOLLIN)

    def forget(self, descriptor: int) -> None:
        """Never read it again."""
        if self._watched.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def _run(self) -> None:
        while not self._stopped:
            for descriptor, _ in self._epoll.poll():
                # It may have been forgotten since, or be another connection's number now; then nothing is
                # there for it.
                readable = self._watched.get(descriptor)
                if readable is not None:
                    readable.pump()
