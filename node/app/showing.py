"""Makes the status page, with the metrics."""

from typing import TYPE_CHECKING

from node.app.fetching import Fetchers
from node.app.notifying import Messengers
from node.app.resources import Resources
from node.app.schedule import Schedule
from node.app.sending import Couriers
from node.app.workers import Workers
from node.dicom.tls import page_context
from node.receive.listener import Listener
from node.settle.source_counts import SourceCounts
from node.show.node_status import StatusReader

if TYPE_CHECKING:
    from node.show.web import Guarded, WebServer

__all__ = ["make_status_page"]


def make_status_page(
    resources: Resources,
    listener: Listener,
    *,
    schedule: Schedule,
    workers: Workers,
    source_counts: SourceCounts,
    couriers: Couriers,
    fetchers: Fetchers,
    messengers: Messengers,
) -> "WebServer | None":
    """Create the status page's server and bind its address; None if `[web] port` is 0.

    Raises
    ------
    PermanentError
        If the address cannot be listened on.
    ConfigurationError
        If a file for HTTPS is missing or is not what it should be.
    """
    settings = resources.configuration.web
    if not settings.port:
        return None
    # Imported here, because it is not needed when the page is off.
    from node.show.web import WebServer

    status_reader = StatusReader(
        resources.current,
        store=resources.store,
        clock=resources.clock,
        listener=listener,
        runs=schedule.runs,
        activities=workers.activities,
        asked=source_counts.breakers,
        breakers=couriers.breakers,
        fetchers=fetchers.states,
        notices=resources.notices,
        nodes=resources.nodes.nodes,
        told=messengers.breakers,
        tally=resources.tally,
    )
    context = page_context(resources.configuration.node.tls) if settings.https else None
    guarded = _for_those_who_log_in(resources, workers) if settings.has_login else None
    return WebServer(settings, status_reader, resources.log, guarded=guarded, context=context)


def _for_those_who_log_in(resources: Resources, workers: Workers) -> "Guarded":
    from node.operate.orders import Operator
    from node.show.study_details import StudyDetailsReader
    from node.show.web import Guarded

    return Guarded(
        details=StudyDetailsReader(
            resources.store,
            resources.instance_store,
            workers.tell_series,
            most_images=resources.configuration.assembly.max_images,
        ),
        orders=Operator(
            store=resources.store,
            files=resources.instance_store,
            current=resources.current,
            audit=resources.audit,
            clock=resources.clock,
            log=resources.log,
        ),
        audit=resources.audit,
        clock=resources.clock,
        ae_title=resources.configuration.node.ae_title,
    )
