"""The whole configuration as one value."""

from dataclasses import dataclass, field

from analysis.settings import AnalysisSettings
from dicom_templates.result_kinds import ResultKind, SrClass
from node.config.tables.assembly import AssemblySettings
from node.config.tables.audit import AuditSettings
from node.config.tables.delivery import DeliverySettings
from node.config.tables.destinations import Destination
from node.config.tables.engine import EngineSettings
from node.config.tables.log import LogSettings
from node.config.tables.models import ModelSettings
from node.config.tables.node import NodeSettings
from node.config.tables.notify import Contact
from node.config.tables.report import ReportSettings
from node.config.tables.segmentation import BackendSettings
from node.config.tables.sources import Source
from node.config.tables.storage import StorageSettings
from node.config.tables.store import StoreSettings
from node.config.tables.web import WebSettings

__all__ = ["Configuration", "default"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """A valid configuration; its tables are documented at their classes, and for users in config.toml."""

    node: NodeSettings = field(default_factory=NodeSettings)
    sources: tuple[Source, ...] = (Source(),)
    destinations: tuple[Destination, ...] = (Destination(),)
    storage: StorageSettings = field(default_factory=StorageSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    assembly: AssemblySettings = field(default_factory=AssemblySettings)
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    segmentation: BackendSettings = field(default_factory=BackendSettings)
    models: ModelSettings = field(default_factory=ModelSettings)
    report: ReportSettings = field(default_factory=ReportSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    log: LogSettings = field(default_factory=LogSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    web: WebSettings = field(default_factory=WebSettings)
    notify: tuple[Contact, ...] = ()

    @property
    def sr_classes(self) -> tuple[SrClass, ...]:
        """SOP classes of the measurement report: those that destinations ask for, or else the default."""
        wanted = {there.sr_class for there in self.destinations if ResultKind.SR in there.results}
        return tuple(one for one in SrClass if one in wanted) or (Destination().sr_class,)

    def receivers(self, kind: ResultKind, sop_class_uid: str) -> tuple[str, ...]:
        """Return the names of the destinations that get objects of this kind and SOP class."""
        return tuple(there.name for there in self.destinations if there.wants(kind, sop_class_uid))

    def destination(self, name: str) -> Destination | None:
        """Return a destination, or None if no destination of this name is configured."""
        return next((there for there in self.destinations if there.name == name), None)


def default() -> Configuration:
    """Return the configuration that the shipped config.toml describes."""
    return Configuration()
