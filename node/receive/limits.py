"""What a peer may ask of us while it sends: an end to every wait and every length.

pynetdicom 3.0.4 reads a PDU of any claimed length into memory, and waits for the rest of it for ever.
"""

import time

from node.config import ListenerSettings
from node.receive.quota import is_too_slow

__all__ = ["Bounds", "TooMuchError"]

_ASSOCIATE_BYTES = 1024 * 1024
"""A request for 128 contexts with every transfer syntax there is has some 300 kB."""
_SLACK_BYTES = 1024
"""Some senders count their headers into the largest PDU, others do not."""
_KILOBYTE = 1024
_MEGABYTE = 1024 * 1024
_PASSED_BY = 2
"""An object over the limit is let pass and answered, see `Incoming`; one of twice the limit is abuse."""
_WAITING_REQUESTS = 2
"""No asynchronous window is negotiated, so a sender waits for each answer; one that does not fills memory."""


class TooMuchError(ConnectionError):
    """A sender went beyond a limit; its connection is cut, and the text says which."""


class Bounds:
    """The limits of one connection, and how far it has gone towards them.

    Parameters
    ----------
    settings : ListenerSettings
        The limits.
    """

    def __init__(self, settings: ListenerSettings) -> None:
        self._settings = settings
        self._connected_s = time.monotonic()
        self._deadline_s = 0.0
        self._message_s = 0.0
        self._message_bytes = 0

    def begin_pdu(self, *, greeted: bool, midway: bool, waiting: int) -> None:
        """Start the clock of a PDU.

        Parameters
        ----------
        greeted : bool
            Whether the peer has said who it is.
        midway : bool
            Whether a message has begun that is not whole.
        waiting : int
            How many of its requests wait for their answers.

        Raises
        ------
        TooMuchError
            If it sends too slowly, or does not wait for answers.
        """
        now = time.monotonic()
        settings = self._settings
        self._deadline_s = now + settings.idle_timeout_s
        if not greeted:
            self._deadline_s = min(self._deadline_s, self._connected_s + settings.greeting_timeout_s)
        if not midway:
            self._message_s = now
            self._message_bytes = 0
        elif is_too_slow(
            self._message_bytes,
            now - self._message_s,
            grace_s=settings.idle_timeout_s,
            bytes_per_s=settings.slowest_kb_per_s * _KILOBYTE,
        ):
            raise TooMuchError("its object comes slower than [node] slowest_kb_per_s")
        if waiting > _WAITING_REQUESTS:
            raise TooMuchError("it sends requests without waiting for answers")

    def expect(self, nr_bytes: int, *, greeted: bool) -> None:
        """Take note of how long the rest of a PDU is said to be.

        Raises
        ------
        TooMuchError
            If that is longer than it may be, or its message is.
        """
        most = self._settings.max_pdu_bytes + _SLACK_BYTES if greeted else _ASSOCIATE_BYTES
        if nr_bytes > most:
            raise TooMuchError("its PDU is longer than was agreed")
        self._message_bytes += nr_bytes
        if self._message_bytes > self._settings.max_instance_mb * _MEGABYTE * _PASSED_BY:
            raise TooMuchError("its object is larger than [node] max_instance_mb")

    def time_left(self) -> float:
        """Return for how many seconds the rest of the PDU is waited for.

        Raises
        ------
        TimeoutError
            If that time is over.
        """
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s
