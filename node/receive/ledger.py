"""Instances of many associations become durable in groups, which share one sync and one transaction."""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from node.domain.completeness import Patience
from node.domain.records import CONFLICT, Arrival, ArrivalOutcome, QuarantineEntry, StagedFile
from node.errors import TransientError
from node.log import Log, raised_at
from node.ports import Arrivals, Clock, StagingArea
from node.receive.disputes import Dispute, Disputes

__all__ = ["Ledger"]

_GROUP = 64
_SHARE = 2
"""Places of each source in a group while more than one source sends: who sends one instance after the other
waits for no more than these of every other source."""
_COMPETING_S = 1.0
"""How long a source counts as sending after its latest instance."""


@dataclass(slots=True, eq=False)
class _Entry:
    prepare: Callable[[], tuple[StagedFile, Arrival]]
    report: Callable[[ArrivalOutcome | Exception], None]
    source: Hashable
    staged: StagedFile = field(init=False)
    arrival: Arrival = field(init=False)
    """Both are set when the entry has been prepared."""
    outcome: ArrivalOutcome | Exception | None = None


def _fair_group(backlog: Sequence[_Entry], share: int) -> list[_Entry]:
    """Return the entries that have waited longest, at most `share` of each source."""
    counts: Counter[Hashable] = Counter()
    group: list[_Entry] = []
    for entry in backlog:
        counts[entry.source] += 1
        if counts[entry.source] <= share and len(group) < _GROUP:
            group.append(entry)
    return group


class Ledger:
    """Makes instances durable in groups, in its own thread.

    An instance needs a sync of its file, of its folder and of the database. While one group is made durable,
    the next one is collected. So several associations share each sync, reading continues meanwhile, and no
    sender is told "stored" too early.

    Parameters
    ----------
    store, instance_store : Arrivals, StagingArea
        Where rows and bytes go.
    clock : Clock
        For the times of arrival.
    patience : Patience
        Determines the deadlines of studies.
    log : Log
        Logs one line when an outcome cannot be reported.
    disputes : Disputes, optional
        Decides about instances that are kept with other bytes already; without it, all of them are conflicts.
    """

    def __init__(
        self,
        store: Arrivals,
        instance_store: StagingArea,
        clock: Clock,
        patience: Patience,
        log: Log,
        *,
        disputes: Disputes | None = None,
    ) -> None:
        self._log = log
        self._disputes = disputes
        self._store = store
        self._instance_store = instance_store
        self._clock = clock
        self._patience = patience
        self._tick = time.monotonic
        self._in_doubt: list[str] = []
        self._backlog: list[_Entry] = []
        self._seen: dict[Hashable, float] = {}
        self._waiting: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the group that is being made durable, and accept nothing more."""
        with self._lock:
            self._stopped = True
            self._waiting.put(None)
        self._thread.join()
        if self._disputes is not None:
            self._disputes.stop()

    @property
    def is_running(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def hand_in(
        self,
        prepare: Callable[[], tuple[StagedFile, Arrival]],
        report: Callable[[ArrivalOutcome | Exception], None],
        *,
        source: Hashable = None,
    ) -> None:
        """Have an instance made durable; both callables run in the ledger's thread.

        Parameters
        ----------
        prepare : callable
            Returns its file, which belongs to the ledger from then on, and its arrival. An error that it
            raises is its outcome, and affects no other instance.
        report : callable
            Called with the outcome once the instance is on disk and in the store, or known not to be; or
            with the error of the disk or database, after which the instance counts as not stored.
        source : hashable, optional
            Who sent it; while several sources send, each has the same number of places in a group.
        """
        entry = _Entry(prepare, report, source)
        with self._lock:
            if not self._stopped:
                self._waiting.put(entry)
                return
        self._prepare(entry)
        self._tell(entry)

    def enter(self, staged: StagedFile, arrival: Arrival) -> ArrivalOutcome:
        """Make an instance durable, and wait for it.

        Errors of the disk and database are raised here; the instance then counts as not stored.
        """
        future: Future[ArrivalOutcome | Exception] = Future()
        self.hand_in(lambda: (staged, arrival), future.set_result)
        outcome = future.result()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _run(self) -> None:
        while (group := self._gather()) is not None:
            self._conclude([entry for entry in group if self._prepare(entry)])
            while group:
                entry = group.pop(0)
                if self._disputes is not None and entry.outcome is ArrivalOutcome.CONFLICT:
                    self._disputes.hand_in(Dispute(entry.staged, entry.arrival, entry.report), self.hand_in)
                else:
                    self._tell(entry)

    def _prepare(self, entry: _Entry) -> bool:
        try:
            entry.staged, entry.arrival = entry.prepare()
            if self._stopped:
                self._instance_store.discard(entry.staged)
                raise TransientError("the node is stopping")  # noqa: TRY301 - handled as any other fault
        except Exception as error:  # noqa: BLE001 - it is the outcome, and is handed on
            entry.outcome = error
            return False
        return True

    def _tell(self, entry: _Entry) -> None:
        assert entry.outcome is not None  # noqa: S101 - for the type checker; see `_run`
        try:
            entry.report(entry.outcome)
        except Exception as error:  # noqa: BLE001 - if this thread ended, nothing would be stored any more
            self._log.error("settling_failed", error=type(error).__name__, where=raised_at(error))

    def _gather(self) -> list[_Entry] | None:
        """Return the entries that have waited longest, at least one; None when the ledger stops."""
        backlog = self._backlog
        with suppress(queue.Empty):
            while True:
                entry = self._waiting.get(block=not backlog)
                if entry is None:
                    self._waiting.put(None)  # for the next call, until nothing waits
                    break
                backlog.append(entry)
        now_s = self._tick()
        self._seen |= {entry.source: now_s for entry in backlog}
        self._seen = {source: at for source, at in self._seen.items() if now_s - at < _COMPETING_S}
        if len(self._seen) > 1:
            group = _fair_group(backlog, _SHARE)
            taken = set(map(id, group))
            self._backlog = [entry for entry in backlog if id(entry) not in taken]
        else:
            group, self._backlog = backlog[:_GROUP], backlog[_GROUP:]
        return group or None

    def _conclude(self, group: Sequence[_Entry]) -> None:
        if not group:
            return
        try:
            outcomes: Sequence[ArrivalOutcome | Exception] = self._commit(group)
        except Exception as error:  # noqa: BLE001 - it is their outcome, and is handed on
            for entry in group:
                self._instance_store.discard(entry.staged)
            outcomes = [error] * len(group)
        for entry, outcome in zip(group, outcomes, strict=True):
            entry.outcome = outcome

    def _commit(self, group: Sequence[_Entry]) -> tuple[ArrivalOutcome, ...]:
        if self._in_doubt:
            self._store.delete_arrivals(self._in_doubt)
            self._in_doubt = []
        outcomes = self._make_durable(group)
        for entry, outcome in zip(group, outcomes, strict=True):
            if outcome is ArrivalOutcome.DUPLICATE:
                self._instance_store.discard(entry.staged)
            elif outcome is ArrivalOutcome.CONFLICT and self._disputes is None:
                self._quarantine(entry)
        return outcomes

    def _make_durable(self, group: Sequence[_Entry]) -> tuple[ArrivalOutcome, ...]:
        """Sync files, names and rows in parallel; on return everything survives a power cut.

        If the power fails before, any of them may exist without the others: `reconcile` compares the files
        of the last group with their digests.
        """
        sop_uids: list[str] = []
        with ExitStack() as syncs:

            def place(outcomes: Sequence[ArrivalOutcome]) -> None:
                new = [
                    (entry.staged, entry.arrival.instance)
                    for entry, outcome in zip(group, outcomes, strict=True)
                    if outcome is ArrivalOutcome.STORED
                ]
                sop_uids.extend(instance.sop_uid for _, instance in new)
                # Closed after the rows are committed, so that files and rows are synced at the same time.
                syncs.enter_context(self._instance_store.committing(new))

            arrivals = [entry.arrival for entry in group]
            try:
                outcomes = self._store.record_arrivals(arrivals, self._clock.now(), self._patience, place)
                syncs.close()
            except BaseException:
                # The rows may be there or not: a database can fail after it has written. They are deleted
                # before the next group, so that no sender is told of a duplicate that has no file.
                self._in_doubt = sop_uids
                raise
        return outcomes

    def _quarantine(self, entry: _Entry) -> None:
        name = self._instance_store.quarantine(entry.staged)
        self._store.record_quarantine(QuarantineEntry.of(name, entry.arrival, CONFLICT, self._clock.now()))
