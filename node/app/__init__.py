"""The composition root: creates all parts of the node, connects them, starts and stops them.

`resources` opens what all stations share; `workers` are the processes; `receiving`, `analysing`, `sending`
and `showing` make the stations; `sweeps` says when each of them runs; `node` starts and stops all of it.
"""

from node.app.analysing_node import AnalysingNode
from node.app.node import Node
from node.app.sending import carrier_to

__all__ = ["AnalysingNode", "Node", "carrier_to"]
