"""Record what an archive reports about storage commitment, over the same association or its own."""

from datetime import timedelta

from node.config import DeliverySettings
from node.domain.backoff import Backoff
from node.domain.delivery import (
    CommitmentReport,
    DeliveryState,
    judge_commitment,
    state_after,
)
from node.errors import LeaseLostError
from node.log import Log
from node.ports import Clock, Outbox

__all__ = ["CommitmentReports"]

_LEASE = timedelta(minutes=1)


class CommitmentReports:
    """Takes storage commitment reports and records them in the outbox.

    A report is trusted by its Transaction UID, which only the archive that was asked can know.

    Parameters
    ----------
    outbox, clock : Outbox, Clock
        See `node.ports`.
    settings : DeliverySettings
        How often and when results that are not committed are sent again.
    owner : str
        Identifies this node in its leases.
    log : Log
        Logs one line per report.
    """

    def __init__(
        self, outbox: Outbox, clock: Clock, settings: DeliverySettings, owner: str, log: Log
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._settings = settings
        self._owner = owner
        self._log = log
        self._backoff = Backoff.of_seconds(settings.retry_first_s, settings.retry_longest_s)

    def take(self, report: CommitmentReport) -> None:
        """Record which results the archive is committed to, and schedule the others to be sent again."""
        now = self._clock.now()
        batch = self._outbox.lease_commitment(report.transaction_uid, self._owner, now + _LEASE)
        if batch is None:
            self._log.warning("commitment_nobody_asked_for")
            return
        for delivery in batch.deliveries:
            answer = judge_commitment(delivery.result.sop_uid, report)
            attempts = delivery.attempts + 1
            state = state_after(
                answer.disposition, attempts, self._settings.attempts, accepted=DeliveryState.SENT
            )
            try:
                self._outbox.record_delivery(
                    batch,
                    delivery,
                    state,
                    status=answer.status,
                    reason=answer.reason,
                    now=now,
                    not_before=now + self._backoff.pause(attempts),
                )
            except LeaseLostError:  # superseded by a newer result meanwhile
                continue
        state_of_study = self._outbox.finish_deliveries(batch.study_uid, self._clock.now())
        self._log.info(
            "commitment_reported",
            study=batch.study_uid,
            destination=batch.destination,
            count=len(report.committed),
            state=state_of_study.value if state_of_study else "",
        )
