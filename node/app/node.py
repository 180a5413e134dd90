"""A whole node: made, started, stopped."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from node.analyse.worker import WorkerProcess
from node.app.analysing import analysts, assembler, explainer
from node.app.crew import Crew
from node.app.ground import lay_ground
from node.app.receiving import ledger, listener
from node.app.schedule import Schedule
from node.app.sending import courier
from node.app.showing import status_page
from node.app.sweeps import plan_sweeps
from node.clock import SystemClock
from node.config import Configuration
from node.errors import PermanentError
from node.ports import Clock, Worker
from node.settle.early_work import EarlyWork
from node.store.reconcile import reconcile

if TYPE_CHECKING:
    from node.show.web import WebServer

__all__ = ["Node"]

_SWEEP_S = 0.5


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
        analyse_study: str = "node.analyse.study:analyse_files",
        examine_study: str = "node.settle.examine_headers:examine_headers",
        explain_study: str = "node.analyse.refusal_report:write_refusal_report",
        make_worker: Callable[[str, int | None], Worker] = WorkerProcess,
        sweep_s: float = _SWEEP_S,
    ) -> None:
        self.configuration = configuration
        self._clock = clock or SystemClock()
        self._ground = ground = lay_ground(configuration, self._clock)
        self.instance_store, self.store = ground.instance_store, ground.store
        self._sweep_s = sweep_s
        self._ledger = ledger(ground)
        self._listener = listener(ground, self._ledger)
        # Its timers wake sweeps in real time, whatever time the sweeps are told.
        self._schedule = Schedule(SystemClock(), ground.log)
        self._early_work = EarlyWork() if configuration.assembly.start_early else None
        self._crew = Crew(
            ground,
            make_worker,
            analyse_study=analyse_study,
            examine_study=examine_study,
            explain_study=explain_study,
        )
        self._couriers = tuple(courier(ground, there) for there in configuration.destinations)
        self._web: WebServer | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._listener.port

    def start(self) -> None:
        """Mend what an earlier end left, then work and listen.

        Raises
        ------
        PermanentError
            If the address, or that of the status page, cannot be listened on; then nothing is left running.
        """
        ground = self._ground
        ground.enter()
        reconcile(self.store, self.instance_store, self._ledger.enter, self._clock, ground.log)
        # They import the science while the first images come in.
        self._crew.start()
        plan_sweeps(
            self._schedule,
            ground,
            assembler=assembler(ground, self._listener.traffic, self._crew, self._early_work),
            analysts=analysts(ground, self._crew, self._early_work),
            explainer=explainer(ground, self._crew),
            couriers=self._couriers,
            every_s=self._sweep_s,
        )
        self._schedule.start()
        try:
            self._web = status_page(ground, self._listener, self._schedule, self._crew, self._couriers)
            self._listener.start()
        except PermanentError:
            self.stop()
            raise
        except OSError as error:
            self.stop()
            at = self.configuration.node
            raise PermanentError(
                f"the node cannot listen on {at.host}:{at.port} ({error.strerror}): see [node] host and port"
            ) from error
        if self._web is not None:
            self._web.start()
        ground.log.info("node_started", ae_title=self.configuration.node.ae_title, port=self.port)

    def stop(self) -> None:
        """Take nothing more in, stop what runs, close the store; what is unfinished waits there."""
        self._ground.stopping.set()
        self._listener.stop()
        if self._web is not None:
            self._web.stop()
        self._crew.interrupt()
        self._schedule.stop()
        self._crew.stop()
        self._ledger.stop()
        self._ground.leave()
        self._ground.log.info("node_stopped")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
