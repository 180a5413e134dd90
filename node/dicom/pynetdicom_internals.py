"""The only module that uses undocumented parts of pynetdicom.

pynetdicom gives every association two threads, one of its upper layer (the "DUL") for the network and one for
the messages. Both sleep for a millisecond when they find nothing to do, which adds about 3 ms to every
C-STORE, and idle associations keep the interpreter busy. Here the queues between the two threads wake the
thread that waits for them, and an error that a peer causes ends its association only. Written for
pynetdicom 3.0.4; to be checked with every release of it.
"""

import os
import queue
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import BytesIO
from socketserver import BaseServer
from typing import Any, Protocol, TypeAlias

from pynetdicom import AE, evt
from pynetdicom._handlers import (
    standard_dimse_recv_handler,
    standard_dimse_sent_handler,
    standard_pdu_recv_handler,
    standard_pdu_sent_handler,
)
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import (
    AddressInformation,
    AssociationSocket,
    RequestHandler,
    ThreadedAssociationServer,
)

__all__ = [
    "AcceptorSocket",
    "AssociationServer",
    "BeginStore",
    "CallingEntity",
    "IncomingDataset",
    "UpperLayer",
    "allow_accept",
    "block_accept",
    "close_connection",
    "cut_off",
    "dataset_of",
    "keep_answers",
    "reject",
    "switch_nagle_off",
]

_TICK_S = 0.05
"""Interval at which timers and requests to stop are checked; data does not wait for it."""
_FULL_S = 0.005
"""Interval at which a full queue of messages is looked at."""
_USUAL_TIMEOUT_S = 60.0
"""For a PDU of a called peer, if the caller sets no timeout."""
_LOOK_S = 0.05
"""Interval at which a server that stops looks for associations that have not ended."""
_ABORT_S = 1.0
"""Time for an abort to be sent, and for the peer to close its connection after it."""
_LONGEST_PDU = 4 * 1024 * 1024
"""Bytes of one PDU of a peer that this node has called; it is asked for far shorter ones."""
_LONGEST_MESSAGE = 1024 * 1024
"""Bytes of the dataset of one message of such a peer that is not an image."""
_MOST_WAITING = 64
"""Messages of such a peer that wait to be handled; more stay in the network."""
_READY_FOR_DATA = "Sta6"
_CONNECTION_CLOSED, _INVALID_PDU = "Evt17", "Evt19"
"""PS3.8 table 9-10: association established and ready for data transfer; transport connection closed;
unrecognised or invalid PDU received."""
_EVENT_LOGS = (
    (evt.EVT_DIMSE_RECV, standard_dimse_recv_handler),
    (evt.EVT_DIMSE_SENT, standard_dimse_sent_handler),
    (evt.EVT_PDU_RECV, standard_pdu_recv_handler),
    (evt.EVT_PDU_SENT, standard_pdu_sent_handler),
)
"""Handlers that format every message for a log that is switched off."""


# The calling side


class IncomingDataset(Protocol):
    """Takes the dataset of a C-STORE request while it is received."""

    def write(self, fragment: memoryview) -> object:
        """Take the next bytes."""
        ...


BeginStore: TypeAlias = Callable[[str, str, str], IncomingDataset]
"""Gets SOP Class UID, SOP Instance UID and transfer syntax of a C-STORE request."""


class CallingEntity(AE):  # type: ignore[misc]  # pynetdicom has no types
    """An application entity whose connections are always closed, and have Nagle's algorithm off.

    What a called peer sends is limited, in size and in time.

    Parameters
    ----------
    ae_title : str
        Its AE title.
    begin_store : callable, optional
        Returns what takes the dataset of a C-STORE request that the peer sends because of a C-GET; the
        handler of `EVT_C_STORE` gets it by `dataset_of`.
    """

    def __init__(self, ae_title: str, begin_store: BeginStore | None = None) -> None:
        super().__init__(ae_title)
        self._begin_store = begin_store

    def _create_socket(
        self,
        association: Association,
        address: AddressInformation,
        tls_args: tuple[ssl.SSLContext, str] | None,
    ) -> AssociationSocket:
        _unbind_event_logs(association)
        _part_reports_from_release(association)
        keep_answers(association)
        _limit_messages(association, self._begin_store)
        created = _CallingSocket(association, address=address)
        created.tls_args = tls_args
        switch_nagle_off(created.socket)
        return created


class _Checkpoint(threading.Event):
    """Where the thread of an association waits while another one waits for an answer of the peer.

    Parameters
    ----------
    association : Association
        Whose thread it is.
    """

    def __init__(self, association: Association) -> None:
        super().__init__()
        self._association = association
        self._passing = threading.Lock()
        self.set()

    def clear(self) -> None:
        """Close it; whether the thread has passed is known by now."""
        with self._passing:
            super().clear()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is open, and pass."""
        while super().wait(timeout):
            with self._passing:
                if self.is_set():
                    self._association._is_paused = False
                    return True
        return False


def keep_answers(association: Association) -> None:
    """Let the thread of an association take no answer that another thread waits for.

    pynetdicom 3.0.4 notes that its thread has passed the checkpoint only after it has passed. A request that
    is sent in between takes the thread for one that rests; the thread then takes the answer for a request,
    and the sender waits for it until its timeout.
    """
    association._reactor_checkpoint = _Checkpoint(association)


def switch_nagle_off(connection: socket.socket) -> None:
    """Send each packet at once.

    DIMSE is one small message for each object. With Nagle's algorithm a message waits up to 40 ms for others
    to share its packet.
    """
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _unbind_event_logs(association: Association) -> None:
    for event, handler in _EVENT_LOGS:
        association.unbind(event, handler)


def _part_reports_from_release(association: Association) -> None:
    """Let an association be released only while no report of the peer is served.

    pynetdicom serves an N-EVENT-REPORT in a thread of its own, which `release` knows nothing of: an answer
    behind our release request ends the upper layer with an error. A report that crosses this request is
    handled, but must not be answered (PS3.8 7.2.2); the peer may repeat it over another association.
    """
    serve, release = association._serve_request, association.release
    turn = threading.Lock()

    def serve_in_turn(message: Any, context: int) -> None:  # noqa: ANN401 - one of pynetdicom's many classes
        if threading.current_thread() is association:
            serve(message, context)  # `release` waits for this thread itself
            return
        with turn:
            if association.is_established:
                serve(message, context)
                return
        accepted = association._accepted_cx.get(context)
        if accepted is not None:
            with suppress(Exception):  # a damaged report says nothing
                about = {"request": message, "context": accepted.as_tuple}
                evt.trigger(association, evt.EVT_N_EVENT_REPORT, about)

    def release_in_turn() -> None:
        with turn:
            release()

    association._serve_request, association.release = serve_in_turn, release_in_turn


def _close(connection: socket.socket | None) -> None:
    """Close a connection, established or not.

    pynetdicom shuts it down first, and does not close it if that fails, as it does for a connection that was
    never established: each attempt at a PACS that is down would leave a descriptor to the garbage collector.
    """
    if connection is not None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()


def dataset_of(event: evt.Event) -> Any:  # noqa: ANN401 - what the caller's `BeginStore` returned
    """Return what has taken the dataset of a C-STORE request."""
    return event.request.DataSet.target


class _Limited(BytesIO):
    """The dataset of a message, of limited size."""

    def write(self, fragment: Any) -> int:  # noqa: ANN401 - any buffer
        if self.tell() + len(fragment) > _LONGEST_MESSAGE:
            raise ValueError("a message is longer than any that was asked for")
        return super().write(fragment)


class _Passed(BytesIO):
    """The dataset of a C-STORE request, which is passed on while it is received and never kept here."""

    def __init__(self, target: IncomingDataset) -> None:
        super().__init__()
        self.target = target

    def write(self, fragment: Any) -> int:  # noqa: ANN401 - any buffer
        self.target.write(memoryview(fragment))
        return len(fragment)


def _limit_messages(association: Association, begin_store: BeginStore | None) -> None:
    """Keep a called peer from filling memory with messages, and pass on the datasets of C-STORE requests."""
    provider = association.dimse
    receive = provider.receive_primitive

    def begin_message() -> DIMSEMessage:
        while len(provider.msg_queue.queue) >= _MOST_WAITING and not _is_ending(association):
            time.sleep(_FULL_S)
        message = DIMSEMessage()
        message.encoded_command_set, message.data_set = _Limited(), _Limited()
        return message

    def take(value: Iterable[Any]) -> None:
        message = provider.message = provider.message or begin_message()
        one = P_DATA()
        one.presentation_data_value_list = [list(value)]
        receive(one)
        # The command is complete: what follows is its dataset.
        is_new = provider.message is message and isinstance(message.data_set, _Limited)
        if begin_store is not None and is_new and isinstance(message, C_STORE_RQ):
            said, syntax = message.command_set, association._accepted_cx[message.context_id].transfer_syntax
            named = str(said.AffectedSOPClassUID), str(said.AffectedSOPInstanceUID)
            message.data_set = _Passed(begin_store(*named, str(syntax[0])))

    def take_all(primitive: P_DATA) -> None:
        try:
            for value in primitive.presentation_data_value_list:
                take(value)
        except Exception:  # noqa: BLE001 - whatever the peer sent, only its association ends
            cut_off(association)

    provider.receive_primitive = take_all


def cut_off(association: Association) -> None:
    """Close the connection of a called peer at once; the thread that waits for a message gets none."""
    _cut_off(association)
    association.dimse.msg_queue.put((None, None))


def close_connection(association: Association) -> None:
    """Close what pynetdicom leaves open of an association that has ended, or was never established."""
    connection = association.dul.socket
    if connection is not None:
        _close(connection.socket)


def _is_ending(association: Association) -> bool:
    return bool(association._kill)


class _CallingSocket(AssociationSocket):  # type: ignore[misc]  # pynetdicom has no types
    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes within the timeout of the network; fewer if the peer closed the connection.

        Raises
        ------
        OSError
            If it took longer, or if the PDU is too long.
        """
        if nr_bytes > _LONGEST_PDU:
            raise ConnectionError("the peer announced a PDU that is too long")
        buffer = bytearray(nr_bytes)
        timeout_s = self.assoc.network_timeout or _USUAL_TIMEOUT_S
        end_s = time.monotonic() + timeout_s
        got = 0
        while got < nr_bytes:
            self.socket.settimeout(max(end_s - time.monotonic(), _TICK_S))
            count = self.socket.recv_into(memoryview(buffer)[got:])
            got += count
            if count == 0 or time.monotonic() > end_s:
                break
        self.socket.settimeout(timeout_s)  # also for what is sent
        return buffer[:got]

    def _shutdown_socket(self) -> None:
        _close(self.socket)


# The accepting side: what our code calls


class UpperLayer:
    """The upper layer of one accepted association, which belongs to its two threads.

    Any thread may call these methods: they read single attributes, or write to queues that are made for it.

    Parameters
    ----------
    association : Association
        An acceptor.
    is_storage : callable
        Tells of a SOP class whether it stores objects.
    """

    def __init__(self, association: Association, is_storage: Callable[[str], bool]) -> None:
        self._association = association
        self._is_storage = is_storage
        self._storage_syntaxes: dict[int, str] = {}

    @property
    def is_ready_for_data(self) -> bool:
        """Whether the association is established and neither side has begun to end it (PS3.8 9.2, Sta6)."""
        return bool(self._association.dul.state_machine.current_state == _READY_FOR_DATA)

    @property
    def is_requested(self) -> bool:
        """Whether the A-ASSOCIATE-RQ of the peer has been received."""
        return self._association.requestor.primitive is not None

    @property
    def unserved_messages(self) -> int:
        """Number of complete messages, other than C-STORE requests, that are not served yet."""
        return len(self._association.dimse.msg_queue.queue)

    def storage_syntax(self, context: int) -> str | None:
        """Return the transfer syntax of a presentation context; None if it is not accepted for storage."""
        known = self._storage_syntaxes.get(context)
        if known is not None:
            return known
        accepted = self._association._accepted_cx.get(context)
        if accepted is None or not self._is_storage(accepted.abstract_syntax):
            return None
        return self._storage_syntaxes.setdefault(context, str(accepted.transfer_syntax[0]))

    def take_fragment(self, context: int, control: int, content: memoryview) -> None:
        """Pass on a fragment of a message that pynetdicom serves."""
        primitive = P_DATA()
        primitive.presentation_data_value_list = [[context, bytes([control]) + content]]
        self._association.dimse.receive_primitive(primitive)

    def restart_idle_timer(self) -> None:
        """Restart it when the peer has sent something, or has been kept waiting until now."""
        self._association.dul._idle_timer.restart()

    def note_closed(self) -> None:
        """Notify the state machine that the connection is closed."""
        self._association.dul.event_queue.put(_CONNECTION_CLOSED)

    def note_invalid_pdu(self) -> None:
        """Notify the state machine that the peer sent an invalid PDU; it aborts the association."""
        self._association.dul.event_queue.put(_INVALID_PDU)

    def end(self) -> None:
        """End both threads of the association, as pynetdicom does after its own errors."""
        _end(self._association)


def _end(association: Association) -> None:
    association.is_aborted, association.is_established = True, False
    association._kill = True
    association.dul.kill_dul()


def _cut_off(association: Association) -> None:
    _end(association)
    connection = association.dul.socket
    if connection is not None:
        connection._shutdown_socket()


def block_accept(association: Association) -> None:
    """Keep pynetdicom from accepting an association that was requested, until `allow_accept`."""
    association.is_rejected = True


def allow_accept(association: Association) -> None:
    """Let pynetdicom accept an association."""
    association.is_rejected = False


def reject(association: Association, result: int, source: int, diagnostic: int) -> None:
    """Send an A-ASSOCIATE-RJ with these values of PS3.8 9.3.4."""
    association.acse.send_reject(result, source, diagnostic)


# The accepting side: what pynetdicom calls


class _WakingQueue(queue.Queue[Any]):
    """A queue that calls a function after each `put`."""

    def __init__(self, wake: Callable[[], object]) -> None:
        super().__init__()
        self._wake = wake

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ANN401, FBT001, FBT002 - as the queue has it
        super().put(item, block, timeout)
        self._wake()


class _MessageQueue(_WakingQueue):
    """Messages for an association's thread, which polls for one without waiting, and is made to wait here.

    Parameters
    ----------
    event : Event
        Set for each message, and for everything else that the thread checks when there is none.
    """

    def __init__(self, event: threading.Event) -> None:
        super().__init__(event.set)
        self._event = event

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ANN401, FBT001, FBT002 - as the queue has it
        if not block:
            self._event.wait(_TICK_S)
            self._event.clear()
        return super().get(block, timeout)


class AcceptorSocket(AssociationSocket):  # type: ignore[misc]  # pynetdicom has no types
    """pynetdicom's socket of an accepted association; subclasses decide which component reads it.

    pynetdicom's thread of the upper layer reads `ready`, then calls `recv` for the six bytes of a header and
    for the rest of the PDU. Here `ready` blocks until there is data or something to send.

    Parameters
    ----------
    association : Association
        An acceptor that has not started.
    connection : socket
        As it was accepted.
    """

    def __init__(self, association: Association, connection: socket.socket) -> None:
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        super().__init__(association, client_socket=connection)

    def __del__(self) -> None:
        os.close(self._wakeup)

    def wake(self) -> None:
        """End a `wait`, because there is something to send or to check."""
        os.eventfd_write(self._wakeup, 1)

    @property
    def ready(self) -> bool:
        """Wait up to `_TICK_S` for data for pynetdicom; return whether there is any."""
        connection = self.socket
        if connection is None or not self._is_connected:
            return False
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        try:
            return self.wait(connection)
        except (OSError, ValueError):  # closed by another thread
            self.event_queue.put(_CONNECTION_CLOSED)
            return False

    def wait(self, connection: socket.socket | None = None) -> bool:
        """Wait up to `_TICK_S` for `wake` or for data of a connection; return whether there is data."""
        poll = select.poll()
        poll.register(self._wakeup, select.POLLIN)
        if connection is not None:
            poll.register(connection, select.POLLIN)
        # Events that are queued already, such as that of the connection, are processed first.
        patience_s = 0 if self.event_queue.queue else _TICK_S
        happened = {descriptor for descriptor, _ in poll.poll(patience_s * 1000)}
        if self._wakeup in happened:
            os.eventfd_read(self._wakeup)
        return bool(happened - {self._wakeup})

    def shut_down(self) -> None:
        """Close the connection; called by the thread that finds that the association has ended."""
        _close(self.socket)

    @property
    def is_answering(self) -> bool:
        """Whether the peer waits for our response and so does not count as idle."""
        return False

    def note_invalid_pdu(self) -> None:
        """Handle a protocol violation by the peer; the state machine aborts the association afterwards."""

    def cut_off(self, error: Exception) -> None:
        """End the association after an error in one of its threads."""
        raise NotImplementedError

    def _shutdown_socket(self) -> None:
        self.shut_down()


class AssociationServer(ThreadedAssociationServer):  # type: ignore[misc]  # pynetdicom has no types
    """pynetdicom's server, with a thread for each connection; subclasses make its sockets."""

    daemon_threads = True

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - passed on unchanged
        super().__init__(*arguments, request_handler=_RequestHandler, **options)
        for event, handler in _EVENT_LOGS:
            self.unbind(event, handler)

    def serve_forever(self, poll_interval: float = _LOOK_S) -> None:
        """Serve until `stop`, which waits up to this interval; that of the standard library is 0.5 s."""
        super().serve_forever(poll_interval)

    def stop(self, within_s: float) -> int:
        """Close the address, then end all associations; return how many have not ended within this time.

        The address is closed first: of associations that are accepted while others are aborted, none would
        be noticed. A peer that does not close its connection after the abort is cut off.
        """
        BaseServer.shutdown(self)  # pynetdicom's own looks for the server in a list of its entity
        self.server_close()
        deadline = time.monotonic() + within_s
        cut_from = time.monotonic() + min(_ABORT_S, within_s / 2)
        while (still := self._requested()) and time.monotonic() < deadline:
            for association in still:
                association.abort(block=False)  # once for each, however often it is called
                if time.monotonic() > cut_from:
                    _cut_off(association)
            time.sleep(_LOOK_S)
        return len(still)

    def _requested(self) -> list[Association]:
        """Return the associations that have been requested and have not ended.

        The thread of a connection whose peer has requested none waits for that, and holds nothing.
        """
        return [one for one in self.active_associations if one.requestor.primitive is not None]

    def connect(self, association: Association, connection: socket.socket) -> AcceptorSocket:
        """Return the socket of an association that has not started."""
        raise NotImplementedError


class _RequestHandler(RequestHandler):  # type: ignore[misc]  # pynetdicom has no types
    server: AssociationServer

    def _create_association(self) -> Association:
        association = super()._create_association()
        association.dul.daemon = True  # as the other thread is: neither may keep a process that stops
        _unbind_event_logs(association)
        association.dul.socket = None
        association.dul.event_queue.get_nowait()  # "connected"; the new socket says so again
        acceptor = self.server.connect(association, self.request)
        association.set_socket(acceptor)
        _wake_by_events(association, acceptor)
        _contain_faults(association, acceptor)
        has_been_idle = association.dul.idle_timer_expired
        association.dul.idle_timer_expired = lambda: not acceptor.is_answering and has_been_idle()
        return association


def _wake_by_events(association: Association, acceptor: AcceptorSocket) -> None:
    """Make the two threads of an association wait for events instead of polling every millisecond."""

    def wake_the_upper_layer() -> None:
        if threading.current_thread() is not association.dul:
            acceptor.wake()

    event = threading.Event()
    association.dul.to_provider_queue = _WakingQueue(wake_the_upper_layer)
    association.dul.to_user_queue = _WakingQueue(event.set)
    association.dimse.msg_queue = _MessageQueue(event)
    association.dul._run_loop_delay = 0  # `ready` waits instead


def _contain_faults(association: Association, acceptor: AcceptorSocket) -> None:
    """Make any exception in an association's two threads end that association only."""
    machine = association.dul.state_machine
    act, run, serve = machine.do_action, association.run, association._serve_request

    def act_or_cut_off(event: str) -> None:
        if event == _INVALID_PDU and not association.is_aborted:
            association.is_aborted = True
            acceptor.note_invalid_pdu()
        try:
            act(event)
        except Exception as error:  # noqa: BLE001 - pynetdicom raises any error of its parsers
            acceptor.cut_off(error)

    def run_or_cut_off() -> None:
        try:
            run()
        except Exception as error:  # noqa: BLE001 - as above
            acceptor.cut_off(error)

    def serve_if_complete(message: Any, context: int) -> None:  # noqa: ANN401 - one of pynetdicom's many classes
        # pynetdicom does not respond to a request that lacks a required element.
        if not message.is_valid_request:
            raise ValueError("a request lacks what it must have, or is none")
        serve(message, context)

    machine.do_action, association.run = act_or_cut_off, run_or_cut_off
    association._serve_request = serve_if_complete
