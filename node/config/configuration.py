"""The whole configuration as one value."""

from dataclasses import dataclass, field
from datetime import date

from analysis.settings import AnalysisSettings
from dicom_templates.result_kinds import ResultKind, SrClass
from node.config.tables.archives import ArchiveSettings
from node.config.tables.assembly import AssemblySettings
from node.config.tables.audit import AuditSettings
from node.config.tables.delivery import DeliverySettings
from node.config.tables.destinations import Destination
from node.config.tables.engine import EngineSettings
from node.config.tables.fetching import EVERY_DESTINATION
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
from node.domain.rules import Rule
from node.domain.wish import Wish

__all__ = ["Configuration", "default"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """A valid configuration; its tables are documented at their classes, and for users in config.toml."""

    node: NodeSettings = field(default_factory=NodeSettings)
    sources: tuple[Source, ...] = (Source(),)
    rules: tuple[Rule, ...] = ()
    destinations: tuple[Destination, ...] = (Destination(),)
    archives: tuple[ArchiveSettings, ...] = ()
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

    def receivers_of(self, wish: Wish | None, today: date) -> tuple[str, ...]:
        """Return the names of the destinations that may get results of a study.

        Parameters
        ----------
        wish : Wish or None
            The wish by which the study came; None if it was sent to this node, and then all may.
        today : date
            The day on which its age counts.
        """
        names = tuple(there.name for there in self.destinations)
        if wish is None:
            return names
        rules = next((one.fetching for one in self.archives if one.name == wish.archive), None)
        if rules is None:
            # What was agreed for an archive cannot be known any more, once it is not in the file.
            return ()
        limit, day = rules.results_not_older_than_days, wish.study_date
        # A study without a date may be of any age.
        is_old = limit and (day is None or (today - day).days > limit)
        if is_old and not wish.sends_old:
            return ()
        return tuple(
            name for name in names if rules.results_to == EVERY_DESTINATION or name in rules.results_to
        )

    def destination(self, name: str) -> Destination | None:
        """Return a destination, or None if no destination of this name is configured."""
        return next((there for there in self.destinations if there.name == name), None)


def default() -> Configuration:
    """Return the configuration that the shipped config.toml describes."""
    return Configuration()
