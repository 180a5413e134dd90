"""Read the status of the whole node, from the store and from its running parts."""

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from prometheus_client import Metric

from node.config import Configuration, Destination, ScannerDrift
from node.domain.backoff import Breaker
from node.domain.health import (
    WAIT_FOR_OPERATOR,
    abandoned,
    judge_archive,
    judge_database,
    judge_destination,
    judge_disk,
    judge_failed_studies,
    judge_listener,
    judge_nodes,
    judge_notices,
    judge_scanners,
    judge_sources,
    judge_timers,
    judge_workers,
    left_over,
)
from node.domain.model_comparison import Comparison, compare_models
from node.domain.nodes import NodeRole, SeenNode
from node.domain.records import HistoryEntry
from node.domain.status import (
    ArchiveStatus,
    DestinationStatus,
    Disk,
    NodeStatus,
    OutboxFigures,
    RuleCount,
    StoreFigures,
    SweepRun,
)
from node.domain.study import StudyState
from node.errors import TransientError
from node.ports import Clock, Figures, NoticeBox
from node.show.cards import model_station
from node.show.disk import disk_lasts
from node.show.running_parts import FetcherView, ListenerState
from node.show.scanners import ScannerReader, ScannerView
from node.show.why import explain
from node.tally import Counts, Tally, WorkerActivity

__all__ = [
    "LATEST_STUDIES",
    "StatusReader",
    "StudyView",
]

LATEST_STUDIES = 50
_LATEST_QUARANTINED = 8
_MAX_AGE = timedelta(seconds=1)
_DISK_AGE = timedelta(hours=1)
_COMPARISON_AGE = timedelta(minutes=10)
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StudyView:
    """What the page of one study shows.

    Attributes
    ----------
    study_uid : str
        Study Instance UID.
    why : str
        Why the study has no result, in one paragraph.
    history : tuple of HistoryEntry
        Every change of its state, oldest first.
    """

    study_uid: str
    why: str
    history: tuple[HistoryEntry, ...]


class StatusReader:
    """Reads the status of the node, at most once a second and never twice at a time.

    So the viewers of the page, however many, use at most one connection to the database between them, and
    receiving images never waits for one.

    Parameters
    ----------
    current : callable
        Returns the configuration in force.
    store : Figures
        Holds the studies and results.
    clock : Clock
        See `node.ports`.
    listener : ListenerState
        The listener of the node.
    runs : callable
        Returns the latest run of each sweep.
    activities : sequence of WorkerActivity
        One for each worker process that analyses.
    asked : callable
        Returns the breakers of the sources that are asked for their counts, by AE title.
    breakers : callable
        Returns the breakers of the destinations, by name.
    fetchers : callable
        Returns how the fetcher of each archive is, by name.
    notices : NoticeBox
        Holds what contacts are told of.
    nodes : callable
        Returns the nodes that work with the database.
    told : callable
        Returns the breakers of the contacts, by name.
    tally : Tally
        Counts what happens in the process.
    """

    def __init__(
        self,
        current: Callable[[], Configuration],
        *,
        store: Figures,
        clock: Clock,
        listener: ListenerState,
        runs: Callable[[], Sequence[SweepRun]],
        activities: Sequence[WorkerActivity],
        asked: Callable[[], Mapping[str, Breaker]],
        breakers: Callable[[], Mapping[str, Breaker]],
        fetchers: Callable[[], Mapping[str, FetcherView]],
        notices: NoticeBox,
        nodes: Callable[[], tuple[SeenNode, ...]],
        told: Callable[[], Mapping[str, Breaker]],
        tally: Tally,
    ) -> None:
        self._current = current
        self._store = store
        self._clock = clock
        self._listener = listener
        self._runs = runs
        self._activities = activities
        self._asked = asked
        self._breakers = breakers
        self._fetchers = fetchers
        self._notices = notices
        self._nodes = nodes
        self._told = told
        self._tally = tally
        self._started_at = clock.now()
        models = self.configuration.models
        counts = models.scanner_drift is not ScannerDrift.OFF
        self._scanners = ScannerReader(store, models.bundle if counts else None)
        self._lock = threading.Lock()
        self._latest: NodeStatus | None = None
        self._disk: tuple[datetime, float | None] | None = None
        # A lock of its own, so that the status waits for no comparison.
        self._compares = threading.Lock()
        self._compared: tuple[datetime, Comparison] | None = None

    @property
    def configuration(self) -> Configuration:
        """The configuration in force."""
        return self._current()

    def status(self) -> NodeStatus:
        """Return the status of the node, at most one second old."""
        with self._lock:
            now = self._clock.now()
            if self._latest is None or not timedelta() <= now - self._latest.at < _MAX_AGE:
                self._latest = self._read(now)
            return self._latest

    def scanners(self) -> tuple[ScannerView, ...]:
        """Return the scanners that the model has read; see `ScannerReader`."""
        with self._lock:
            return self._scanners.read(self._clock.now())

    def counts(self) -> Counts:
        """Return what the process has counted since it started."""
        return self._tally.counts()

    def analysis_seconds(self) -> Metric:
        """Return the histogram of the durations of analyses."""
        return self._tally.analysis_seconds()

    def disk_lasts(self) -> float | None:
        """Return for how many days the disk lasts, at most an hour old; see `node.show.disk`.

        None also if the store does not answer.
        """
        with self._lock:
            now = self._clock.now()
            if self._disk is None or not timedelta() <= now - self._disk[0] < _DISK_AGE:
                try:
                    self._disk = now, disk_lasts(self._store, self.configuration.storage, now)
                except TransientError:
                    return None
            return self._disk[1]

    def comparison(self) -> Comparison:
        """Return how the models compare, at most ten minutes old: all kept answers are read for it.

        Raises
        ------
        TransientError
            If the store does not answer.
        """
        with self._compares:
            now = self._clock.now()
            if self._compared is None or not timedelta() <= now - self._compared[0] < _COMPARISON_AGE:
                self._compared = now, compare_models(self._store.model_answers())
            return self._compared[1]

    def study(self, study_uid: str) -> StudyView | None:
        """Return what there is to show of a study; None if nothing of it was ever stored or discarded.

        Raises
        ------
        TransientError
            If the store does not answer.
        """
        with self._lock:
            if self._store.study(study_uid) is None and not self._store.discarded(study_uid):
                return None
            names = [destination.name for destination in self.configuration.destinations]
            return StudyView(
                study_uid,
                explain(self._store, study_uid, names, self._notices.notices(study_uid)),
                self._store.history(study_uid),
            )

    def _read(self, now: datetime) -> NodeStatus:
        settings = self.configuration
        nodes: tuple[SeenNode, ...] = ()
        try:
            nodes, fault = self._nodes(), ""
            figures = self._store.figures(LATEST_STUDIES, _LATEST_QUARANTINED, now - WAIT_FOR_OPERATOR)
        except TransientError as error:
            figures, fault = StoreFigures(), str(error)
        disk = Disk(
            shutil.disk_usage(settings.storage.directory).free, settings.storage.watermark_mb * _MEGABYTE
        )
        runs = tuple(self._runs())
        since = [activity.busy_since for activity in self._activities]
        busy = [moment for moment in since if moment is not None]
        associations = self._listener.open_associations
        discarded = self._tally.counts().discarded
        asked, told = self._asked(), self._told()
        scanners = () if fault else self._scanners.read(now)
        notices = self._notices.figures(now - WAIT_FOR_OPERATOR) if told and not fault else {}
        return NodeStatus(
            at=now,
            started_at=self._started_at,
            ae_title=settings.node.ae_title,
            address=f"{settings.node.host}:{self._listener.port}",
            stations=(
                judge_listener(
                    listening=self._listener.listening,
                    associations=associations,
                    most=settings.node.max_associations,
                ),
                judge_disk(disk),
                judge_database(fault),
                judge_workers(len(self._activities), busy, figures.oldest.get(StudyState.READY), now),
                judge_timers(runs, now),
                model_station(settings.models.bundle),
                *((judge_scanners(one.range for one in scanners),) if scanners else ()),
                judge_failed_studies(figures.failed_studies, now),
                *((judge_nodes(nodes),) if any(one.entry.role is NodeRole.ANALYSE for one in nodes) else ()),
                *((judge_sources(asked),) if asked else ()),
                *((judge_notices(told, notices, now),) if told else ()),
            ),
            destinations=self._destinations(settings, figures.outboxes, now),
            figures=figures,
            disk=disk,
            sweeps=runs,
            asked=asked,
            archives=self._archives(settings, figures, now),
            rules=tuple(
                RuleCount(rule.name, rule.take, discarded.get(rule.name, 0)) for rule in settings.rules
            ),
            told=told,
            notices=notices,
            nodes=nodes,
            associations=associations,
            workers=len(self._activities),
            busy=len(busy),
        )

    def _destinations(
        self, settings: Configuration, outboxes: Mapping[str, OutboxFigures], now: datetime
    ) -> tuple[DestinationStatus, ...]:
        known = {one.name: _address(one) for one in settings.destinations}
        gone = [name for name, box in outboxes.items() if box.waiting and name not in known]
        return (
            *(
                self._destination(name, at, outboxes.get(name, OutboxFigures()), now)
                for name, at in known.items()
            ),
            *(abandoned(name, outboxes[name]) for name in gone),
        )

    def _archives(
        self, settings: Configuration, figures: StoreFigures, now: datetime
    ) -> tuple[ArchiveStatus, ...]:
        fetchers = self._fetchers()
        known = {one.name for one in settings.archives}
        gone = {name: counts for name, counts in figures.wishes.items() if name not in known}
        configured = (
            ArchiveStatus(
                one.name,
                one.address,
                *judge_archive(counts, fetchers[one.name].breaker, fetchers[one.name].rests, now),
                counts,
                fetchers[one.name].breaker,
            )
            for one in settings.archives
            if one.name in fetchers
            for counts in (figures.wishes.get(one.name, {}),)
        )
        return (*configured, *(left for name, counts in gone.items() if (left := left_over(name, counts))))

    def _destination(
        self, name: str, address: str, outbox: OutboxFigures, now: datetime
    ) -> DestinationStatus:
        breaker = self._breakers().get(name, Breaker())
        return DestinationStatus(name, address, *judge_destination(outbox, breaker, now), outbox, breaker)


def _address(destination: Destination) -> str:
    return (
        destination.fhir_url
        or destination.stow_url
        or f"{destination.ae_title} at {destination.host}:{destination.port}"
    )
