"""A look at the whole node: what the store knows, and what only the running parts do."""

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from node.config import Configuration, Destination
from node.domain.delivery import Breaker
from node.domain.health import (
    WAIT_FOR_A_PERSON,
    abandoned,
    judge_database,
    judge_destination,
    judge_disk,
    judge_listener,
    judge_set_aside,
    judge_timers,
    judge_workers,
)
from node.domain.records import HistoryEntry
from node.domain.status import DestinationStatus, Disk, NodeStatus, OutboxFigures, StoreFigures, SweepRun
from node.domain.study import StudyState
from node.errors import TransientError
from node.ports import Clock, Figures
from node.show.why import explain
from node.tally import Counts, Desk, Tally

__all__ = ["LATEST_STUDIES", "Doorway", "StudyView", "Survey"]

LATEST_STUDIES = 50
_PUT_ASIDE = 8
_FRESH = timedelta(seconds=1)
_MEGABYTE = 1024 * 1024


class Doorway(Protocol):
    """What is asked of the listener."""

    @property
    def port(self) -> int:
        """Where it listens."""
        ...

    @property
    def listening(self) -> bool:
        """Whether it takes connections."""
        ...

    @property
    def open_associations(self) -> int:
        """How many senders are in."""
        ...


@dataclass(frozen=True, slots=True)
class StudyView:
    """One study: why it has no result, and its steps, oldest first."""

    study_uid: str
    why: str
    history: tuple[HistoryEntry, ...]


class Survey:
    """Looks at the node for whoever asks, but for all of them at most once a second, and one at a time.

    So however many ask, at most one connection to the database is in use for them: those that receive images
    never wait for one.

    Parameters
    ----------
    configuration : Configuration
        All of it.
    store : Figures
        The truth about studies.
    clock : Clock
        The time.
    doorway : Doorway
        The listener.
    runs : callable
        Returns the latest run of each sweep.
    desks : sequence of Desk
        Of the workers.
    breakers : mapping of str to callable
        By destination; each returns its breaker.
    tally : Tally
        What the process counts.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        store: Figures,
        clock: Clock,
        doorway: Doorway,
        runs: Callable[[], Sequence[SweepRun]],
        desks: Sequence[Desk],
        breakers: Mapping[str, Callable[[], Breaker]],
        tally: Tally,
    ) -> None:
        self.configuration = configuration
        self._store = store
        self._clock = clock
        self._doorway = doorway
        self._runs = runs
        self._desks = desks
        self._breakers = breakers
        self._tally = tally
        self._started_at = clock.now()
        self._lock = threading.Lock()
        self._latest: NodeStatus | None = None

    def status(self) -> NodeStatus:
        """Return how the node is, as of at most a second ago."""
        with self._lock:
            now = self._clock.now()
            if self._latest is None or not timedelta() <= now - self._latest.at < _FRESH:
                self._latest = self._look(now)
            return self._latest

    def counts(self) -> Counts:
        """Return what the process counted since it started."""
        return self._tally.counts()

    def study(self, study_uid: str) -> StudyView | None:
        """Return one study, or None if nothing of it ever came.

        Raises
        ------
        TransientError
            If the store does not answer.
        """
        with self._lock:
            if self._store.study(study_uid) is None:
                return None
            names = [there.name for there in self.configuration.destinations]
            return StudyView(
                study_uid, explain(self._store, study_uid, names), self._store.history(study_uid)
            )

    def _look(self, now: datetime) -> NodeStatus:
        settings = self.configuration
        try:
            figures, fault = self._store.figures(LATEST_STUDIES, _PUT_ASIDE, now - WAIT_FOR_A_PERSON), ""
        except TransientError as error:
            figures, fault = StoreFigures(), str(error)
        disk = Disk(
            shutil.disk_usage(settings.storage.directory).free, settings.storage.watermark_mb * _MEGABYTE
        )
        runs = tuple(self._runs())
        since = [desk.busy_since for desk in self._desks]
        busy = [moment for moment in since if moment is not None]
        associations = self._doorway.open_associations
        return NodeStatus(
            at=now,
            started_at=self._started_at,
            ae_title=settings.node.ae_title,
            address=f"{settings.node.host}:{self._doorway.port}",
            stations=(
                judge_listener(
                    listening=self._doorway.listening,
                    associations=associations,
                    most=settings.node.max_associations,
                ),
                judge_disk(disk),
                judge_database(fault),
                judge_workers(len(self._desks), busy, figures.oldest.get(StudyState.READY), now),
                judge_timers(runs, now),
                judge_set_aside(figures.set_aside, now),
            ),
            destinations=self._destinations(figures.outboxes, now),
            figures=figures,
            disk=disk,
            sweeps=runs,
            associations=associations,
            workers=len(self._desks),
            busy=len(busy),
        )

    def _destinations(
        self, outboxes: Mapping[str, OutboxFigures], now: datetime
    ) -> tuple[DestinationStatus, ...]:
        known = {there.name: _address(there) for there in self.configuration.destinations}
        gone = [name for name, box in outboxes.items() if box.waiting and name not in known]
        return (
            *(
                self._destination(name, at, outboxes.get(name, OutboxFigures()), now)
                for name, at in known.items()
            ),
            *(abandoned(name, outboxes[name]) for name in gone),
        )

    def _destination(
        self, name: str, address: str, outbox: OutboxFigures, now: datetime
    ) -> DestinationStatus:
        breaker = self._breakers.get(name, Breaker)()
        return DestinationStatus(name, address, *judge_destination(outbox, breaker, now), outbox, breaker)


def _address(destination: Destination) -> str:
    return destination.stow_url or f"{destination.ae_title} at {destination.host}:{destination.port}"
