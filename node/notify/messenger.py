"""The sweep that sends the notices of one contact, and retries; one that is down delays no other."""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event as Flag

from node.config import Contact, DeliverySettings
from node.domain.backoff import Backoff, Breaker
from node.domain.delivery import DeliveryResponse, DeliveryState, state_after
from node.domain.notice import NoticeBatch, NoticeState
from node.errors import BusyError, TransientError
from node.log import Log
from node.notify.channels import Channel
from node.notify.event import Event
from node.ports import Clock, NoticeBox

__all__ = ["Messenger"]

_LEASE = timedelta(minutes=5)
"""Longer than any attempt takes. After a kill, an attempt whose end is unknown is repeated after it."""
_SINGLY = 5
_HOURLY = 20
_MOST = 200
"""A flood of studies becomes few events: see `NoticeBox.lease_batch`."""


class Messenger:
    """Sends the notices of one contact.

    While the contact cannot be reached, its breaker is open and nothing is sent.

    Parameters
    ----------
    contact : Contact
        The contact.
    channel : Channel
        Takes events to it.
    make_event : callable
        Returns the event that tells a batch.
    box, clock : NoticeBox, Clock
        See `node.ports`.
    settings : DeliverySettings
        How often and when an attempt is repeated.
    stopping : threading.Event
        Set when the node stops; nothing is begun after that.
    log : Log
        Logs one line per event that was sent, and per failure.
    """

    def __init__(
        self,
        contact: Contact,
        channel: Channel,
        make_event: Callable[[NoticeBatch], Event],
        *,
        box: NoticeBox,
        clock: Clock,
        settings: DeliverySettings,
        stopping: Flag,
        log: Log,
    ) -> None:
        self._contact = contact
        self._channel = channel
        self._make_event = make_event
        self._box = box
        self._clock = clock
        self._settings = settings
        self._stopping = stopping
        self._log = log
        self._retired = Flag()
        self._breaker = Breaker()
        self._backoff = Backoff.of_seconds(settings.retry_first_s, settings.retry_longest_s)

    @property
    def name(self) -> str:
        """Name of the contact."""
        return self._contact.name

    @property
    def breaker(self) -> Breaker:
        """Closed if the contact was reached the last time, open for a while if it was not."""
        return self._breaker

    def retire(self) -> None:
        """Begin nothing more, because the contact is no longer configured so."""
        self._retired.set()

    def sweep(self) -> int:
        """Send all that is due; return how many events were tried."""
        count = 0
        while not (self._stopping.is_set() or self._retired.is_set()):
            now = self._clock.now()
            if not self._breaker.allows(now):
                break
            batch = self._box.lease_batch(
                self.name, now, now + _LEASE, singly=_SINGLY, hourly=_HOURLY, most=_MOST
            )
            if batch is None:
                break
            self._try(batch)
            count += 1
        return count

    def _try(self, batch: NoticeBatch) -> None:
        try:
            answer = self._channel.send(self._make_event(batch))
        except TransientError as error:
            self._postpone(batch, error)
        else:
            self._breaker = Breaker()
            self._record(batch, answer)

    def _postpone(self, batch: NoticeBatch, error: TransientError) -> None:
        now, reason = self._clock.now(), str(error)
        wait_s = error.wait_s if isinstance(error, BusyError) else 0.0
        self._breaker = self._breaker.after_failure(now, self._backoff, reason, wait_s)
        again = self._breaker.open_until or now
        self._box.end_batch(batch, NoticeState.WAITING, now, reason=reason, not_before=again)
        self._log.warning(
            "contact_unreachable",
            contact=self.name,
            reason=reason,
            retry_in_s=round((again - now).total_seconds(), 1),
        )

    def _record(self, batch: NoticeBatch, answer: DeliveryResponse) -> None:
        attempts = batch.attempts + 1
        after = state_after(
            answer.disposition, attempts, self._settings.attempts, accepted=DeliveryState.SENT
        )
        state = {DeliveryState.SENT: NoticeState.SENT, DeliveryState.WAITING: NoticeState.WAITING}.get(
            after, NoticeState.FAILED
        )
        now = self._clock.now()
        again: datetime | None = None
        if state is NoticeState.WAITING:
            again = now + self._backoff.pause(attempts)
        self._box.end_batch(batch, state, now, reason=answer.reason, not_before=again)
        log = self._log.bind(contact=self.name, kind=batch.kind.value, notices=len(batch.notices))
        if state is NoticeState.SENT and not answer.reason:
            log.info("notice_sent")
        else:
            log.warning("notice_not_taken", state=state.value, reason=answer.reason)
