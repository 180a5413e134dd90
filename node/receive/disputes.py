"""Instances whose SOP Instance UID is kept already with other bytes: the same again, corrected, or another.

To tell which, both are read and perhaps decoded. That takes time and may crash a decoder, so it happens in a
worker process and in a thread of its own: no other instance waits for it (docs/decisions/0018).
"""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from node.domain.records import (
    CONFLICT,
    IDENTITY_REPLACED,
    Arrival,
    ArrivalOutcome,
    QuarantineEntry,
    Sameness,
    StagedFile,
)
from node.errors import NodeError, TransientError
from node.log import Log, raised_at
from node.ports import Arrivals, Clock, InstanceStore

__all__ = ["Dispute", "Disputes"]

Report = Callable[[ArrivalOutcome | Exception], None]
Enter = Callable[[Callable[[], tuple[StagedFile, Arrival]], Report], None]


@dataclass(frozen=True, slots=True, eq=False)
class Dispute:
    """An instance that came with other bytes, and who is told what became of it.

    Attributes
    ----------
    staged : StagedFile
        Its file.
    arrival : Arrival
        The instance with its sender.
    report : callable
        Called with the outcome; see `node.receive.ledger.Ledger.hand_in`.
    """

    staged: StagedFile
    arrival: Arrival
    report: Report


class Disputes:
    """Decides about instances that came with other bytes, one after the other, in its own thread.

    Parameters
    ----------
    compare : callable
        Compares the kept file with the new one; usually a call of a worker process.
    store, instance_store : Arrivals, InstanceStore
        Where rows and bytes are.
    clock : Clock
        For quarantine entries.
    log : Log
        Logs one line for each corrected instance.
    """

    def __init__(
        self,
        compare: Callable[[Path, Path], Sameness],
        store: Arrivals,
        instance_store: InstanceStore,
        clock: Clock,
        log: Log,
    ) -> None:
        self._compare = compare
        self._store = store
        self._instance_store = instance_store
        self._clock = clock
        self._log = log
        self._stopped = False
        self._waiting: queue.SimpleQueue[tuple[Dispute, Enter] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="disputes", daemon=True)
        self._thread.start()

    def hand_in(self, dispute: Dispute, enter: Enter) -> None:
        """Decide about an instance, later.

        Parameters
        ----------
        dispute : Dispute
            The instance; its file belongs to this object from now on.
        enter : callable
            Makes it durable once it takes the place of the kept one; see `Ledger.hand_in`.
        """
        self._waiting.put((dispute, enter))

    def stop(self) -> None:
        """End the thread; who still waits is told that the node stops."""
        self._stopped = True
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            dispute, enter = waiting
            try:
                outcome: ArrivalOutcome | Exception | None = self._settle(dispute, enter)
            except Exception as error:  # noqa: BLE001 - it is the outcome, and is handed on
                with suppress(OSError):
                    self._instance_store.discard(dispute.staged)
                outcome = error
            if outcome is not None:
                self._tell(dispute, outcome)

    def _tell(self, dispute: Dispute, outcome: ArrivalOutcome | Exception) -> None:
        try:
            dispute.report(outcome)
        except Exception as error:  # noqa: BLE001 - if this thread ended, nobody would be told any more
            self._log.error("settling_failed", error=type(error).__name__, where=raised_at(error))

    def _settle(self, dispute: Dispute, enter: Enter) -> ArrivalOutcome | None:
        """Return the outcome; None if it is told once the instance is durable."""
        if self._stopped:
            raise TransientError("the node is stopping")
        match self._judge(dispute):
            case Sameness.SAME:
                self._instance_store.discard(dispute.staged)
                return ArrivalOutcome.DUPLICATE
            case Sameness.OTHER_PATIENT:
                self._make_room(dispute.arrival)
                enter(lambda: (dispute.staged, dispute.arrival), dispute.report)
                return None
            case _:
                name = self._instance_store.quarantine(dispute.staged)
                self._note(name, dispute.arrival, CONFLICT)
                return ArrivalOutcome.CONFLICT

    def _judge(self, dispute: Dispute) -> Sameness:
        kept = self._instance_store.path(dispute.arrival.instance)
        # It is kept under another study or series, or left over there from an earlier process.
        if kept == dispute.staged.path or not kept.is_file():
            return Sameness.OTHER
        try:
            return self._compare(kept, dispute.staged.path)
        except NodeError:
            return Sameness.OTHER  # the process that compared them was lost

    def _make_room(self, arrival: Arrival) -> None:
        """Put the kept instance into quarantine.

        The sender is told of success only when the new one is durable. If the node ends before, the sender
        tries again and finds no instance under this UID.
        """
        instance = arrival.instance
        name = self._instance_store.quarantine_stored(instance)
        self._store.delete_arrivals([instance.sop_uid])
        self._note(name, arrival, IDENTITY_REPLACED)
        self._log.warning(
            "identity_corrected",
            study=instance.study_uid,
            instance=instance.sop_uid,
            ae_title=arrival.calling_ae,
        )

    def _note(self, name: str, arrival: Arrival, reason: str) -> None:
        self._store.record_quarantine(QuarantineEntry.of(name, arrival, reason, self._clock.now()))
