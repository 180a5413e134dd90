"""Keeps the images of an archive from coming faster, on average, than its configuration says."""

import threading
import time
from collections.abc import Callable

from node.errors import TransientError

__all__ = ["Brake"]

_MEGABYTE = 1024 * 1024


class Brake:
    """Lets whoever has received images wait until more may be asked for; thread-safe.

    Parameters
    ----------
    mb_per_second : float
        The rate; 0 for no limit.
    stopping : Event
        Set when the node stops.
    tick : callable, optional
        Returns seconds on a monotonic clock.
    """

    def __init__(
        self, mb_per_second: float, stopping: threading.Event, tick: Callable[[], float] = time.monotonic
    ) -> None:
        self._bytes_per_s = mb_per_second * _MEGABYTE
        self._stopping = stopping
        self._tick = tick
        self._lock = threading.Lock()
        self._free_at_s = 0.0

    def spend(self, size: int) -> None:
        """Note that so many bytes came, and wait until the average is met.

        Raises
        ------
        TransientError
            If the node stops.
        """
        self.check()
        if not self._bytes_per_s:
            return
        with self._lock:
            now_s = self._tick()
            self._free_at_s = max(self._free_at_s, now_s) + size / self._bytes_per_s
            wait_s = self._free_at_s - now_s
        if self._stopping.wait(wait_s):
            self.check()

    def check(self) -> None:
        """Raise `TransientError` if the node stops."""
        if self._stopping.is_set():
            raise TransientError("the node is stopping")
