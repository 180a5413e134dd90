"""Associations that wait for what happens, where pynetdicom 3.0.4 asks every millisecond whether it did.

Each association of pynetdicom has two threads, one for the network and one for the messages. Both sleep for a
millisecond whenever they find nothing to do, so a C-STORE costs its sender some three of them, and idle
associations keep the interpreter busy that the others need. Here the queues between the two ring a bell, and
C-STORE requests are read by one thread for all (`node.receive.reader`).
"""

import os
import queue
import select
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

__all__ = ["WakefulSocket", "wake_by_events"]

_TICK_S = 0.05
"""How often timers and orders to stop are looked at; nothing that carries data waits for it."""


class _RingingQueue(queue.Queue[Any]):
    """A queue that tells somebody of each entry."""

    def __init__(self, ring: Callable[[], object]) -> None:
        super().__init__()
        self._ring = ring

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ANN401, FBT001, FBT002 - as the queue has it
        super().put(item, block, timeout)
        self._ring()


class _Inbox(_RingingQueue):
    """Messages for the association's thread; it looks for one without waiting, and waits here all the same.

    The bell rings for messages and for whatever else that thread looks at when there is none.

    Parameters
    ----------
    bell : Event
        The bell.
    """

    def __init__(self, bell: threading.Event) -> None:
        super().__init__(bell.set)
        self._bell = bell

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ANN401, FBT001, FBT002 - as the queue has it
        if not block:
            self._bell.wait(_TICK_S)
            self._bell.clear()
        return super().get(block, timeout)


class WakefulSocket(AssociationSocket):  # type: ignore[misc]  # pynetdicom has no types
    """pynetdicom's socket, whose question "is there data?" waits for data or for something to send."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - passed on as they came
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        super().__init__(*arguments, **options)

    def __del__(self) -> None:
        os.close(self._bell)

    def ring(self) -> None:
        """End a wait: there is something to send."""
        os.eventfd_write(self._bell, 1)

    @property
    def ready(self) -> bool:
        """Whether there is data to read, as soon as there is, or after a while."""
        connection = self.socket
        if connection is None or not self._is_connected:
            return False
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        try:
            return self.wait(connection)
        except (OSError, ValueError):
            # Closed by the other thread: "transport connection closed" in the table of states.
            self.event_queue.put("Evt17")
            return False

    def wait(self, connection: socket.socket | None = None) -> bool:
        """Wait for the bell, or for data of a connection, a while at most; return whether there is data."""
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        if connection is not None:
            poll.register(connection, select.POLLIN)
        # What has happened already, such as that the peer has connected, is to be dealt with first.
        patience_s = 0 if self.event_queue.queue else _TICK_S
        happened = {descriptor for descriptor, _ in poll.poll(patience_s * 1000)}
        if self._bell in happened:
            os.eventfd_read(self._bell)
        return bool(happened - {self._bell})


def wake_by_events(association: Association, connection: WakefulSocket) -> None:
    """Let an association that has not started wait for events.

    Parameters
    ----------
    association : Association
        As its request handler made it.
    connection : WakefulSocket
        Its socket.
    """
    bell = threading.Event()
    association.dul.to_provider_queue = _RingingQueue(lambda: _ring_from_elsewhere(association, connection))
    association.dul.to_user_queue = _RingingQueue(bell.set)
    association.dimse.msg_queue = _Inbox(bell)
    association.dul._run_loop_delay = 0  # noqa: SLF001 - `ready` waits instead


def _ring_from_elsewhere(association: Association, connection: WakefulSocket) -> None:
    """Wake the thread of the network, unless it is the one that has something to send."""
    if threading.current_thread() is not association.dul:
        connection.ring()
