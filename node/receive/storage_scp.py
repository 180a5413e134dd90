"""The storage service: what happens to an object between its last fragment and its answer.

`StorageScp.store` makes a `_Storing` of each object. Its methods stand in the order in which they run:
`begin` in the reader's thread, `read_on` and `refuse` in that of `SideWork` if it is unusual, `prepare` and
`report_outcome` in the ledger's, which makes objects durable in groups.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import NoReturn

from pynetdicom.association import Association

from node.audit import AssociationAudit
from node.config import NodeSettings
from node.domain.audit import Party
from node.domain.dimse_status import (
    CANNOT_UNDERSTAND,
    CONFLICTING_INSTANCE,
    DATASET_DOES_NOT_MATCH,
    OUT_OF_RESOURCES,
    SUCCESS,
)
from node.domain.header import (
    HEADER_BYTES,
    InstanceIdentity,
    UnreadableHeaderError,
    read_identity,
)
from node.domain.identifiers import clean_ae_title, is_uid
from node.domain.records import CONFLICT, Arrival, ArrivalOutcome, Instance, QuarantineEntry, StagedFile
from node.errors import InstanceRejectedError, StorageFullError
from node.log import Log
from node.ports import Arrivals, Channel, Clock, StagingArea
from node.receive.admission import AdmissionControl
from node.receive.associations import AssociationRegister
from node.receive.discards import Discards
from node.receive.ledger import Ledger
from node.receive.pdata import StoreRequest
from node.receive.received_object import ReceivedObject
from node.receive.selection import RulesInForce, Selection
from node.receive.side_work import SideWork
from node.receive.traffic import AssociationTraffic
from node.tally import Tally

__all__ = ["Sender", "StorageScp"]

_MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sender:
    """From whom objects come, and over what.

    Attributes
    ----------
    channel : Channel
        The association, or another connection over which this node has asked for them.
    party : Party
        The sender, as the log and the audit trail name it.
    source : hashable
        Who sends, for sharing the node's time.
    charge : callable
        Charges an object of so many bytes; returns which quota is used up, or None.
    judge : callable
        Raises `InstanceRejectedError` for an object that is not taken over this channel.
    """

    channel: Channel
    party: Party
    source: Hashable
    charge: Callable[[int], str | None]
    judge: Callable[[InstanceIdentity], None] = lambda _: None


class StorageScp:
    """Stores objects, and answers each once it is durable, or known not to be.

    Parameters
    ----------
    settings : NodeSettings
        Supplies `max_instance_mb`.
    admission : AdmissionControl
        Charges each object to its source's quota.
    associations : AssociationRegister
        Records which series each association sends.
    rules : RulesInForce
        Decide what is taken.
    discards : Discards
        Counts what is not.
    traffic : AssociationTraffic
        Counts what each association brings.
    receipts : AssociationAudit
        Audits what was received.
    store, instance_store, ledger : Arrivals, StagingArea, Ledger
        Where rows and bytes go.
    side_work : SideWork
        Reads the headers that take longer, and quarantines what is refused.
    clock : Clock
        For quarantine entries.
    tally : Tally
        Counts the answers.
    log : Log
        Logs one line per object that was not stored.
    """

    def __init__(
        self,
        settings: NodeSettings,
        *,
        admission: AdmissionControl,
        associations: AssociationRegister,
        rules: RulesInForce,
        discards: Discards,
        traffic: AssociationTraffic,
        receipts: AssociationAudit,
        store: Arrivals,
        instance_store: StagingArea,
        ledger: Ledger,
        side_work: SideWork,
        clock: Clock,
        tally: Tally,
        log: Log,
    ) -> None:
        self.admission = admission
        self.associations = associations
        self.rules = rules
        self.discards = discards
        self._traffic = traffic
        self.receipts = receipts
        self.ledger = ledger
        self.side_work = side_work
        self._limit_bytes = settings.max_instance_mb * _MEGABYTE
        self._store = store
        self._instance_store = instance_store
        self._clock = clock
        self._tally = tally
        self._log = log

    def source_of(self, association: Association) -> Hashable:
        """Return a key for the source that has opened an association."""
        return self.admission.source_of(association)

    def selection_of(self, association: Association) -> Selection:
        """Return what of an association is taken, by the rules that are in force now."""
        return self.rules.of_source(clean_ae_title(association.requestor.ae_title))

    def begin(self, request: StoreRequest, transfer_syntax_uid: str, selection: Selection) -> ReceivedObject:
        """Return the object that the dataset of a request is written to."""
        return ReceivedObject(
            self._instance_store.stage, self._limit_bytes, request, transfer_syntax_uid, selection
        )

    def store(
        self,
        association: Association,
        source: Hashable,
        received: ReceivedObject,
        answer: Callable[[int], None],
    ) -> None:
        """Take a complete object of a source; `answer` gets the status, now or later, from any thread."""
        requestor = association.requestor
        party = Party(clean_ae_title(requestor.ae_title), requestor.address, is_requestor=True)

        def charge(size: int) -> str | None:
            return self.admission.charge(association, size)

        self.take(Sender(association, party, source, charge), received, answer)

    def take(self, sender: Sender, received: ReceivedObject, answer: Callable[[int], None]) -> None:
        """Take a complete object, whatever brought it; `answer` is as in `store`."""
        counts = self._traffic.receive(sender.channel, received.size)

        def count_and_answer(status: int) -> None:
            self._traffic.answer(counts, kept=status == SUCCESS, discarded_by=received.discarded_by)
            answer(status)

        _Storing(self, sender, received, count_and_answer).begin()

    def note_discarded(
        self, association: Channel, sender: Party, identity: InstanceIdentity, rule: str
    ) -> None:
        """Count an object that a rule discarded, wherever that is told."""
        self._tally.note_discard(rule)
        self.discards.note(identity, rule)
        self.associations.note_discarded(association, identity.study_uid)
        self.receipts.note(association, sender, identity, discarded_by=rule)

    def quarantine(self, received: ReceivedObject, error: InstanceRejectedError, sender: Party) -> NoReturn:
        """Put an object into quarantine, and raise the reason."""
        name = self._instance_store.quarantine(received.finish())
        requested = received.request.sop_instance_uid
        sop_uid = requested if is_uid(requested) else ""
        self._store.record_quarantine(
            QuarantineEntry(name, sop_uid, error.reason, sender.ae_title, sender.host, self._clock.now())
        )
        raise error

    def status_of(self, outcome: ArrivalOutcome | Exception, sender: Party) -> int:
        """Return the status that the sender of an object gets; count it, and log a failure."""
        status = self._judge(outcome, sender)
        self._tally.note_answer(status)
        return status

    def _judge(self, outcome: ArrivalOutcome | Exception, sender: Party) -> int:
        if outcome is ArrivalOutcome.CONFLICT:
            outcome = InstanceRejectedError(CONFLICTING_INSTANCE, CONFLICT)
        if isinstance(outcome, InstanceRejectedError):
            who = {"ae_title": sender.ae_title, "host": sender.host}
            self._log.warning("instance_rejected", reason=outcome.reason, **who)
            return outcome.status
        if isinstance(outcome, StorageFullError):
            self._log.error("storage_full", reason=str(outcome), ae_title=sender.ae_title)
            return OUT_OF_RESOURCES
        if isinstance(outcome, Exception):
            self._log.error("instance_not_stored", error=type(outcome).__name__, ae_title=sender.ae_title)
            return OUT_OF_RESOURCES
        return SUCCESS


class _Storing:
    """One C-STORE operation, from its complete dataset to its response.

    Parameters
    ----------
    scp : StorageScp
        Holds what all operations share.
    sender : Sender
        Where it comes from.
    received : ReceivedObject
        The dataset.
    answer : callable
        Gets the status, once.
    """

    def __init__(
        self,
        scp: StorageScp,
        sender: Sender,
        received: ReceivedObject,
        answer: Callable[[int], None],
    ) -> None:
        self._scp = scp
        self._sender = sender
        self._received = received
        self._answer = answer
        self._refusal: InstanceRejectedError | None = None
        self._identity: InstanceIdentity
        self._staged: StagedFile
        self._arrival: Arrival | None = None

    def begin(self) -> None:
        """Check the object and hand it to the ledger, or discard it; if that fails, answer at once."""
        received = self._received
        try:
            received.check()
            received.look_for_identity()
            if not received.discarded_by:
                self._charge()  # not for what is discarded: a router may send everything
        except Exception as error:  # noqa: BLE001 - whatever failed, success was not reported, so the sender may retry
            self._answer(self._scp.status_of(error, self._sender.party))
        else:
            if received.identity is None:
                self._scp.side_work.hand_in(self.read_on)
            else:
                self._hand_in()

    def read_on(self, pause: Callable[[], None]) -> None:
        """Read the identity from a header of any length, and hand the object in."""
        self._hand_in(pause)

    def _hand_in(self, pause: Callable[[], None] | None = None) -> None:
        try:
            try:
                self._identity = _identify(self._received, pause)
            except InstanceRejectedError as error:
                self._refusal = error
                self._scp.side_work.hand_in(self.refuse)
            else:
                self._check_asked()
                if self._received.discarded_by:
                    self._discard()
                    return
                self._finish()
                self._scp.ledger.hand_in(self.prepare, self.report_outcome, source=self._sender.source)
        except Exception as error:  # noqa: BLE001 - as in `begin`
            self._answer(self._scp.status_of(error, self._sender.party))

    def _discard(self) -> None:
        """Keep nothing of the object, and acknowledge it: a router stops at the first that is rejected."""
        self._received.close()
        sender, rule = self._sender, self._received.discarded_by
        self._scp.note_discarded(sender.channel, sender.party, self._identity, rule)
        self._answer(SUCCESS)

    def _charge(self) -> None:
        spent = self._sender.charge(self._received.size)
        if spent:
            self._received.close()
            raise InstanceRejectedError(OUT_OF_RESOURCES, spent)

    def _check_asked(self) -> None:
        """Discard what nobody asked for; in quarantine it could fill the disk."""
        try:
            self._sender.judge(self._identity)
        except InstanceRejectedError:
            self._received.close()
            raise

    def _finish(self) -> None:
        """Write the rest of the file, and record the object's series for its association."""
        self._staged = staged = self._received.finish()
        syntax = self._received.transfer_syntax_uid
        instance = Instance.of(self._identity, syntax, size=staged.size, sha256=staged.sha256)
        token = self._scp.associations.note(self._sender.channel, instance.study_uid, instance.series_uid)
        party = self._sender.party
        self._arrival = Arrival(instance, party.ae_title, party.host, token)

    def refuse(self, _pause: Callable[[], None]) -> None:
        """Put a refused object into quarantine."""
        assert self._refusal is not None  # noqa: S101 - for the type checker; see `_hand_in`
        try:
            self._scp.quarantine(self._received, self._refusal, self._sender.party)
        except Exception as error:  # noqa: BLE001 - why it is refused, or why it is in no quarantine
            self.report_outcome(error)

    def prepare(self) -> tuple[StagedFile, Arrival]:
        """Return what is to be made durable."""
        assert self._arrival is not None  # noqa: S101 - for the type checker; see `begin`
        return self._staged, self._arrival

    def report_outcome(self, outcome: ArrivalOutcome | Exception) -> None:
        """Record the outcome for the audit and the association, and answer."""
        try:
            if outcome is ArrivalOutcome.STORED or outcome is ArrivalOutcome.DUPLICATE:
                self._scp.receipts.note(self._sender.channel, self._sender.party, self._identity)
            if self._arrival is not None:
                self._scp.associations.concluded(self._sender.channel)
        finally:
            self._answer(self._scp.status_of(outcome, self._sender.party))


def _identify(received: ReceivedObject, pause: Callable[[], None] | None) -> InstanceIdentity:
    """Read the UIDs of an object, unless they are known, and compare them with its request.

    Raises
    ------
    InstanceRejectedError
        If they cannot be read, or differ from those of its request.
    """
    syntax, request, identity = received.transfer_syntax_uid, received.request, received.identity
    try:
        if identity is None:
            identity = read_identity(
                received.head(HEADER_BYTES), syntax, pause=pause, with_facts=received.needs_facts
            )
            received.note_identity(identity)
    except UnreadableHeaderError as error:
        raise InstanceRejectedError(CANNOT_UNDERSTAND, str(error)) from error
    named = (request.sop_class_uid, request.sop_instance_uid)
    if named != (identity.sop_class_uid, identity.sop_instance_uid):
        reason = "the request names another object than the dataset"
        raise InstanceRejectedError(DATASET_DOES_NOT_MATCH, reason)
    return identity
