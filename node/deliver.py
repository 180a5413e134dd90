"""The sweep that sends results: one courier for each destination, so that a slow one holds up no other."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from threading import Event

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association

from node.config import DeliverySettings, Destination
from node.dimse import send_at_once
from node.domain.delivery import Breaker, DeliveryState, Verdict, back_off, judge_status
from node.domain.records import Delivery, DeliveryBatch
from node.errors import LeaseLostError, PermanentError, TransientError
from node.observe import Log
from node.ports import Clock, Outbox
from node.tls import client_arguments

__all__ = ["Courier"]

_LEASE = timedelta(minutes=10)


class Courier:
    """Empties the outbox of one destination.

    Parameters
    ----------
    destination : Destination
        Where to.
    ae_title : str
        Our own.
    outbox, clock : Outbox, Clock
        See `node.ports`.
    results : Path
        Folder that the names of results are relative to.
    settings : DeliverySettings
        Retries and time-outs.
    owner : str
        Names this node in its leases.
    stopping : Event
        Once set, nothing new is begun.
    log : Log
        Gets one line for each study sent and each failure.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        ae_title: str,
        outbox: Outbox,
        clock: Clock,
        results: Path,
        settings: DeliverySettings,
        owner: str,
        stopping: Event,
        log: Log,
    ) -> None:
        self._destination = destination
        self._ae_title = ae_title
        self._outbox = outbox
        self._clock = clock
        self._results = results
        self._settings = settings
        self._owner = owner
        self._stopping = stopping
        self._log = log
        self._tls = client_arguments(destination)
        self._breaker = Breaker()
        self._random = Random()  # noqa: S311 - spreads retries, hides nothing

    @property
    def name(self) -> str:
        """Of the destination."""
        return self._destination.name

    def sweep(self) -> int:
        """Send all that is due, study by study; return how many studies were tried."""
        count = 0
        while not self._stopping.is_set() and self._breaker.allows(now := self._clock.now()):
            batch = self._outbox.lease_deliveries(self._destination.name, self._owner, now, now + _LEASE)
            if batch is None:
                break
            self._deliver(batch)
            count += 1
        return count

    def _deliver(self, batch: DeliveryBatch) -> None:
        try:
            with self._association(batch.deliveries) as association:
                for delivery in batch.deliveries:
                    self._send(association, batch, delivery)
        except TransientError as error:
            self._postpone(batch, str(error))
        except LeaseLostError:
            self._log.info("delivery_superseded", study=batch.study_uid, destination=batch.destination)
        else:
            self._breaker = Breaker()
        state = self._outbox.finish_deliveries(batch.study_uid, self._clock.now())
        if state is not None:
            self._log.info(
                "study_sent", study=batch.study_uid, destination=batch.destination, state=state.value
            )

    def _postpone(self, batch: DeliveryBatch, reason: str) -> None:
        """Put back what was not sent, and leave the destination alone for a while."""
        now = self._clock.now()
        self._breaker = self._breaker.after_failure(now, *self._pauses(), self._random.random())
        again = self._breaker.open_until or now
        self._outbox.return_deliveries(batch, reason, again)
        self._log.warning(
            "destination_unreachable",
            destination=batch.destination,
            reason=reason,
            retry_in_s=round((again - now).total_seconds(), 1),
        )

    def _pauses(self) -> tuple[timedelta, timedelta]:
        settings = self._settings
        return timedelta(seconds=settings.retry_first_s), timedelta(seconds=settings.retry_longest_s)

    @contextmanager
    def _association(self, deliveries: Sequence[Delivery]) -> Iterator[Association]:
        """Open an association for the kinds of object at hand.

        Raises
        ------
        TransientError
            If the destination cannot be reached or turns the association away.
        """
        ae = AE(self._ae_title)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = self._settings.timeout_s
        ae.connection_timeout = self._settings.timeout_s
        classes = dict.fromkeys(delivery.result.sop_class_uid for delivery in deliveries)
        association = ae.associate(
            self._destination.host,
            self._destination.port,
            [build_context(uid, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]) for uid in classes],
            self._destination.ae_title,
            evt_handlers=[(evt.EVT_CONN_OPEN, _send_at_once)],
            tls_args=self._tls,
        )
        try:
            if not association.is_established and not _nothing_accepted(association):
                raise TransientError(_why_not(association))
            yield association
        finally:
            if association.is_established:
                association.release()

    def _send(self, association: Association, batch: DeliveryBatch, delivery: Delivery) -> None:
        """Send one object and record the answer."""
        accepted = {context.abstract_syntax for context in association.accepted_contexts}
        if delivery.result.sop_class_uid not in accepted:
            self._record(batch, delivery, DeliveryState.NOT_ACCEPTED, None, "it takes none of this kind")
            return
        try:
            dataset = _read(self._results / delivery.result.name)
        except PermanentError as error:
            self._record(batch, delivery, DeliveryState.FAILED, None, str(error))
            return
        status = self._store(association, dataset)
        self._record_status(batch, delivery, status)

    def _store(self, association: Association, dataset: Dataset) -> int:
        if not association.is_established:
            raise TransientError("the destination ended the association")
        try:
            response = association.send_c_store(dataset)
        except RuntimeError as error:  # pynetdicom: the association ended between the check and the call
            raise TransientError("the destination ended the association") from error
        if "Status" not in response:
            raise TransientError("the destination gave no answer to a C-STORE")
        return int(response.Status)

    def _record_status(self, batch: DeliveryBatch, delivery: Delivery, status: int) -> None:
        verdict = judge_status(status)
        said = f"it answered 0x{status:04X}"
        attempts = delivery.attempts + 1
        if verdict is Verdict.ACCEPTED:
            self._record(batch, delivery, DeliveryState.SENT, status, "" if status == 0 else said)
        elif verdict is Verdict.NOT_ACCEPTED:
            self._record(batch, delivery, DeliveryState.NOT_ACCEPTED, status, said)
        elif verdict is Verdict.RETRY or (
            verdict is Verdict.RETRY_A_FEW_TIMES and attempts < self._settings.attempts
        ):
            pause = back_off(attempts, *self._pauses(), self._random.random())
            self._record(
                batch, delivery, DeliveryState.WAITING, status, said, not_before=self._clock.now() + pause
            )
        else:
            self._record(batch, delivery, DeliveryState.FAILED, status, said)

    def _record(
        self,
        batch: DeliveryBatch,
        delivery: Delivery,
        state: DeliveryState,
        status: int | None,
        reason: str,
        *,
        not_before: datetime | None = None,
    ) -> None:
        self._outbox.record_delivery(
            batch,
            delivery,
            state,
            status=status,
            reason=reason,
            now=self._clock.now(),
            not_before=not_before,
        )
        if state is not DeliveryState.SENT:
            self._log.warning(
                "result_not_sent",
                study=batch.study_uid,
                destination=batch.destination,
                kind=delivery.result.kind.value,
                state=state.value,
                reason=reason,
            )


def _send_at_once(event: evt.Event) -> None:
    send_at_once(event.assoc.dul.socket.socket)


def _nothing_accepted(association: Association) -> bool:
    """Tell whether the destination answered, but took none of the contexts; pynetdicom aborts then."""
    return bool(association.rejected_contexts) and not association.accepted_contexts


def _why_not(association: Association) -> str:
    if association.is_rejected:
        return "it rejected the association; does it know our AE title, and is its own right?"
    if association.is_aborted and association.acceptor.primitive is not None:
        return "it aborted the association"
    return "it cannot be reached"


def _read(path: Path) -> Dataset:
    try:
        return dcmread(path)
    except FileNotFoundError:
        raise PermanentError("the file of this result is gone") from None
    except (InvalidDicomError, EOFError, ValueError) as error:
        raise PermanentError(f"the file of this result is damaged ({type(error).__name__})") from error
