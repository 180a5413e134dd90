"""The node: its creation, start and stop."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from node.analyse.model_check import check_models
from node.analyse.worker_process import WorkerProcess
from node.app.analysing import make_analysts, make_refusal_reporter, make_settler, make_source_counts
from node.app.fetching import Fetchers, make_archives
from node.app.notifying import Messengers, make_announcer, make_watch
from node.app.presence import Presence
from node.app.receiving import make_ledger, make_listener
from node.app.resources import open_resources
from node.app.schedule import SWEEP_S, Schedule
from node.app.sending import Couriers
from node.app.showing import make_status_page
from node.app.sweeps import plan_deliveries, plan_notices, plan_sweeps
from node.app.workers import Workers
from node.clock import SystemClock
from node.config import Change, Configuration, compare
from node.dicom.libraries import configure_libraries
from node.domain.nodes import NodeRole
from node.errors import PermanentError
from node.log import guarded
from node.ports import Clock, Worker
from node.settle.early_work import EarlyWork
from node.store.reconcile import reconcile

if TYPE_CHECKING:
    from node.show.web import WebServer

__all__ = ["Node"]


class Node:
    """A node: `start` returns when it listens, `stop` when everything is stored.

    Parameters
    ----------
    configuration : Configuration
        The node's configuration. Port 0 takes a free port, see `port`.
    clock : Clock, optional
        Gives the time; the clock of the system by default.
    analyse_study, examine_study, report_refusal, answer_in_shadow : str, optional
        The functions that the worker processes run, as "module:function".
    make_worker : callable, optional
        Makes a worker from the name of a function and a memory limit in MB, or None.
    sweep_s : float, optional
        Interval of the sweeps in seconds.

    Attributes
    ----------
    instance_store, store : InstanceStore, Store
        See `node.ports`.
    archives : mapping of str to Archive
        The archives that can be asked, by name.

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
        analyse_study: str = "node.analyse.study:analyse_files",
        examine_study: str = "node.settle.examine_headers:examine_headers",
        report_refusal: str = "node.analyse.refusal_report:write_refusal_report",
        answer_in_shadow: str = "node.analyse.model_answers:answer_in_shadow",
        make_worker: Callable[[str, int | None], Worker] = WorkerProcess,
        sweep_s: float = SWEEP_S,
    ) -> None:
        configure_libraries()
        check_models(configuration)
        self._clock = clock or SystemClock()
        self._resources = resources = open_resources(configuration, self._clock)
        self.instance_store, self.store = resources.instance_store, resources.store
        self._sweep_s = sweep_s
        # The timers run in real time, even if the sweeps are given another clock.
        long = sum(one.max_associations for one in configuration.archives)
        self._schedule = Schedule(SystemClock(), resources.log, long=long)
        self._early_work = EarlyWork() if configuration.assembly.start_early else None
        self._workers = Workers(
            resources,
            make_worker,
            analyse_study=analyse_study,
            examine_study=examine_study,
            report_refusal=report_refusal,
            answer_in_shadow=answer_in_shadow,
        )
        self._ledger = make_ledger(resources, self._workers)
        self._listener = make_listener(resources, self._ledger)
        self.archives = make_archives(resources, self._listener.intake)
        self._couriers = Couriers(resources)
        self._fetchers = Fetchers(resources, self.archives)
        self._messengers = Messengers(resources)
        self._source_counts = make_source_counts(resources)
        self._presence: Presence | None = None
        if configuration.store.is_server:
            self._presence = Presence(resources, NodeRole.MAIN, early_work=self._early_work)
        self._web: WebServer | None = None

    @property
    def configuration(self) -> Configuration:
        """The configuration in force."""
        return self._resources.configuration

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._listener.port

    def start(self) -> None:
        """Repair what an earlier end left, then start the stations and listen.

        Raises
        ------
        PermanentError
            If it cannot listen on its address or that of the status page; then nothing is left running.
        """
        resources = self._resources
        resources.start()
        reconcile(self.store, self.instance_store, self._ledger.enter, self._clock, resources.log)
        if self._presence is not None:
            self._presence.sweep()
            self._schedule.every(self._presence.every_s, "nodes", self._presence.sweep)
        # The processes import the science while the first images arrive.
        self._workers.start()
        plan_sweeps(
            self._schedule,
            resources,
            settler=make_settler(
                resources,
                self._listener.associations,
                self._source_counts,
                self._workers,
                self._early_work,
            ),
            analysts=make_analysts(
                resources,
                self._workers,
                self._early_work,
                before_early=None if self._presence is None else self._presence.note_early,
            ),
            refusal_reporter=make_refusal_reporter(resources, self._workers),
            couriers=self._couriers,
            discards=self._listener.discards,
            announcer=make_announcer(resources),
            watch=make_watch(resources, self._couriers),
            messengers=self._messengers,
            every_s=self._sweep_s,
        )
        self._fetchers.plan(self._schedule, every_s=self._sweep_s)
        self._schedule.start()
        try:
            self._web = make_status_page(
                resources,
                self._listener,
                schedule=self._schedule,
                workers=self._workers,
                source_counts=self._source_counts,
                couriers=self._couriers,
                fetchers=self._fetchers,
                messengers=self._messengers,
            )
            self._listener.start()
        except PermanentError:
            self.stop()
            raise
        except OSError as error:
            self.stop()
            at = self.configuration.node
            raise PermanentError(
                f"the node cannot listen on {at.address} ({error.strerror}): see [node] host and port"
            ) from error
        if self._web is not None:
            self._web.start()
        resources.log.info("node_started", ae_title=self.configuration.node.ae_title, port=self.port)

    def apply(self, wanted: Configuration) -> Change:
        """Put those parts of another configuration in force that a running node can apply.

        Associations that are open, studies that are being analysed and results that are being sent are ended
        under the earlier one.

        Parameters
        ----------
        wanted : Configuration
            The other configuration.

        Returns
        -------
        Change
            What was applied, and what needs a restart.

        Raises
        ------
        ConfigurationError
            If the files for TLS to a source, destination or contact are missing or invalid; then nothing has
            changed.
        """
        change = compare(self.configuration, wanted)
        new, planned, told = change.result, self._couriers.names, self._messengers.names
        # What can fail comes first, so that either all of it is applied or nothing.
        couriers = self._couriers.made_for(new.destinations)
        messengers = self._messengers.made_for(new.notify)
        self._source_counts.replace_sources(new.sources)
        self._resources.put_in_force(change)
        self._listener.replace_sources(new.sources)
        self._listener.replace_rules(new.rules)
        self._couriers.replace(couriers)
        self._messengers.replace(messengers)
        plan_deliveries(self._schedule, self._couriers, planned, every_s=self._sweep_s)
        plan_notices(self._schedule, self._messengers, told, every_s=self._sweep_s)
        if self._presence is not None:
            # Guarded: all is in force; if the database does not answer now, the next sign tells it.
            guarded("nodes", self._presence.sweep, self._resources.log)()
        return change

    def stop(self) -> None:
        """Stop receiving and all stations, and close the store, where unfinished work waits."""
        self._resources.stopping.set()
        self._listener.stop()
        if self._web is not None:
            self._web.stop()
        self._workers.interrupt()
        self._schedule.stop()
        self._workers.stop()
        self._ledger.stop()
        guarded("discards", self._listener.discards.sweep, self._resources.log)()
        self._resources.close()
        self._resources.log.info("node_stopped")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
