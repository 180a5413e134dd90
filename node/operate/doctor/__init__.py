"""Is this node fit to run? Checks that say in plain words what is wrong and how to mend it.

`examine` runs them all; each module beside it looks at one part of what a node needs.
"""

from node.operate.doctor.database import database
from node.operate.doctor.doors import listener, tls, web
from node.operate.doctor.examine import CHECKS, examine_node
from node.operate.doctor.finding import Check, Finding, Level
from node.operate.doctor.machine import clock, storage
from node.operate.doctor.peers import destinations, sources
from node.operate.doctor.science import codecs, model, segmenter

__all__ = [
    "CHECKS",
    "Check",
    "Finding",
    "Level",
    "clock",
    "codecs",
    "database",
    "destinations",
    "examine_node",
    "listener",
    "model",
    "segmenter",
    "sources",
    "storage",
    "tls",
    "web",
]
