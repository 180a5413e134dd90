"""Makes the status page, with the metrics."""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from node.app.resources import Resources
from node.app.schedule import Schedule
from node.app.workers import Workers
from node.deliver.courier import Courier
from node.receive.listener import Listener
from node.show.node_status import StatusReader

if TYPE_CHECKING:
    from node.show.web import WebServer

__all__ = ["status_page"]


def status_page(
    resources: Resources,
    listener: Listener,
    schedule: Schedule,
    workers: Workers,
    couriers: Iterable[Courier],
) -> "WebServer | None":
    """Make the server of the status page, which takes its address; None if there is to be none.

    Raises
    ------
    PermanentError
        If the address cannot be listened on.
    """
    settings = resources.configuration.web
    if not settings.port:
        return None
    # Imported here, because a node without the page does without it.
    from node.show.web import WebServer

    status_reader = StatusReader(
        resources.configuration,
        store=resources.store,
        clock=resources.clock,
        listener=listener,
        runs=schedule.runs,
        activities=workers.activities,
        breakers={courier.name: partial(getattr, courier, "breaker") for courier in couriers},
        tally=resources.tally,
    )
    return WebServer(settings, status_reader, resources.log)
