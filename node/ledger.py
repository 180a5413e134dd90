"""The ledger at the door: many associations hand in instances, and share one sync and one transaction."""

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from node.domain.assembly import Patience
from node.domain.records import Arrival, Intake, QuarantineEntry, Staged
from node.ports import Clock, InstanceStore, Store

__all__ = ["CONFLICT", "Ledger"]

_GROUP = 64
_MOMENT_S = 0.002
CONFLICT = "an instance with this UID and other bytes is already stored"


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    staged: Staged
    arrival: Arrival
    outcome: "Future[Intake]" = field(default_factory=Future)


class Ledger:
    """Makes instances durable in groups, in one thread that does nothing else.

    An instance costs a sync of its file, of its folder and of the database. While one group is being synced
    the next gathers, so several associations share the waits, and none is told "stored" too early.

    Parameters
    ----------
    store, instance_store : Store, InstanceStore
        Where rows and bytes go.
    clock : Clock
        For the times of arrival.
    patience : Patience
        How long studies are waited for.
    """

    def __init__(self, store: Store, instance_store: InstanceStore, clock: Clock, patience: Patience) -> None:
        self._store = store
        self._instance_store = instance_store
        self._clock = clock
        self._patience = patience
        self._in_doubt: list[str] = []
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def start(self) -> None:
        """Begin to take entries."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what was handed in, then end."""
        self._queue.put(None)
        self._thread.join()

    def enter(self, staged: Staged, arrival: Arrival) -> Intake:
        """Make one instance durable; on return it is on disk and in the store, or known not to be.

        Whatever disk or database raise is raised here, and then nothing was promised.
        """
        entry = _Entry(staged, arrival)
        self._queue.put(entry)
        return entry.outcome.result()

    def _run(self) -> None:
        group: list[_Entry] = []
        while (first := self._queue.get()) is not None:
            group, last = self._gather(first, expected=len(group))
            self._settle(group)
            if last:
                return

    def _gather(self, first: _Entry, expected: int) -> tuple[list[_Entry], bool]:
        """Collect what is there, and wait a moment for as many as came the last time.

        Each association has one instance under way. Those that were answered together come back nearly
        together; one that is alone is not kept waiting for company.
        """
        group = [first]
        while len(group) < _GROUP:
            try:
                entry = (
                    self._queue.get(timeout=_MOMENT_S) if len(group) < expected else self._queue.get_nowait()
                )
            except queue.Empty:
                return group, False
            if entry is None:
                return group, True
            group.append(entry)
        return group, False

    def _settle(self, group: Sequence[_Entry]) -> None:
        try:
            outcomes = self._commit(group)
        except Exception as error:  # noqa: BLE001 - handed to the threads that wait for it, not swallowed
            for entry in group:
                self._instance_store.discard(entry.staged)
                entry.outcome.set_exception(error)
        else:
            for entry, outcome in zip(group, outcomes, strict=True):
                entry.outcome.set_result(outcome)

    def _commit(self, group: Sequence[_Entry]) -> list[Intake]:
        if self._in_doubt:
            self._store.withdraw_arrivals(self._in_doubt)
            self._in_doubt = []
        known = dict(self._store.known_digests([entry.arrival.instance.sop_uid for entry in group]))
        outcomes = []
        new = []
        for entry in group:
            instance = entry.arrival.instance
            if instance.sop_uid not in known:
                known[instance.sop_uid] = instance.sha256
                new.append(entry)
                outcomes.append(Intake.STORED)
            elif known[instance.sop_uid] == instance.sha256:
                self._instance_store.discard(entry.staged)
                outcomes.append(Intake.DUPLICATE)
            else:
                self._put_aside(entry)
                outcomes.append(Intake.CONFLICT)
        if new:
            self._make_durable(new)
        return outcomes

    def _make_durable(self, entries: Sequence[_Entry]) -> None:
        """Sync files, names and rows, all at once; on return everything survives a power cut.

        Should the power fail before, any of them may be there without the others: `reconcile` holds the files
        of the last group against their digests.
        """
        arrivals = [entry.arrival for entry in entries]

        def enter_rows() -> None:
            self._store.record_arrivals(arrivals, self._clock.now(), self._patience)

        sop_uids = [arrival.instance.sop_uid for arrival in arrivals]
        try:
            self._instance_store.commit(
                [(entry.staged, entry.arrival.instance) for entry in entries], enter_rows
            )
        except BaseException:
            # The rows may be there or not: a database can fail after it wrote. Before anything else is
            # entered they are taken back, so that no sender is told of a duplicate without a file.
            self._in_doubt = sop_uids
            raise

    def _put_aside(self, entry: _Entry) -> None:
        name = self._instance_store.quarantine(entry.staged)
        arrival = entry.arrival
        self._store.record_quarantine(
            QuarantineEntry(
                name, arrival.instance.sop_uid, CONFLICT, arrival.calling_ae, arrival.host, self._clock.now()
            )
        )
