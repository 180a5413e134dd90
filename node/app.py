"""The composition root: the only place that names every concrete class of the node."""

import fcntl
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event
from time import monotonic
from typing import IO, TYPE_CHECKING, Self
from urllib.parse import urlsplit
from uuid import uuid4

from analysis.domain.reason import Reason
from node.assemble import Assembler
from node.audit import AuditTrail
from node.carriers import Carrier
from node.carriers.audited import AuditedCarrier
from node.carriers.commitment import request_commitment
from node.carriers.storage import StorageCarrier
from node.carriers.stow import StowCarrier
from node.clock import SystemClock
from node.commitments import Commitments
from node.config import Configuration, Destination
from node.deliver import Courier
from node.dimse import Peer
from node.domain.assembly import Examination, Patience
from node.domain.audit import Party, application_started, application_stopped
from node.domain.records import Result
from node.domain.results import Lineage, Outcome
from node.errors import PermanentError
from node.explain import Explainer
from node.foresee import Foresight
from node.inquire import Inquirer
from node.instance_store import DiskInstanceStore
from node.ledger import Ledger
from node.observe import get_log
from node.ports import Clock, Worker
from node.receive import Listener
from node.reconcile import reconcile
from node.retention import purge
from node.schedule import Schedule
from node.store import SqlStore
from node.survey import Survey
from node.tally import Desk, Tally
from node.tls import client_arguments
from node.work import Analyst
from node.worker import WorkerProcess

if TYPE_CHECKING:
    from node.web import WebServer

__all__ = ["Node", "carrier_to", "lock_storage", "store_url"]

_SWEEP_S = 0.5
_CLOSING_SWEEP_S = 60.0
_RETENTION_SWEEP_S = 3600.0
_EXAMINATION_LIMIT_S = 120.0
_EARLY_AFTER = 0.1
"""Part of the quiet time after which a study is analysed early."""
_MEGABYTE = 1024 * 1024


class Node:
    """A running node: `start` returns when it listens, `stop` when all is put down safely.

    Parameters
    ----------
    configuration : Configuration
        All of it. Port 0 takes a free one, see `port`.
    clock : Clock, optional
        The time; tests move theirs.
    analyse_study, examine_study, explain_study : str, optional
        What the worker processes run, "module:function".
    make_worker : callable, optional
        From the name of a function and a memory limit to what runs it.
    sweep_s : float, optional
        How often the sweeps look for what is due.

    Examples
    --------
    >>> from node.config import default
    >>> with Node(default()) as node:  # doctest: +SKIP
    ...     print(node.port)
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        clock: Clock | None = None,
        analyse_study: str = "node.analyse:analyse_files",
        examine_study: str = "node.examine:examine",
        explain_study: str = "node.refusal_report:explain_refusal",
        make_worker: Callable[[str, int | None], Worker] = WorkerProcess,
        sweep_s: float = _SWEEP_S,
    ) -> None:
        self.configuration = configuration
        self._clock = clock or SystemClock()
        self._log = get_log()
        self._tally = Tally()
        self._sweep_s = sweep_s
        self._lock = lock_storage(configuration.storage.directory)
        self._owner = uuid4().hex
        self._stopping = Event()
        self.instance_store = DiskInstanceStore(
            configuration.storage.directory, configuration.storage.watermark_mb * _MEGABYTE
        )
        self.store = SqlStore(store_url(configuration))
        self._ledger = Ledger(
            self.store,
            self.instance_store,
            self._clock,
            Patience(
                quiet=timedelta(seconds=configuration.assembly.quiet_s),
                wait=timedelta(seconds=configuration.assembly.max_wait_s),
            ),
        )
        self._audit = AuditTrail(configuration.audit, configuration.node.ae_title, self._log)
        self._listener = Listener(
            configuration.node,
            configuration.sources,
            store=self.store,
            instance_store=self.instance_store,
            ledger=self._ledger,
            clock=self._clock,
            audit=self._audit,
            report=Commitments(self.store, self._clock, configuration.delivery, self._owner, self._log).take,
            tally=self._tally,
            log=self._log,
        )
        # Its timers wake sweeps in real time, whatever time the sweeps are told.
        self._schedule = Schedule(SystemClock(), self._log)
        self._foresight = Foresight() if configuration.assembly.start_early else None
        self._examiner = make_worker(examine_study, None)
        # Started by its first call: most sites never make it.
        self._writer = make_worker(explain_study, configuration.engine.memory_limit_mb)
        self._explainer = Explainer(
            store=self.store,
            instance_store=self.instance_store,
            clock=self._clock,
            write=self._write_explanation,
            configuration=configuration,
            stopping=self._stopping,
            log=self._log,
        )
        self._workers = [
            make_worker(analyse_study, configuration.engine.memory_limit_mb)
            for _ in range(configuration.engine.processes)
        ]
        self._desks = [Desk(self._clock, self._tally, monotonic) for _ in self._workers]
        self._couriers = tuple(self._courier(there) for there in configuration.destinations)
        self._web: WebServer | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._listener.port

    def start(self) -> None:
        """Mend what an earlier end left, then work and listen.

        Raises
        ------
        OSError
            If the address cannot be listened on; then nothing is left running.
        PermanentError
            If that of the status page cannot; likewise.
        """
        self._audit.start()
        self._audit.record(application_started(self.configuration.node.ae_title, self._clock.now()))
        reconcile(self.store, self.instance_store, self._ledger, self._clock, self._log)
        # The processes take seconds to import the science; they do so while the first images come in.
        for worker in self._workers:
            worker.start()
        self._examiner.start()
        self._plan()
        self._schedule.start()
        try:
            self._web = self._status_page()
            self._listener.start()
        except (OSError, PermanentError):
            self.stop()
            raise
        if self._web is not None:
            self._web.start()
        self._log.info("node_started", ae_title=self.configuration.node.ae_title, port=self.port)

    def stop(self) -> None:
        """Take nothing more in, stop what runs, close the store; what is unfinished waits there."""
        self._stopping.set()
        self._listener.stop()
        if self._web is not None:
            self._web.stop()
        for worker in self._workers:
            worker.interrupt()
        self._examiner.interrupt()
        self._writer.interrupt()
        self._schedule.stop()
        for worker in self._workers:
            worker.stop()
        self._examiner.stop()
        self._writer.stop()
        self._ledger.stop()
        self.store.release_leases(self._clock.now())
        self.store.close()
        self._audit.record(application_stopped(self.configuration.node.ae_title, self._clock.now()))
        self._audit.stop()
        self._lock.close()
        self._log.info("node_stopped")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _plan(self) -> None:
        settings = self.configuration
        inquirer = Inquirer(
            settings.sources, calling=settings.node.ae_title, clock=self._clock, log=self._log
        )
        assembler = Assembler(
            store=self.store,
            instance_store=self.instance_store,
            traffic=self._listener.traffic,
            clock=self._clock,
            examine=self._examine,
            explains=settings.report.refusals,
            count=inquirer.counts,
            foresight=self._foresight,
            grace=timedelta(seconds=settings.assembly.quiet_s * _EARLY_AFTER),
            attempts=settings.engine.attempts,
            stopping=self._stopping,
            log=self._log,
        )
        analysts = {
            f"analyse-{number}": self._analyst(worker, desk)
            for number, (worker, desk) in enumerate(zip(self._workers, self._desks, strict=True))
        }
        couriers = {f"deliver-{courier.name}": courier for courier in self._couriers}
        self._schedule.every(self._sweep_s, "assemble", self._then_wake(assembler.sweep, analysts))
        for name, analyst in analysts.items():
            self._schedule.every(self._sweep_s, name, self._then_wake(analyst.sweep, (*couriers, "explain")))
        self._schedule.every(self._sweep_s, "explain", self._then_wake(self._explainer.sweep, couriers))
        for name, courier in couriers.items():
            self._schedule.every(self._sweep_s, name, courier.sweep)
        self._schedule.every(_CLOSING_SWEEP_S, "close", self._close)
        self._schedule.every(_RETENTION_SWEEP_S, "retention", self._purge)

    def _examine(self, paths: Sequence[Path]) -> Examination:
        examination: Examination = self._examiner.call(paths, time_limit_s=_EXAMINATION_LIMIT_S)
        return examination

    def _write_explanation(
        self,
        paths: Sequence[Path],
        configuration: Configuration,
        out: Path,
        reasons: tuple[Reason, ...],
        lineage: Lineage,
    ) -> Outcome:
        outcome: Outcome = self._writer.call(
            paths, configuration, out, reasons, lineage, time_limit_s=_EXAMINATION_LIMIT_S
        )
        return outcome

    def _status_page(self) -> "WebServer | None":
        """Take the address of the status page; None where there is to be none."""
        settings = self.configuration.web
        if not settings.port:
            return None
        # Late: a node without the page need not pay for the web.
        from node.web import WebServer

        survey = Survey(
            self.configuration,
            store=self.store,
            clock=self._clock,
            doorway=self._listener,
            runs=self._schedule.runs,
            desks=self._desks,
            breakers={courier.name: partial(getattr, courier, "breaker") for courier in self._couriers},
            tally=self._tally,
        )
        return WebServer(settings, survey, self._log)

    def _analyst(self, worker: Worker, desk: Desk) -> Analyst:
        limit_s = self.configuration.engine.time_limit_s

        def analyse_elsewhere(
            paths: Sequence[Path], configuration: Configuration, out: Path, lineage: Lineage
        ) -> Outcome:
            with desk.at_work() as ended:
                outcome: Outcome = worker.call(paths, configuration, out, lineage, time_limit_s=limit_s)
                ended("refused" if outcome.refusals else "reported")
            return outcome

        return Analyst(
            store=self.store,
            instance_store=self.instance_store,
            clock=self._clock,
            analyse=analyse_elsewhere,
            configuration=self.configuration,
            owner=self._owner,
            foresight=self._foresight,
            stopping=self._stopping,
            log=self._log,
        )

    def _courier(self, destination: Destination) -> Courier:
        settings = self.configuration.delivery
        peer = Peer(
            destination.ae_title,
            destination.host,
            destination.port,
            self.configuration.node.ae_title,
            settings.timeout_s,
            client_arguments(destination),
        )
        commitments = Commitments(self.store, self._clock, settings, self._owner, self._log)

        def commit(transaction_uid: str, results: Sequence[Result]) -> None:
            request_commitment(peer, transaction_uid, results, commitments.take)

        return Courier(
            destination,
            AuditedCarrier(
                carrier_to(destination, peer, self.instance_store.results, settings.timeout_s),
                self.instance_store.results,
                Party(self.configuration.node.ae_title, "", is_requestor=True),
                _party_of(destination),
                audit=self._audit,
                clock=self._clock,
            ),
            commit,
            outbox=self.store,
            clock=self._clock,
            settings=settings,
            owner=self._owner,
            stopping=self._stopping,
            log=self._log,
        )

    def _close(self) -> None:
        """Close what a courier could not, because the store did not answer in that moment."""
        self.store.finish_all_deliveries(self._clock.now())

    def _purge(self) -> None:
        age = timedelta(days=self.configuration.storage.retention_days)
        purge(self.store, self.instance_store, self._clock.now() - age)

    def _then_wake(self, sweep: Callable[[], int], stations: Iterable[str]) -> Callable[[], None]:
        """Run the sweeps of the next stations as soon as this one has something for them.

        Without this each station would cost a study half an interval of waiting.
        """
        names = tuple(stations)

        def run() -> None:
            if sweep():
                for name in names:
                    self._schedule.soon(name)

        return run


def carrier_to(destination: Destination, peer: Peer, results: Path, timeout_s: float) -> Carrier:
    """Return the way to a destination: STOW-RS where it has a `stow_url`, C-STORE otherwise."""
    if destination.stow_url:
        return StowCarrier(destination, results, timeout_s)
    return StorageCarrier(peer, results)


def _party_of(destination: Destination) -> Party:
    host = urlsplit(destination.stow_url).hostname if destination.stow_url else destination.host
    title = "" if destination.stow_url else destination.ae_title
    return Party(title, host or "", is_requestor=False)


def store_url(configuration: Configuration) -> str:
    """Return the URL of the database; SQLite in the storage directory where the configuration names none."""
    if configuration.store.url:
        return configuration.store.url
    return f"sqlite:///{configuration.storage.directory / 'osteonode.db'}"


def lock_storage(directory: Path) -> IO[str]:
    """Take the storage directory for this process, so that no second node works on it; the system frees it.

    Raises
    ------
    PermanentError
        If another node has it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lock = (directory / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise PermanentError(f"another node is already working in {directory}") from None
    return lock
