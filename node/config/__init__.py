"""Configuration: config.toml becomes frozen values; all its faults are reported at once, each with its line.

`tables` has one module for each table of the file, with the name of the table; `file` reads them all.
"""

from node.config.change import Change, compare
from node.config.configuration import Configuration, default
from node.config.file import load, parse
from node.config.shipped import write_shipped
from node.config.tables.archives import ArchiveSettings, Method
from node.config.tables.assembly import AssemblySettings
from node.config.tables.audit import AuditSettings
from node.config.tables.delivery import DeliverySettings
from node.config.tables.destinations import Destination
from node.config.tables.engine import EngineSettings
from node.config.tables.fetching import Fetching, FetchLimits, LookFor
from node.config.tables.log import LogSettings
from node.config.tables.models import NO_MODEL, ModelSettings, ScannerDrift
from node.config.tables.node import NodeSettings
from node.config.tables.notify import Contact, Security
from node.config.tables.report import USUAL_NEXT_STEP, ReportSettings
from node.config.tables.segmentation import BackendSettings
from node.config.tables.sources import Network, Source
from node.config.tables.storage import StorageSettings
from node.config.tables.store import StoreSettings
from node.config.tables.tls import TlsSettings
from node.config.tables.web import User, WebSettings, is_user_name

__all__ = [
    "NO_MODEL",
    "USUAL_NEXT_STEP",
    "ArchiveSettings",
    "AssemblySettings",
    "AuditSettings",
    "BackendSettings",
    "Change",
    "Configuration",
    "Contact",
    "DeliverySettings",
    "Destination",
    "EngineSettings",
    "FetchLimits",
    "Fetching",
    "LogSettings",
    "LookFor",
    "Method",
    "ModelSettings",
    "Network",
    "NodeSettings",
    "ReportSettings",
    "ScannerDrift",
    "Security",
    "Source",
    "StorageSettings",
    "StoreSettings",
    "TlsSettings",
    "User",
    "WebSettings",
    "compare",
    "default",
    "is_user_name",
    "load",
    "parse",
    "write_shipped",
]
