"""The ledger at the door: many associations hand in instances, and share one sync and one transaction."""

import threading
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from node.domain.assembly import Patience
from node.domain.records import Arrival, Intake, QuarantineEntry, Staged
from node.errors import TransientError
from node.ports import Clock, InstanceStore, Store

__all__ = ["CONFLICT", "Ledger"]

_GROUP = 64
CONFLICT = "an instance with this UID and other bytes is already stored"


@dataclass(slots=True, eq=False)
class _Entry:
    staged: Staged
    arrival: Arrival
    outcome: Intake | Exception | None = None


class Ledger:
    """Makes instances durable in groups.

    An instance costs a sync of its file, of its folder and of the database. Whoever finds the ledger free
    makes its own instance durable, and with it all that others have handed in; who comes meanwhile waits, and
    the next group gathers. So several associations share the waits, one alone hands nothing from thread to
    thread, and none is told "stored" too early.

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
        self._waiting: deque[_Entry] = deque()
        self._turn = threading.Lock()
        self._stopped = False

    def stop(self) -> None:
        """Finish what is being made durable, and take nothing more."""
        with self._turn:
            self._stopped = True

    def enter(self, staged: Staged, arrival: Arrival) -> Intake:
        """Make one instance durable; on return it is on disk and in the store, or known not to be.

        Whatever disk or database raise is raised here, and then nothing was promised.
        """
        entry = _Entry(staged, arrival)
        self._waiting.append(entry)
        with self._turn:
            # Unless whoever had the turn before has settled this one with its own.
            while entry.outcome is None:
                self._settle(self._gather())
        if isinstance(entry.outcome, Exception):
            raise entry.outcome
        return entry.outcome

    def _gather(self) -> list[_Entry]:
        """Take those that have waited longest."""
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), _GROUP))]

    def _settle(self, group: Sequence[_Entry]) -> None:
        try:
            if self._stopped:
                raise TransientError("the node is stopping")  # noqa: TRY301 - handled as any other fault
            outcomes = self._commit(group)
        except Exception as error:  # noqa: BLE001 - handed to the threads that wait for it, not swallowed
            for entry in group:
                self._instance_store.discard(entry.staged)
                entry.outcome = error
        else:
            for entry, outcome in zip(group, outcomes, strict=True):
                entry.outcome = outcome

    def _commit(self, group: Sequence[_Entry]) -> tuple[Intake, ...]:
        if self._in_doubt:
            self._store.withdraw_arrivals(self._in_doubt)
            self._in_doubt = []
        outcomes = self._make_durable(group)
        for entry, outcome in zip(group, outcomes, strict=True):
            if outcome is Intake.DUPLICATE:
                self._instance_store.discard(entry.staged)
            elif outcome is Intake.CONFLICT:
                self._put_aside(entry)
        return outcomes

    def _make_durable(self, group: Sequence[_Entry]) -> tuple[Intake, ...]:
        """Sync files, names and rows, all at once; on return everything survives a power cut.

        Should the power fail before, any of them may be there without the others: `reconcile` holds the files
        of the last group against their digests.
        """
        sop_uids: list[str] = []
        with ExitStack() as syncs:

            def place(outcomes: Sequence[Intake]) -> None:
                new = [
                    (entry.staged, entry.arrival.instance)
                    for entry, outcome in zip(group, outcomes, strict=True)
                    if outcome is Intake.STORED
                ]
                sop_uids.extend(instance.sop_uid for _, instance in new)
                # Its end waits for the syncs, after the rows are committed: the two go on side by side.
                syncs.enter_context(self._instance_store.committing(new))

            arrivals = [entry.arrival for entry in group]
            try:
                outcomes = self._store.record_arrivals(arrivals, self._clock.now(), self._patience, place)
                syncs.close()
            except BaseException:
                # The rows may be there or not: a database can fail after it wrote. Before anything else is
                # entered they are taken back, so that no sender is told of a duplicate without a file.
                self._in_doubt = sop_uids
                raise
        return outcomes

    def _put_aside(self, entry: _Entry) -> None:
        name = self._instance_store.quarantine(entry.staged)
        arrival = entry.arrival
        self._store.record_quarantine(
            QuarantineEntry(
                name, arrival.instance.sop_uid, CONFLICT, arrival.calling_ae, arrival.host, self._clock.now()
            )
        )
