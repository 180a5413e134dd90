"""The status page, the health checks and the metrics of the node, over HTTP or HTTPS.

It only shows, until users are configured: then they log in, see the pictures of a study and give orders.
"""

from node.show.web.gate import Guarded
from node.show.web.server import WebServer

__all__ = ["Guarded", "WebServer"]
