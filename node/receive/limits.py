"""Limits of one connection: an end to every wait, and a most for every length.

pynetdicom 3.0.4 reads a PDU of any claimed length into memory, and waits for the rest of it for ever.
"""

import time
from collections.abc import Callable

from node.config import ListenerSettings
from node.receive.quota import is_too_slow

__all__ = ["ConnectionLimits", "LimitExceededError"]

_ASSOCIATE_BYTES = 1024 * 1024
"""A request for 128 contexts with every transfer syntax there is has some 300 kB."""
_SLACK_BYTES = 1024
"""Some senders count their headers into the largest PDU, others do not."""
_KILOBYTE = 1024
_MEGABYTE = 1024 * 1024
_ABUSE = 2
"""An object over the limit is read to its end and answered, see `ReceivedObject`; one of twice the limit is
abuse."""
_UNSERVED_MESSAGES = 2
"""No asynchronous window is negotiated, so a sender waits for each answer; one that does not fills memory."""


class LimitExceededError(ConnectionError):
    """A peer went beyond a limit; its connection is cut, and the text says which."""


class ConnectionLimits:
    """The limits of one connection, and how far it has gone towards them.

    Parameters
    ----------
    settings : ListenerSettings
        The limits.
    unserved : callable
        Returns how many messages of the peer have come whole and are not served yet.
    tick : callable, optional
        Returns seconds on a monotonic clock.
    """

    def __init__(
        self,
        settings: ListenerSettings,
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
            Whether a message has begun that is not whole.

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
        """Take note of how long the rest of a PDU is said to be.

        Raises
        ------
        LimitExceededError
            If that is longer than it may be, or its message is.
        """
        most = self._settings.max_pdu_bytes + _SLACK_BYTES if requested else _ASSOCIATE_BYTES
        if nr_bytes > most:
            raise LimitExceededError("its PDU is longer than was agreed")
        self._message_bytes += nr_bytes
        if self._message_bytes > self._settings.max_instance_mb * _MEGABYTE * _ABUSE:
            raise LimitExceededError("its object is larger than [node] max_instance_mb")

    def time_left(self) -> float:
        """Return for how many seconds the rest of the PDU is waited for.

        Raises
        ------
        TimeoutError
            If that time is over.
        """
        left_s = self._deadline_s - self._tick()
        if left_s <= 0:
            raise TimeoutError
        return left_s
