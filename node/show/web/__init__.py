"""The status page, the health checks and the metrics of the node, over HTTP and read-only."""

from node.show.web.server import WebServer

__all__ = ["WebServer"]
