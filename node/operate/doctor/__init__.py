"""`osteonode doctor`: checks of everything that a node needs, which say what is wrong and how to repair it.

`checks` lists and runs them; the modules beside it hold the checks of one part each.
"""

from node.operate.doctor.analysis import codecs, model, segmenter
from node.operate.doctor.certificates import certificates
from node.operate.doctor.checks import CHECKS, run_checks
from node.operate.doctor.clock import clock
from node.operate.doctor.contacts import contacts
from node.operate.doctor.database import database
from node.operate.doctor.disk import disk
from node.operate.doctor.endpoints import listener, tls, web
from node.operate.doctor.machine import storage
from node.operate.doctor.nodes import nodes
from node.operate.doctor.peers import destinations, sources
from node.operate.doctor.result import Check, CheckResult, Severity
from node.operate.doctor.rules import rules

__all__ = [
    "CHECKS",
    "Check",
    "CheckResult",
    "Severity",
    "certificates",
    "clock",
    "codecs",
    "contacts",
    "database",
    "destinations",
    "disk",
    "listener",
    "model",
    "nodes",
    "rules",
    "run_checks",
    "segmenter",
    "sources",
    "storage",
    "tls",
    "web",
]
