"""The sweep that sends results; one courier per destination, so that one that is down delays no other."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from threading import Event
from typing import Protocol

from pydicom.uid import generate_uid

from node.config import DeliverySettings, Destination
from node.deliver.carriers import Carrier
from node.domain.backoff import Backoff, Breaker
from node.domain.delivery import DeliveryResponse, DeliveryState, Disposition, state_after
from node.domain.records import Delivery, DeliveryBatch, Result
from node.errors import BusyError, LeaseLostError, PermanentError, TransientError
from node.log import Log
from node.ports import Clock, Outbox

__all__ = ["Commit", "Courier"]

_LEASE = timedelta(minutes=10)
_REPORT_WITHIN = timedelta(minutes=1)
"""Shortest time before commitment is requested again; a slow archive would report on a replaced request."""
_NOT_FOUND = "it said that it took this object, but does not find it"


class Commit(Protocol):
    """Requests storage commitment of a destination."""

    def __call__(self, transaction_uid: str, results: Sequence[Result]) -> None:
        """Send the request; the report may be sent later, over another association.

        Raises
        ------
        TransientError
            If the request cannot be sent.
        """
        ...


class Courier:
    """Sends the results in the outbox of one destination, and confirms that the destination has them.

    While the destination cannot be reached, its breaker is open and nothing is sent, but for what an operator
    asked for since: that is tried once.

    Parameters
    ----------
    destination : Destination
        The destination to send to.
    carrier : Carrier
        Sends results to the destination.
    commit : Commit
        Requests storage commitment of the destination.
    outbox, clock : Outbox, Clock
        See `node.ports`.
    settings : DeliverySettings
        How often and when a delivery is tried again.
    owner : str
        Identifies this node in its leases.
    stopping : Event
        Set when the node stops; nothing is begun after that.
    log : Log
        Logs one line per attempt to send results of a study, per study sent and per failure.
    """

    def __init__(
        self,
        destination: Destination,
        carrier: Carrier,
        commit: Commit,
        *,
        outbox: Outbox,
        clock: Clock,
        settings: DeliverySettings,
        owner: str,
        stopping: Event,
        log: Log,
    ) -> None:
        self._destination = destination
        self._carrier = carrier
        self._commit = commit
        self._outbox = outbox
        self._clock = clock
        self._settings = settings
        self._owner = owner
        self._stopping = stopping
        self._log = log
        self._retired = Event()
        self._breaker = Breaker()
        self._was_reached = False
        self._backoff = Backoff.of_seconds(settings.retry_first_s, settings.retry_longest_s)

    @property
    def name(self) -> str:
        """Name of the destination."""
        return self._destination.name

    @property
    def breaker(self) -> Breaker:
        """Closed if the destination was reached the last time, open for a while if it was not."""
        return self._breaker

    @property
    def reached(self) -> bool | None:
        """Whether the last attempt reached the destination; None if there was none since the start."""
        if self._breaker.failures:
            return False
        return self._was_reached or None

    def retire(self) -> None:
        """Begin nothing more, because the destination is no longer configured so; what is begun is ended."""
        self._retired.set()

    def sweep(self) -> int:
        """Send and confirm all results that are due, study by study; return how many studies were tried."""
        sent = self._process_due(DeliveryState.WAITING, self._send_all)
        return sent + self._process_due(DeliveryState.UNCONFIRMED, self._confirm_all)

    @property
    def _must_end(self) -> bool:
        return self._stopping.is_set() or self._retired.is_set()

    def _process_due(self, state: DeliveryState, work: Callable[[DeliveryBatch], None]) -> int:
        count = 0
        while not self._must_end:
            now = self._clock.now()
            batch = self._outbox.lease_deliveries(
                self._destination.name, self._owner, now, now + _LEASE,
                state=state, only_ordered=not self._breaker.allows(now),
            )  # fmt: skip
            if batch is None:
                break
            self._try(batch, work)
            count += 1
        return count

    def _try(self, batch: DeliveryBatch, work: Callable[[DeliveryBatch], None]) -> None:
        try:
            work(batch)
        except TransientError as error:
            self._postpone(batch, error)
        except LeaseLostError:
            self._log.info("delivery_superseded", study=batch.study_uid, destination=batch.destination)
        else:
            self._breaker, self._was_reached = Breaker(), True
        state = self._outbox.finish_deliveries(batch.study_uid, self._clock.now())
        if state is not None:
            self._log.info(
                "study_sent", study=batch.study_uid, destination=batch.destination, state=state.value
            )

    def _postpone(self, batch: DeliveryBatch, error: TransientError) -> None:
        """Return the unfinished deliveries to the outbox, and open the breaker."""
        now, reason = self._clock.now(), str(error)
        wait_s = error.wait_s if isinstance(error, BusyError) else 0.0
        self._breaker = self._breaker.after_failure(now, self._backoff, reason, wait_s)
        again = self._breaker.open_until or now
        self._outbox.return_deliveries(batch, reason, again)
        self._log.warning(
            "destination_unreachable",
            destination=batch.destination,
            reason=reason,
            retry_in_s=round((again - now).total_seconds(), 1),
        )

    def _next_try(self, attempts: int) -> datetime:
        return self._clock.now() + self._backoff.pause(attempts)

    def _send_all(self, batch: DeliveryBatch) -> None:
        began_at = self._clock.now()
        states: Counter[DeliveryState] = Counter()
        with self._carrier.open([delivery.result for delivery in batch.deliveries]) as send:
            for delivery in batch.deliveries:
                try:
                    answer = send(delivery.result)
                except PermanentError as error:
                    answer = DeliveryResponse(Disposition.GIVE_UP, None, str(error))
                states[self._record_answer(batch, delivery, answer)] += 1
        kept = states[DeliveryState.SENT] + states[DeliveryState.UNCONFIRMED]
        self._log.info(
            "results_sent",
            study=batch.study_uid,
            destination=batch.destination,
            kept=kept,
            refused=states.total() - kept,
            seconds=round((self._clock.now() - began_at).total_seconds(), 1),
        )

    def _record_answer(
        self, batch: DeliveryBatch, delivery: Delivery, answer: DeliveryResponse
    ) -> DeliveryState:
        attempts = delivery.attempts + 1
        accepted = DeliveryState.UNCONFIRMED if self._destination.confirms else DeliveryState.SENT
        state = state_after(answer.disposition, attempts, self._settings.attempts, accepted=accepted)
        self._record(
            batch,
            delivery,
            state,
            answer.reason,
            status=answer.status,
            not_before=self._next_try(attempts) if state is DeliveryState.WAITING else None,
        )
        return state

    def _confirm_all(self, batch: DeliveryBatch) -> None:
        """Query the destination for what it accepted, and request storage commitment, as configured."""
        present = self._verified(batch) if self._destination.verify else batch.deliveries
        if not self._destination.storage_commitment:
            for delivery in present:
                # "Not found" was only a delay in filing; a warning of the C-STORE response is kept.
                reason = "" if delivery.reason == _NOT_FOUND else delivery.reason
                self._record(batch, delivery, DeliveryState.SENT, reason)
        elif present:
            self._request_commitment(batch, present)

    def _verified(self, batch: DeliveryBatch) -> Sequence[Delivery]:
        """Return the deliveries that the destination has; the others are queried again or fail."""
        found = self._carrier.find([delivery.result for delivery in batch.deliveries])
        for delivery in batch.deliveries:
            if delivery.result.sop_uid in found:
                continue
            attempts = delivery.attempts + 1
            state = DeliveryState.UNCONFIRMED if attempts < self._settings.attempts else DeliveryState.FAILED
            self._record(batch, delivery, state, _NOT_FOUND, not_before=self._next_try(attempts))
        return [delivery for delivery in batch.deliveries if delivery.result.sop_uid in found]

    def _request_commitment(self, batch: DeliveryBatch, deliveries: Sequence[Delivery]) -> None:
        # Recorded before the request is sent, as the report may arrive before the response to the request.
        transaction_uid = str(generate_uid(prefix=None))
        self._outbox.begin_commitment(batch, deliveries, transaction_uid)
        self._commit(transaction_uid, [delivery.result for delivery in deliveries])
        attempts = max(delivery.attempts for delivery in deliveries) + 1
        again = max(self._next_try(attempts), self._clock.now() + _REPORT_WITHIN)
        for delivery in deliveries:
            self._record(
                batch, delivery, DeliveryState.UNCONFIRMED, "it was asked for storage commitment",
                not_before=again,
            )  # fmt: skip

    def _record(
        self,
        batch: DeliveryBatch,
        delivery: Delivery,
        state: DeliveryState,
        reason: str,
        *,
        status: int | None = None,
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
        if state not in {DeliveryState.SENT, DeliveryState.UNCONFIRMED}:
            self._log.warning(
                "result_not_sent",
                study=batch.study_uid,
                destination=batch.destination,
                kind=delivery.result.kind.value,
                state=state.value,
                reason=reason,
            )
