"""The check of the nodes that work with the same database."""

from collections.abc import Iterator
from contextlib import closing

from node.config import Configuration
from node.domain.health import ago
from node.domain.nodes import NodeRole, SeenNode
from node.errors import PermanentError, TransientError
from node.operate.doctor.result import CheckResult, Severity
from node.store import is_there, open_database, open_nodes, store_url

__all__ = ["nodes"]

_DOES = {NodeRole.MAIN: "receives and sends", NodeRole.ANALYSE: "analyses"}


def nodes(configuration: Configuration) -> Iterator[CheckResult]:
    """List the nodes that work with the database, where that is a server, and tell which of them do not."""
    if not configuration.store.is_server:
        return
    try:
        if not is_there(store_url(configuration)):
            return
        # Checks that the tables are of this version.
        open_database(configuration).close()
        with closing(open_nodes(configuration)) as book:
            seen = book.nodes()
    except (PermanentError, TransientError):
        return  # the check of the database has told it
    if not seen:
        yield CheckResult(Severity.GOOD, "nodes", "none works with the database at this moment")
    for one in seen:
        yield _of_node(one)


def _of_node(seen: SeenNode) -> CheckResult:
    entry = seen.entry
    subject = f"node {entry.name}"
    since = f"since {entry.started_at.astimezone():%Y-%m-%d %H:%M}"
    if not seen.is_alive:
        return CheckResult(
            Severity.WARNING, subject,
            f"{_DOES[entry.role]} {since}, and has given no sign of life for {ago(seen.silent_for)}",
            "Start it again; others have taken up its studies. It is forgotten after 7 days.",
        )  # fmt: skip
    if entry.waits:
        remedy = "Give it the program, configuration, storage and time of the node that receives."
        return CheckResult(Severity.WARNING, subject, f"analyses nothing: {entry.waits}", remedy)
    works_on = f"; now on {', '.join(seen.studies)}" if seen.studies else ""
    return CheckResult(Severity.GOOD, subject, f"{_DOES[entry.role]} {since}{works_on}")
