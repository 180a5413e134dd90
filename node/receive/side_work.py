"""One thread for what only unusual objects need, so that no other sender pays for it.

Twenty thousand elements before the identity take a while to look at, and an object that is refused has a
sync and a transaction of its own in quarantine. In the threads that serve all senders this time would be that
of everyone. Here it is that of the senders of such objects. Because Python's threads compute in turns, and
the database has one writer at a time, this thread rests for most of the time while others are connected.
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import TypeAlias

from node.log import Log, raised_at

__all__ = ["SideWork", "Task"]

_PAUSE_S = 0.002
"""After each thousand of elements, which take about 0.7 ms."""
_REST = 2.0
"""So many times as long as a task took, the thread rests."""
_LONGEST_REST_S = 0.2

Task: TypeAlias = Callable[[Callable[[], None]], None]
"""Gets a function to call now and then, which lets other threads compute."""


class SideWork:
    """Runs tasks one after the other in its own thread.

    Parameters
    ----------
    log : Log
        Logs one line when a task fails.
    is_shared : callable
        Tells whether several sources are connected; otherwise there is nobody to rest for.
    """

    def __init__(self, log: Log, is_shared: Callable[[], bool]) -> None:
        self._log = log
        self._is_shared = is_shared
        self._waiting: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="side-work", daemon=True)

    @property
    def is_running(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, once what waits is done; it does not rest any more."""
        self._stopping.set()
        self._waiting.put(None)
        self._thread.join()

    def hand_in(self, task: Task) -> None:
        """Have a task run."""
        self._waiting.put(task)

    def _run(self) -> None:
        while (task := self._waiting.get()) is not None:
            began_s = time.perf_counter()
            try:
                task(self._pause)
            except Exception as error:  # noqa: BLE001 - if this thread ended, such objects would never be answered
                self._log.error("side_work_failed", error=type(error).__name__, where=raised_at(error))
            self._rest(min(_REST * (time.perf_counter() - began_s), _LONGEST_REST_S))

    def _pause(self) -> None:
        self._rest(_PAUSE_S)

    def _rest(self, seconds: float) -> None:
        if self._is_shared():
            self._stopping.wait(seconds)
