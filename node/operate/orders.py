"""The orders of the status page, by the same functions as the commands; each is audited and logged."""

from collections.abc import Callable

from node.config import Configuration
from node.domain.audit import Client
from node.domain.records import Study
from node.domain.study import FINISHED_STATES, TRANSITIONS, StudyEvent, StudyState
from node.log import Log
from node.operate.find import find_studies
from node.operate.order_trail import OrderTrail
from node.operate.purge import purge_study
from node.operate.resend import resend_study
from node.operate.retry import retry_study
from node.operate.set_aside import set_aside
from node.ports import Audit, Clock, InstanceStore, Store
from node.show.orders import Order

__all__ = ["Operator"]


class Operator:
    """Carries out what a person orders; see `node.show.orders.Orders`.

    Parameters
    ----------
    store, files, audit, clock : Store, InstanceStore, Audit, Clock
        See `node.ports`.
    current : callable
        Returns the configuration in force.
    log : Log
        Logs one line per order.
    """

    def __init__(
        self,
        *,
        store: Store,
        files: InstanceStore,
        current: Callable[[], Configuration],
        audit: Audit,
        clock: Clock,
        log: Log,
    ) -> None:
        self._store = store
        self._files = files
        self._current = current
        self._clock = clock
        self._trail = OrderTrail(store, files, audit, clock, log, current().node.ae_title)

    def find(self, name: str) -> tuple[Study, ...]:
        """See `node.show.orders.Orders`."""
        return find_studies(self._store, lambda: self._files, name, by_person=True)

    def possible(self, study: Study) -> tuple[Order, ...]:
        """See `node.show.orders.Orders`."""
        holds = bool(self._store.count_instances(study.study_uid))
        has_results = any(one.current for one in self._store.results(study.study_uid))

        def permits(event: StudyEvent) -> bool:
            return (study.state, event) in TRANSITIONS

        makes_sense = {
            Order.RETRY: holds and (permits(StudyEvent.RETRIED) or study.state is StudyState.DELIVERING),
            Order.RESEND: holds and has_results and permits(StudyEvent.RESENT),
            Order.SET_ASIDE: permits(StudyEvent.SET_ASIDE),
            Order.PURGE: holds and study.state in FINISHED_STATES,
        }
        return tuple(order for order in Order if makes_sense[order])

    def carry_out(self, order: Order, study_uid: str, client: Client, *, to: str = "") -> str:
        """See `node.show.orders.Orders`."""
        with self._trail.entered(order, study_uid, client):
            return self._carried_out(order, study_uid, to)

    def _carried_out(self, order: Order, study_uid: str, to: str) -> str:
        now, configuration = self._clock.now(), self._current()
        if order is Order.RETRY:
            return retry_study(self._store, configuration, study_uid, now).words
        if order is Order.RESEND:
            names = resend_study(self._store, self._files, configuration, study_uid, now=now, to=to)
            return f"Its results are in the outbox again, for {', '.join(names)}."
        if order is Order.SET_ASIDE:
            return set_aside(self._store, study_uid, now)
        return purge_study(self._store, self._files, study_uid, now)
