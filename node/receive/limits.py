"""Limits of one connection: a timeout for every wait and a maximum for every length.

pynetdicom 3.0.4 reads a PDU of any claimed length into memory, and waits for the rest of it without limit.
"""

import time
from collections.abc import Callable

from node.config import NodeSettings
from node.receive.quota import is_too_slow

__all__ = ["ConnectionLimits", "LimitExceededError"]

_ASSOCIATE_BYTES = 1024 * 1024
"""A request for 128 contexts with every transfer syntax has about 300 kB."""
_SLACK_BYTES = 1024
"""Some senders count the headers as part of the maximum PDU length, others do not."""
_KILOBYTE = 1024
_MEGABYTE = 1024 * 1024
_ABUSE = 2
"""An object over the limit is read to its end and answered, see `ReceivedObject`; at this multiple of the
limit the connection is cut."""
_UNSERVED_MESSAGES = 2
"""No asynchronous operations window is negotiated, so a sender must wait for each response; the requests of
one that does not wait would fill the memory."""


class LimitExceededError(ConnectionError):
    """A peer exceeded a limit; its connection is cut, and the message names the limit."""


class ConnectionLimits:
    """The limits of one connection, and how much of them is used.

    Parameters
    ----------
    settings : NodeSettings
        The limits.
    unserved : callable
        Returns how many complete messages of the peer are not served yet.
    tick : callable, optional
        Returns seconds on a monotonic clock.
    """

    def __init__(
        self,
        settings: NodeSettings,
        unserved: Callable[[], int] = lambda: 0,
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._unserved = unserved
        self._tick = tick
        self._connected_s = tick()
        self._deadline_s = 0.0
        self._message_s = 0.0
        self._message_bytes = 0

    def begin_pdu(self, *, requested: bool, within_message: bool) -> None:
        """Start the clock of a PDU.

        Parameters
        ----------
        requested : bool
            Whether the peer has requested its association.
        within_message : bool
            Whether a message has begun and is not complete.

        Raises
        ------
        LimitExceededError
            If the peer sends too slowly, or does not wait for answers.
        """
        now = self._tick()
        settings = self._settings
        self._deadline_s = now + settings.idle_timeout_s
        if not requested:
            self._deadline_s = min(self._deadline_s, self._connected_s + settings.greeting_timeout_s)
        if not within_message:
            self._message_s = now
            self._message_bytes = 0
        elif is_too_slow(
            self._message_bytes,
            now - self._message_s,
            grace_s=settings.idle_timeout_s,
            bytes_per_s=settings.slowest_kb_per_s * _KILOBYTE,
        ):
            raise LimitExceededError("its object comes slower than [node] slowest_kb_per_s")
        if self._unserved() > _UNSERVED_MESSAGES:
            raise LimitExceededError("it sends requests without waiting for answers")

    def expect(self, nr_bytes: int, *, requested: bool) -> None:
        """Check the stated length of the rest of a PDU.

        Raises
        ------
        LimitExceededError
            If that or the length of its message exceeds a limit.
        """
        most = self._settings.max_pdu_bytes + _SLACK_BYTES if requested else _ASSOCIATE_BYTES
        if nr_bytes > most:
            raise LimitExceededError("its PDU is longer than was agreed")
        self._message_bytes += nr_bytes
        if self._message_bytes > self._settings.max_instance_mb * _MEGABYTE * _ABUSE:
            raise LimitExceededError("its object is larger than [node] max_instance_mb")

    def time_left(self) -> float:
        """Return how many seconds are left to wait for the rest of the PDU.

        Raises
        ------
        TimeoutError
            If no time is left.
        """
        left_s = self._deadline_s - self._tick()
        if left_s <= 0:
            raise TimeoutError
        return left_s
