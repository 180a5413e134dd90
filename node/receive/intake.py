"""Takes images that this node asked an archive for, by the path of those that are sent to it."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from node.audit import AssociationAudit
from node.domain.audit import Party
from node.domain.dimse_status import DATASET_DOES_NOT_MATCH
from node.domain.header import InstanceIdentity
from node.errors import InstanceRejectedError, TransientError
from node.ports import IncomingObject
from node.receive.associations import AssociationRegister
from node.receive.pdata import StoreRequest
from node.receive.received_object import ReceivedObject
from node.receive.storage_scp import Sender, StorageScp
from node.receive.traffic import AssociationTraffic

__all__ = ["ArchiveIntake"]

_ANSWER_S = 300.0
"""Time for the last images to become durable; a disk that stalls longer counts as broken."""


class ArchiveIntake:
    """The `Intake` port.

    Parameters
    ----------
    storage : StorageScp
        Stores objects, whatever brought them.
    associations, traffic, receipts : AssociationRegister, AssociationTraffic, AssociationAudit
        Follow what each connection brings.
    """

    def __init__(
        self,
        storage: StorageScp,
        *,
        associations: AssociationRegister,
        traffic: AssociationTraffic,
        receipts: AssociationAudit,
    ) -> None:
        self._storage = storage
        self._associations = associations
        self._traffic = traffic
        self._receipts = receipts

    def watch_discards(self, study_uid: str, series_uid: str) -> AbstractContextManager[Mapping[str, str]]:
        """See `node.ports.Intake`."""
        return self._storage.discards.watch(study_uid, series_uid)

    @contextmanager
    def open(self, sender: Party, study_uid: str, series_uid: str) -> Iterator["SeriesTransfer"]:
        """See `node.ports.Intake`."""
        channel = _Request()
        transfer = SeriesTransfer(self._storage, channel, sender, (study_uid, series_uid))
        self._traffic.begin(channel, sender)
        is_orderly = False
        try:
            yield transfer
            transfer.wait()
            is_orderly = transfer.is_whole
        finally:
            channel.is_open = False
            self._traffic.end(channel, "released" if is_orderly else "cut off")
            self._associations.end(channel, orderly=is_orderly)
            self._receipts.end(channel, orderly=is_orderly)


class _Request:
    """A request for a series, while it is answered; stands where an association stands otherwise."""

    def __init__(self) -> None:
        self.is_open = True

    def is_alive(self) -> bool:
        """See `node.ports.Channel`."""
        return self.is_open


class SeriesTransfer:
    """The `Transfer` port.

    Parameters
    ----------
    storage : StorageScp
        Stores objects.
    channel : Channel
        Over which they come.
    party : Party
        The archive.
    asked : tuple of str
        UIDs of the study and series that were asked for.
    """

    def __init__(self, storage: StorageScp, channel: _Request, party: Party, asked: tuple[str, str]) -> None:
        self._storage = storage
        self._asked = asked
        self._selection = storage.rules.of_source(party.ae_title)
        self._sender = Sender(channel, party, party, lambda _: None, self._judge)
        self._changed = threading.Condition()
        self._pending = 0
        """Number of instances that are not answered yet; changes under `_changed`."""
        self.is_whole = False

    def begin(self, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> ReceivedObject:
        """See `node.ports.Transfer`."""
        request = StoreRequest(0, sop_class_uid, sop_instance_uid)
        return self._storage.begin(request, transfer_syntax_uid, self._selection)

    def store(self, incoming: IncomingObject, answer: Callable[[int], None]) -> None:
        """See `node.ports.Transfer`."""
        assert isinstance(incoming, ReceivedObject)  # noqa: S101 - for the type checker; see `begin`

        def note(status: int) -> None:
            try:
                answer(status)
            finally:
                with self._changed:
                    self._pending -= 1
                    self._changed.notify_all()

        with self._changed:
            self._pending += 1
        self._storage.take(self._sender, incoming, note)

    def note_whole(self) -> None:
        """See `node.ports.Transfer`."""
        self.is_whole = True

    def wait(self) -> None:
        """Wait until each instance has been answered."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._pending == 0, _ANSWER_S):
                raise TransientError("this node did not get its images onto the disk in time")

    def _judge(self, identity: InstanceIdentity) -> None:
        if (identity.study_uid, identity.series_uid) != self._asked:
            raise InstanceRejectedError(DATASET_DOES_NOT_MATCH, "it is of a series that was not asked for")
