"""Is this node fit to run? Checks that say in plain words what is wrong and how to mend it.

`examine` runs them all; each module beside it looks at one part of what a node needs.
"""

from node.doctor.database import database
from node.doctor.doors import listener, tls, web
from node.doctor.examine import CHECKS, examine_node
from node.doctor.finding import Check, Finding, Level
from node.doctor.machine import clock, storage
from node.doctor.peers import destinations, sources
from node.doctor.science import codecs, model, segmenter

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
