"""The composition root: the only place that names every concrete class of the node.

`ground` makes what all stations stand on; `receiving`, `analysing`, `sending` and `showing` make the
stations; `sweeps` says when each is woken; `node` starts and stops all of them.
"""

from node.app.node import Node
from node.app.sending import carrier_to

__all__ = ["Node", "carrier_to"]
