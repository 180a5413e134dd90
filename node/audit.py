"""The audit trail, written to a file or syslog: starts and stops, transfers of images, rejected connections.

Audit messages contain Patient IDs, as DICOM PS3.15 A.5.3 asks. Failures to write them go to the log, which
contains none.
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
    discarded,
    studies_transferred,
)
from node.domain.audit_xml import syslog_line, to_xml
from node.domain.header import InstanceIdentity
from node.log import Log
from node.ports import Channel, Clock, StoredFiles, StudyReader

__all__ = ["AssociationAudit", "AuditTrail", "as_audited"]

_QUEUE_LENGTH = 10_000
"""Messages kept while a sink is down; beyond that the oldest are dropped, which the log reports."""
_RETRY_S = 5.0
_TIMEOUT_S = 10.0
_STOP_LIMIT_S = 2.0


class _Sink(Protocol):
    name: str

    def write(self, line: bytes, xml: bytes) -> None:
        """Write a message as a syslog line or as XML; an `OSError` means that it was not written."""
        ...

    def close(self) -> None:
        """Close a connection that is kept open between messages."""
        ...


class _File:
    """A file with one message per line, readable by its owner only."""

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
    """Syslog over the local socket, or over UDP to another machine (RFC 5426)."""

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
    """Syslog over TLS to another machine (RFC 5425); the connection is kept open between messages."""

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
    """A sink with its own queue and thread, so that one that is down delays neither others nor `record`."""

    sink: _Sink
    log: Log
    waiting: "queue.Queue[tuple[bytes, bytes] | None]" = field(
        default_factory=lambda: queue.Queue(_QUEUE_LENGTH)
    )
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
    """Queues audit messages and writes them in threads of its own.

    Parameters
    ----------
    settings : AuditSettings
        Where to write; with neither file nor syslog, nothing is written.
    ae_title : str
        AE title of this node.
    log : Log
        Logs one line per message that could not be written.

    Raises
    ------
    ConfigurationError
        If a file for TLS is missing or invalid.
    """

    def __init__(self, settings: AuditSettings, ae_title: str, log: Log) -> None:
        self._source = settings.source_id or ae_title
        self._writers = [_Writer(sink, log) for sink in _sinks(settings)]

    def start(self) -> None:
        """Start to write."""
        for writer in self._writers:
            writer.thread = threading.Thread(target=writer.run, name=f"audit-{writer.sink.name}", daemon=True)
            writer.thread.start()

    def stop(self) -> None:
        """Write the queued messages within a short time limit, then stop."""
        for writer in self._writers:
            writer.put(None)
            if writer.thread is not None:
                writer.thread.join(_STOP_LIMIT_S)
            writer.ending.set()

    def record(self, message: AuditMessage) -> None:
        """Queue a message."""
        if not self._writers:
            return
        xml = to_xml(message, self._source)
        line = syslog_line(message, xml, host=socket.gethostname(), process=os.getpid())
        for writer in self._writers:
            writer.put((line, xml))


def as_audited(store: StudyReader, files: StoredFiles, study_uid: str) -> StudyMoved:
    """Return what the audit trail says of a stored study: whose it is, and of what it is made."""
    images = store.instances(study_uid)
    patient_id = files.patient_id(images[0]) if images else ""
    return StudyMoved(study_uid, patient_id, Counter(image.sop_class_uid for image in images))


@dataclass(slots=True)
class _Receipt:
    sender: Party
    patient_id: str
    discarded: dict[str, Counter[str]] = field(default_factory=dict)
    """By rule: number of objects by SOP Class UID. They are among `instances`: they were received."""
    instances: Counter[str] = field(default_factory=Counter)


class AssociationAudit:
    """Counts what is received over each association, and audits it at its end, one message per study.

    Parameters
    ----------
    record : callable
        Takes the audit messages.
    receiver : Party
        This node.
    clock : Clock
        See `node.ports`.
    """

    def __init__(self, record: Callable[[AuditMessage], None], receiver: Party, clock: Clock) -> None:
        self._record = record
        self._receiver = receiver
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[Channel, dict[str, _Receipt]] = {}
        # An object that is made durable while its association is cut off is noted after the end.
        self._ended: WeakSet[Channel] = WeakSet()

    def note(
        self,
        association: Channel,
        sender: Party,
        identity: InstanceIdentity,
        *,
        discarded_by: str = "",
    ) -> None:
        """Count an instance that was stored, or that a rule discarded."""
        with self._lock:
            receipts = self._open.setdefault(association, {})
            receipt = receipts.get(identity.study_uid)
            if receipt is None:
                receipt = receipts[identity.study_uid] = _Receipt(sender, identity.patient_id)
            receipt.instances[identity.sop_class_uid] += 1
            if discarded_by:
                receipt.discarded.setdefault(discarded_by, Counter())[identity.sop_class_uid] += 1
            is_late = association in self._ended
        if is_late:
            self.end(association, orderly=False)

    def end(self, association: Channel, *, orderly: bool) -> None:
        """Audit what was received over an association since its last end."""
        with self._lock:
            receipts = self._open.pop(association, {})
            self._ended.add(association)
        outcome = EventOutcome.SUCCESS if orderly else EventOutcome.MINOR_FAILURE
        for study_uid, receipt in receipts.items():
            study = StudyMoved(study_uid, receipt.patient_id, dict(receipt.instances))
            message = studies_transferred(receipt.sender, self._receiver, study, self._clock.now(), outcome)
            self._record(message)
            for rule, instances in sorted(receipt.discarded.items()):
                gone = StudyMoved(study_uid, receipt.patient_id, dict(instances))
                self._record(discarded(rule, self._receiver, gone, self._clock.now()))
