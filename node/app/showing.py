"""What a person, a supervisor and Prometheus see."""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from node.app.crew import Crew
from node.app.ground import Ground
from node.app.schedule import Schedule
from node.deliver.courier import Courier
from node.receive.listener import Listener
from node.show.node_status import StatusReader

if TYPE_CHECKING:
    from node.show.web import WebServer

__all__ = ["status_page"]


def status_page(
    ground: Ground, listener: Listener, schedule: Schedule, crew: Crew, couriers: Iterable[Courier]
) -> "WebServer | None":
    """Take the address of the status page; None where there is to be none.

    Raises
    ------
    PermanentError
        If the address cannot be listened on.
    """
    settings = ground.configuration.web
    if not settings.port:
        return None
    # Late: a node without the page need not pay for the web.
    from node.show.web import WebServer

    status_reader = StatusReader(
        ground.configuration,
        store=ground.store,
        clock=ground.clock,
        listener=listener,
        runs=schedule.runs,
        activities=crew.activities,
        breakers={courier.name: partial(getattr, courier, "breaker") for courier in couriers},
        tally=ground.tally,
    )
    return WebServer(settings, status_reader, ground.log)
