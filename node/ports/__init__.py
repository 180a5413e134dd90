"""What the packages of the node require of each other and of the outside, as protocols.

A consumer names the smallest port that it needs. The classes behind `Store` and `InstanceStore` are named in
`node.store` only, which opens them for the composition root and for commands that run without a node.
"""

from node.ports.archives import Archive, IncomingObject, Intake, Transfer
from node.ports.files import FileRecovery, FileRemoval, InstanceStore, StagingArea, StagingFile, StoredFiles
from node.ports.nodes import NodeBook
from node.ports.notices import NoticeBox
from node.ports.runtime import Audit, Channel, Clock, OpenAssociations, Worker
from node.ports.stations import (
    AnalysisQueue,
    Arrivals,
    AssociationRecords,
    Outbox,
    Reception,
    RefusalReportQueue,
    SettlingQueue,
    StudyReader,
)
from node.ports.store import Figures, OperatorCommands, Recovery, Retention, Store
from node.ports.wishes import WishBook, WishQueue

__all__ = [
    "AnalysisQueue",
    "Archive",
    "Arrivals",
    "AssociationRecords",
    "Audit",
    "Channel",
    "Clock",
    "Figures",
    "FileRecovery",
    "FileRemoval",
    "IncomingObject",
    "InstanceStore",
    "Intake",
    "NodeBook",
    "NoticeBox",
    "OpenAssociations",
    "OperatorCommands",
    "Outbox",
    "Reception",
    "Recovery",
    "RefusalReportQueue",
    "Retention",
    "SettlingQueue",
    "StagingArea",
    "StagingFile",
    "Store",
    "StoredFiles",
    "StudyReader",
    "Transfer",
    "WishBook",
    "WishQueue",
    "Worker",
]
