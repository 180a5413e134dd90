"""One thread that reads the connections of all associations.

With a thread for each of them, four senders at once made the interpreter's lock change hands about 40 times
per image, which took more processor time than all the work on the image.
"""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from typing import Protocol

from node.log import Log, raised_at

__all__ = ["TURN_S", "Readable", "Shares", "SocketReader"]

TURN_S = 0.001
"""How long a connection is read in a row; an image takes less."""
_REST = 3.0
"""So many times as long as a whole turn took, its source rests while others are there."""
_LONGEST_TURN_S = 0.05
"""A longer turn counts as one of this length. Nothing that a sender can send takes so long; a disk that
stalls does, and must not keep its sender waiting for a multiple of the time that it stalled."""
_COMPETING_S = 1.0
"""How long a source counts as being there after its latest turn."""
_ARMED, _RESTING = select.EPOLLIN, select.EPOLLONESHOT
"""What epoll reports: data; or nothing, and a broken connection only once, because one that rests must not
wake the thread again and again."""


class Readable(Protocol):
    """A connection to be read."""

    @property
    def source(self) -> Hashable:
        """Who sends over it."""
        ...

    def read_available(self) -> None:
        """Read what has arrived, without waiting, up to a limit that leaves time for other connections."""
        ...


class Shares:
    """Decides whose turn it is, so that all who wait have equal time, whatever a turn takes.

    Who did not wait for a while saves no time up: it begins where the others are. Who used a whole turn rests
    while others are there, because Python's threads compute in turns: a thread that always computes slows all
    others, even those that need it for nothing.

    Examples
    --------
    >>> shares = Shares()
    >>> shares.charge("long", 0.0, 0.004)
    >>> shares.next_of(["long"], 0.004)
    'long'
    >>> shares.charge("short", 0.004, 0.0041)
    >>> shares.charge("long", 0.0041, 0.0081)
    >>> shares.next_of(["long", "short"], 0.0081), shares.next_of(["long"], 0.0081)
    ('short', None)
    >>> f"{shares.rest_s(['long'], 0.0081):.3f}"
    '0.012'
    >>> shares.next_of(["long"], 0.0202)
    'long'
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._used: dict[Hashable, float] = {}
        self._last: dict[Hashable, float] = {}
        self._rests_until: dict[Hashable, float] = {}

    @property
    def is_shared(self) -> bool:
        """Whether several had a turn lately."""
        return len(self._last) > 1

    def next_of(self, waiting: Iterable[Hashable], now_s: float) -> Hashable | None:
        """Return who had least time of those who wait and do not rest; of several the first."""
        able = dict.fromkeys(waiting)
        if self._rests_until:
            able = dict.fromkeys(one for one in able if self._rests_until.get(one, 0.0) <= now_s)
        if not able:
            return None
        chosen = min(able, key=self._at)
        self._now = self._at(chosen)
        return chosen

    def rest_s(self, waiting: Iterable[Hashable], now_s: float) -> float:
        """Return after how many seconds the first of those who wait has rested."""
        if not self._rests_until:
            return 0.0
        return max(0.0, min(self._rests_until.get(one, 0.0) for one in waiting) - now_s)

    def charge(self, who: Hashable, began_s: float, end_s: float) -> None:
        """Note a turn."""
        took_s = min(end_s - began_s, _LONGEST_TURN_S)
        self._used[who] = self._at(who) + took_s
        was_alone = len(self._last) == 1 and who in self._last
        self._last[who] = end_s
        if was_alone:
            return
        self._last = {one: at for one, at in self._last.items() if end_s - at < _COMPETING_S}
        self._used = {one: used for one, used in self._used.items() if one in self._last}
        self._rests_until = {one: at for one, at in self._rests_until.items() if at > end_s}
        if took_s > TURN_S and self.is_shared:
            self._rests_until[who] = end_s + _REST * took_s

    def _at(self, who: Hashable) -> float:
        return max(self._now, self._used.get(who, 0.0))


class SocketReader:
    """Reads each watched connection when data arrives; any thread may call `watch` and `forget`.

    The time of the thread is shared among the sources, not among their connections: ten connections of one
    source have as much of it as the only one of another.

    Parameters
    ----------
    log : Log
        Logs one line when a read fails.
    tick : callable, optional
        Returns seconds on a monotonic clock.
    """

    def __init__(self, log: Log, tick: Callable[[], float] = time.perf_counter) -> None:
        self._log = log
        self._tick = tick
        self._shares = Shares()
        self._epoll = select.epoll()
        self._watched: dict[int, Readable] = {}
        self._due: deque[Readable] = deque()
        self._ready: dict[Readable, int | None] = {}
        """With the descriptors that epoll reported."""
        self._resting: set[int] = set()
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
        self._watched[descriptor] = readable
        self._resting.discard(descriptor)  # of an earlier connection
        self._epoll.register(descriptor, _ARMED)

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
            wait_s = self._shares.rest_s(self._sources(), self._tick()) if self._ready else None
            for descriptor, _ in self._epoll.poll(wait_s):
                if descriptor == self._wakeup:
                    os.eventfd_read(self._wakeup)
                # A connection that was removed since is skipped. If another connection has its descriptor by
                # now, that one is read without need, which does no harm.
                elif readable := self._watched.get(descriptor):
                    self._ready[readable] = descriptor
            while self._due:
                self._ready.setdefault(self._due.popleft())
            # One source alone: each of its connections has a turn before epoll is asked again. Otherwise only
            # one has, so that a source that had less time need not wait for all of them.
            for _ in range(1 if self._shares.is_shared else len(self._ready)):
                self._read_next()

    def _sources(self) -> Sequence[Hashable]:
        return [readable.source for readable in self._ready]

    def _read_next(self) -> None:
        """Read the connection that waits longest of those whose source had least time, if one may be read."""
        began_s = self._tick()
        sources = self._sources()
        source = self._shares.next_of(sources, began_s)
        if source is None:
            self._report(self._ready.values(), _RESTING)
            return
        readable = list(self._ready)[sources.index(source)]
        descriptor = self._ready.pop(readable)
        self._read(readable)
        self._report([descriptor], _ARMED)
        self._shares.charge(source, began_s, self._tick())

    def _report(self, descriptors: Iterable[int | None], what: int) -> None:
        """Have epoll report the data of connections, or not while they rest."""
        for descriptor in descriptors:
            if descriptor is not None and (descriptor in self._resting) is (what == _ARMED):
                self._resting ^= {descriptor}
                with suppress(OSError):  # forgotten meanwhile
                    self._epoll.modify(descriptor, what)

    def _read(self, readable: Readable) -> None:
        try:
            readable.read_available()
        except Exception as error:  # noqa: BLE001 - if this thread ended, the node would receive nothing
            self._log.error("reading_failed", error=type(error).__name__, where=raised_at(error))
