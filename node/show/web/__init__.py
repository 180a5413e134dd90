"""The status page: how the node is, for browser, supervisor and Prometheus. It reads, and orders nothing."""

from node.show.web.server import WebServer

__all__ = ["WebServer"]
