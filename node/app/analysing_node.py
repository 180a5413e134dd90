"""A node that only analyses, for the main node that works with the same database and storage."""

from collections.abc import Callable
from typing import Self

from node.analyse.worker_process import WorkerProcess
from node.app.analysing import make_analysts
from node.app.presence import Presence
from node.app.resources import join_resources
from node.app.schedule import SWEEP_S, Schedule
from node.app.workers import Workers
from node.clock import SystemClock
from node.config import Change, Configuration, compare
from node.dicom.libraries import configure_libraries
from node.domain.nodes import NodeRole
from node.log import guarded
from node.ports import Clock, Worker

__all__ = ["AnalysingNode"]


class AnalysingNode:
    """A node that leases studies which are ready, analyses them and records their results, and nothing else.

    Whatever the main node may do alone stays with that: it receives, settles, reports refusals, sends,
    repairs and removes.

    Parameters
    ----------
    configuration : Configuration
        That of the main node; only `[engine] processes` and its limits may differ.
    name : str, optional
        By which people know the node; that of the machine by default.
    clock, analyse_study, make_worker, sweep_s : optional
        See `node.app.node.Node`.

    Raises
    ------
    PermanentError
        If the database is no server, or there is no main node's storage or database.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        name: str = "",
        clock: Clock | None = None,
        analyse_study: str = "node.analyse.study:analyse_files",
        make_worker: Callable[[str, int | None], Worker] = WorkerProcess,
        sweep_s: float = SWEEP_S,
    ) -> None:
        configure_libraries()
        self._resources = join_resources(configuration, clock or SystemClock())
        self._sweep_s = sweep_s
        self._schedule = Schedule(SystemClock(), self._resources.log)
        # Of these processes, only those that analyse and that of models in the shadow are ever started.
        self._workers = Workers(self._resources, make_worker, analyse_study=analyse_study)
        self._presence = Presence(self._resources, NodeRole.ANALYSE, name=name)

    @property
    def configuration(self) -> Configuration:
        """The configuration in force."""
        return self._resources.configuration

    def start(self) -> None:
        """Make itself known, and begin to analyse."""
        resources, presence = self._resources, self._presence
        resources.start()
        presence.sweep()
        self._workers.start(examines=False)
        self._schedule.every(presence.every_s, "nodes", presence.sweep)
        analysts = make_analysts(
            resources, self._workers, None,
            left_to_others=presence.left_to_others, after_broken=presence.note_broken,
        )  # fmt: skip
        for number, analyst in enumerate(analysts):
            self._schedule.every(self._sweep_s, f"analyse-{number}", analyst.sweep)
        self._schedule.start()
        resources.log.info("analysing_node_started", count=len(analysts))

    def apply(self, wanted: Configuration) -> Change:
        """Put in force what a running node can apply of another configuration; see `Node.apply`."""
        change = compare(self.configuration, wanted)
        self._resources.put_in_force(change)
        guarded("nodes", self._presence.sweep, self._resources.log)()
        return change

    def stop(self) -> None:
        """Begin nothing more, end the analyses, and free their studies for other nodes."""
        self._resources.stopping.set()
        self._workers.interrupt()
        self._schedule.stop()
        self._workers.stop()
        self._resources.close()
        self._resources.log.info("node_stopped")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
