"""The audit trail: who started what, who moved whose images where, who was turned away; to file or syslog.

What is written here holds Patient IDs, as DICOM PS3.15 A.5.3 asks; what goes wrong in writing it is told in
the log, which holds none.
"""

import os
import queue
import socket
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from weakref import WeakSet

from node.config import AuditSettings
from node.dicom.tls import audit_arguments
from node.domain.audit import (
    AuditMessage,
    EventOutcome,
    Party,
    StudyMoved,
    studies_transferred,
    syslog_line,
    to_xml,
)
from node.domain.header import InstanceIdentity
from node.log import Log
from node.ports import Clock

__all__ = ["AuditTrail", "Receipts"]

_WAITING = 10_000
"""Messages kept for a repository that does not answer; the oldest go first, and the log tells of it."""
_RETRY_S = 5.0
_TIMEOUT_S = 10.0
_FAREWELL_S = 2.0


class _Sink(Protocol):
    name: str

    def write(self, line: bytes, xml: bytes) -> None:
        """Write a message; an `OSError` means that it was not written."""
        ...

    def close(self) -> None:
        """Let go of what is held open between messages."""
        ...


class _File:
    """One message a line, for this user's eyes only."""

    name = "file"

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, line: bytes, xml: bytes) -> None:
        del line
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, xml + b"\n")
        finally:
            os.close(descriptor)

    def close(self) -> None:
        pass


class _Datagrams:
    """Syslog of this machine by its socket, or of another by UDP (RFC 5426)."""

    name = "syslog"

    def __init__(self, family: int, address: str | tuple[str, int]) -> None:
        self._family = family
        self._address = address

    def write(self, line: bytes, xml: bytes) -> None:
        del xml
        with socket.socket(self._family, socket.SOCK_DGRAM) as there:
            there.sendto(line, self._address)

    def close(self) -> None:
        pass


class _Stream:
    """Syslog of another machine over TLS (RFC 5425), over one connection as long as it lasts."""

    name = "syslog"

    def __init__(self, settings: AuditSettings, host: str, port: int) -> None:
        self._context, self._server_name = audit_arguments(settings, host)
        self._address = (host, port)
        self._connection: socket.socket | None = None

    def write(self, line: bytes, xml: bytes) -> None:
        del xml
        try:
            connection = self._connection or self._connect()
            connection.sendall(b"%d %b" % (len(line), line))
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _connect(self) -> socket.socket:
        plain = socket.create_connection(self._address, timeout=_TIMEOUT_S)
        try:
            self._connection = self._context.wrap_socket(plain, server_hostname=self._server_name)
        except OSError:
            plain.close()
            raise
        return self._connection


def _sinks(settings: AuditSettings) -> list[_Sink]:
    sinks: list[_Sink] = []
    if settings.file is not None:
        sinks.append(_File(settings.file))
    there = urlsplit(settings.syslog)
    if there.scheme == "unix":
        sinks.append(_Datagrams(socket.AF_UNIX, there.path))
    elif there.scheme == "udp":
        family = socket.AF_INET6 if ":" in (there.hostname or "") else socket.AF_INET
        sinks.append(_Datagrams(family, (there.hostname or "", there.port or 514)))
    elif there.scheme == "tls":
        sinks.append(_Stream(settings, there.hostname or "", there.port or 6514))
    return sinks


@dataclass(slots=True)
class _Writer:
    """A sink with its queue and its thread, so that one that is down holds up no other and no sender."""

    sink: _Sink
    log: Log
    waiting: "queue.Queue[tuple[bytes, bytes] | None]" = field(default_factory=lambda: queue.Queue(_WAITING))
    ending: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def put(self, entry: tuple[bytes, bytes] | None) -> None:
        while True:
            try:
                self.waiting.put_nowait(entry)
            except queue.Full:
                self.waiting.get_nowait()
                self.log.error("audit_message_lost", kind=self.sink.name)  # noqa: TRY400 - see `guarded`
            else:
                return

    def run(self) -> None:
        with closing(self.sink):
            self._write_all()

    def _write_all(self) -> None:
        while (entry := self.waiting.get()) is not None:
            while not self._write(entry):
                if self.ending.wait(_RETRY_S):
                    return

    def _write(self, entry: tuple[bytes, bytes]) -> bool:
        try:
            self.sink.write(*entry)
        except OSError as error:
            fault = type(error).__name__
            self.log.error("audit_not_written", kind=self.sink.name, error=fault)  # noqa: TRY400 - see `guarded`
            return False
        return True


class AuditTrail:
    """Takes messages from the stations and writes them, in threads of its own.

    Parameters
    ----------
    settings : AuditSettings
        Where to; with neither file nor syslog it writes nothing.
    ae_title : str
        Of this node.
    log : Log
        Gets a line for each message that could not be written.

    Raises
    ------
    ConfigurationError
        If files for TLS are missing or are not what they should be.
    """

    def __init__(self, settings: AuditSettings, ae_title: str, log: Log) -> None:
        self._source = settings.source_id or ae_title
        self._writers = [_Writer(sink, log) for sink in _sinks(settings)]

    def start(self) -> None:
        """Begin to write."""
        for writer in self._writers:
            writer.thread = threading.Thread(target=writer.run, name=f"audit-{writer.sink.name}", daemon=True)
            writer.thread.start()

    def stop(self) -> None:
        """Write what waits, but not for long."""
        for writer in self._writers:
            writer.put(None)
            if writer.thread is not None:
                writer.thread.join(_FAREWELL_S)
            writer.ending.set()

    def record(self, message: AuditMessage) -> None:
        """Hand in a message; it is written soon."""
        if not self._writers:
            return
        xml = to_xml(message, self._source)
        line = syslog_line(message, xml, host=socket.gethostname(), process=os.getpid())
        for writer in self._writers:
            writer.put((line, xml))


@dataclass(slots=True)
class _Receipt:
    sender: Party
    patient_id: str
    instances: Counter[str] = field(default_factory=Counter)


class Receipts:
    """What each open association has brought, until it ends and is audited: one message for each study.

    Parameters
    ----------
    record : callable
        Takes the messages.
    receiver : Party
        This node.
    clock : Clock
        The time.
    """

    def __init__(self, record: Callable[[AuditMessage], None], receiver: Party, clock: Clock) -> None:
        self._record = record
        self._receiver = receiver
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, dict[str, _Receipt]] = {}
        # An object that was being made durable when its association was cut off is noted afterwards.
        self._ended: WeakSet[threading.Thread] = WeakSet()

    def note(self, association: threading.Thread, sender: Party, identity: InstanceIdentity) -> None:
        """Remember an instance that was stored."""
        with self._lock:
            theirs = self._open.setdefault(association, {})
            receipt = theirs.get(identity.study_uid)
            if receipt is None:
                receipt = theirs[identity.study_uid] = _Receipt(sender, identity.patient_id)
            receipt.instances[identity.sop_class_uid] += 1
            is_late = association in self._ended
        if is_late:
            self.end(association, orderly=False)

    def end(self, association: threading.Thread, *, orderly: bool) -> None:
        """Audit what an association brought; only its first end counts."""
        with self._lock:
            theirs = self._open.pop(association, {})
            self._ended.add(association)
        outcome = EventOutcome.SUCCESS if orderly else EventOutcome.MINOR_FAILURE
        for study_uid, receipt in theirs.items():
            study = StudyMoved(study_uid, receipt.patient_id, dict(receipt.instances))
            message = studies_transferred(receipt.sender, self._receiver, study, self._clock.now(), outcome)
            self._record(message)
