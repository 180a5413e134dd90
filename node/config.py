"""config.toml → frozen values; every fault is told at once, with its line."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Target
from analysis.settings import PROGRAMS, AnalysisSettings, FeatureSettings, SegmentationSettings
from dicom_templates.options import SrClass
from node.config_reader import Reader, Table
from node.config_segmentation import BackEndPlace, segmentation
from node.config_web import WebSettings, web
from node.domain.results import USUAL_KINDS, ResultKind
from node.errors import ConfigurationError

__all__ = [
    "AssemblySettings",
    "AuditSettings",
    "BackEndPlace",
    "Configuration",
    "DeliverySettings",
    "Destination",
    "EngineSettings",
    "ListenerSettings",
    "LogSettings",
    "ModelSettings",
    "ReportSettings",
    "Source",
    "StorageSettings",
    "StoreSettings",
    "TlsSettings",
    "WebSettings",
    "default",
    "load",
    "parse",
]

Network = IPv4Network | IPv6Network

_AE_TITLE = re.compile(r"(?! )[\x20-\x5b\x5d-\x7e]{1,16}(?<! )")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_SECRET_IN_URL = re.compile(r"://[^/@:]*:[^@]+@")
_SYSLOG = re.compile(r"(udp|tls)://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}|unix:/.+")
_SYSLOG_FORMS = '"udp://host:514", "tls://host:6514", "unix:/dev/log"'
_WEB_ADDRESS = re.compile(r"https?://[^/\s]+(/\S*)?")
_SECTIONS = (
    "node", "sources", "destinations", "storage", "store", "assembly", "analysis", "segmentation",
    "models", "report", "engine", "delivery", "log", "audit", "web",
)  # fmt: skip
_LANGUAGES = ("en", "de")


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """[node.tls], [sources.tls], [destinations.tls]: files in PEM format; without `ca` there is no TLS.

    `ca` holds the certificates that vouch for the other side, `crl` those that no longer count, `certificate`
    and `key` are shown to it, and `server_name` is what the certificate of whoever is called must name, where
    that is not its `host`.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    crl: Path | None = None
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """[node]: how senders reach this node, and what they may cost it."""

    ae_title: str = "OSTEONODE"
    host: str = "127.0.0.1"
    port: int = 11112
    max_associations: int = 20
    max_pdu_bytes: int = 131072
    idle_timeout_s: float = 60.0
    greeting_timeout_s: float = 10.0
    slowest_kb_per_s: float = 1.0
    max_instance_mb: int = 2048
    tls: TlsSettings = TlsSettings()


@dataclass(frozen=True, slots=True)
class Source:
    """[[sources]]: who may send and how much; "*" is any AE title; the address must be inside `network`.

    With `ask`, it is asked at `host` and `port` by C-FIND, over TLS where `tls` says so, how many images each
    series has.
    """

    ae_title: str = "*"
    network: Network = field(default_factory=lambda: ip_network("127.0.0.0/8"))
    max_associations: int = 10
    max_instances_per_hour: int = 100_000
    max_mb_per_hour: int = 100_000
    ask: bool = False
    host: str = ""
    port: int = 104
    tls: TlsSettings = TlsSettings()


@dataclass(frozen=True, slots=True)
class Destination:
    """[[destinations]]: who gets which results, by C-STORE or, with `stow_url`, by STOW-RS.

    `authorization` is the value of that HTTP header, read from where the file points to.
    """

    name: str = "pacs"
    ae_title: str = "ORTHANC"
    host: str = "127.0.0.1"
    port: int = 4242
    results: tuple[ResultKind, ...] = USUAL_KINDS
    sr_class: SrClass = SrClass.COMPREHENSIVE
    verify: bool = False
    storage_commitment: bool = False
    stow_url: str = ""
    authorization: str = field(default="", repr=False)
    tls: TlsSettings = TlsSettings()

    @property
    def confirms(self) -> bool:
        """Whether an object counts as sent only once more is known than the answer to it."""
        return self.verify or self.storage_commitment

    def wants(self, kind: ResultKind, sop_class_uid: str) -> bool:
        """Tell whether an object of this kind and class is meant for it."""
        return kind in self.results and (kind is not ResultKind.SR or sop_class_uid == self.sr_class.storage)


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """[storage]: where everything lies, how much disk stays free, how long originals stay."""

    directory: Path = Path("var")
    watermark_mb: int = 1024
    retention_days: float = 30.0


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """[store]: the database; an empty URL is SQLite in the storage directory."""

    url: str = ""


@dataclass(frozen=True, slots=True)
class AssemblySettings:
    """[assembly]: when a study counts as whole."""

    quiet_s: float = 5.0
    max_wait_s: float = 600.0
    start_early: bool = True


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """[models]: the bundle that predicts; None is the demonstration bundle that is shipped."""

    bundle: Path | None = None


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """[report]: language of the words, and whether refusals are sent."""

    language: str = "en"
    refusals: bool = False


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """[engine]: the worker processes and their limits, and where `train` and `evaluate` work."""

    processes: int = 1
    time_limit_s: float = 600.0
    memory_limit_mb: int = 8192
    attempts: int = 3
    dask: str = ""


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """[delivery]: how failed deliveries are tried again."""

    retry_first_s: float = 5.0
    retry_longest_s: float = 900.0
    attempts: int = 10
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """[audit]: where audit messages go, a file, syslog, both or nowhere; `tls` is for "tls://"."""

    file: Path | None = None
    syslog: str = ""
    source_id: str = ""
    tls: TlsSettings = TlsSettings()


@dataclass(frozen=True, slots=True)
class LogSettings:
    """[log]: how the log is written, to standard error."""

    format: str = "console"
    level: str = "info"


@dataclass(frozen=True, slots=True)
class Configuration:
    """All of config.toml, valid; each section is documented at its class and in the shipped file."""

    node: ListenerSettings = ListenerSettings()
    sources: tuple[Source, ...] = (Source(),)
    destinations: tuple[Destination, ...] = (Destination(),)
    storage: StorageSettings = StorageSettings()
    store: StoreSettings = StoreSettings()
    assembly: AssemblySettings = AssemblySettings()
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    segmentation: BackEndPlace = field(default_factory=BackEndPlace)
    models: ModelSettings = ModelSettings()
    report: ReportSettings = ReportSettings()
    engine: EngineSettings = EngineSettings()
    delivery: DeliverySettings = DeliverySettings()
    log: LogSettings = LogSettings()
    audit: AuditSettings = AuditSettings()
    web: WebSettings = field(default_factory=WebSettings)

    @property
    def sr_classes(self) -> tuple[SrClass, ...]:
        """In which classes the measurement report is written: as destinations want it, else the usual one."""
        wanted = {there.sr_class for there in self.destinations if ResultKind.SR in there.results}
        return tuple(one for one in SrClass if one in wanted) or (Destination().sr_class,)

    def destination(self, name: str) -> Destination | None:
        """Return the destination of that name, or None if it is no longer configured."""
        return next((there for there in self.destinations if there.name == name), None)


def default() -> Configuration:
    """Return the configuration that the shipped config.toml describes."""
    return Configuration()


def load(path: Path) -> Configuration:
    """Read a configuration file.

    Relative paths in it are meant from the folder it lies in.

    Raises
    ------
    ConfigurationError
        With every fault, if it has any.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError((f"{path}: cannot be read ({error.__class__.__name__})",)) from error
    return parse(text, name=str(path), folder=path.parent)


def parse(text: str, *, name: str = "config.toml", folder: Path = Path()) -> Configuration:
    """Turn the text of a configuration file into values; see `load`."""
    reader = Reader(text, name)
    outlining, place = segmentation(reader.table("segmentation"), folder)
    configuration = Configuration(
        node=_listener(reader.table("node"), folder),
        sources=tuple(_source(table, folder) for table in reader.tables("sources")),
        destinations=tuple(_destination(table, folder) for table in reader.tables("destinations")),
        storage=_storage(reader.table("storage"), folder),
        store=_store(reader.table("store")),
        assembly=_assembly(reader.table("assembly")),
        analysis=_analysis(reader, outlining),
        segmentation=place,
        models=_models(reader.table("models"), folder),
        report=_report(reader.table("report")),
        engine=_engine(reader.table("engine")),
        delivery=_delivery(reader.table("delivery")),
        log=_log(reader.table("log")),
        audit=_audit(reader.table("audit"), folder),
        web=web(reader.table("web")),
    )
    reader.refuse_unknown_tables(_SECTIONS)
    names = [there.name for there in configuration.destinations]
    for twice in sorted({there for there in names if names.count(there) > 1}):
        reader.fault("destinations[1]", "", f"two destinations are called {twice}")
    if outlining.backend in PROGRAMS and configuration.engine.time_limit_s <= 2 * place.time_limit_s:
        reader.fault(
            "segmentation",
            "time_limit_s",
            "segmentation.time_limit_s is for one series; engine.time_limit_s must be over twice as long",
        )
    if reader.faults:
        raise ConfigurationError(tuple(reader.faults))
    return configuration


def _between(low: float, high: float) -> Callable[[float], str | None]:
    return lambda value: None if low <= value <= high else f"must be between {low} and {high}"


def _one_of(*words: str) -> Callable[[str], str | None]:
    return lambda value: None if value in words else f"must be one of {', '.join(words)}"


def _ae_title(value: str) -> str | None:
    return None if _AE_TITLE.fullmatch(value) else "must be 1 to 16 printable characters without backslash"


def _host(value: str) -> str | None:
    return None if value and not value.isspace() else "must name a host"


def _listener(table: Table, folder: Path) -> ListenerSettings:
    fallback = ListenerSettings()
    inner = table.table("tls")
    tls = _tls(inner, folder)
    if tls.ca is None and tls.certificate is not None:
        inner.fault("ca", "must name the authorities that senders' certificates are signed by")
    if tls.ca is not None and tls.certificate is None:
        inner.fault("certificate", "must be named where senders are to use TLS")
    inner.finish()
    settings = ListenerSettings(
        ae_title=table.take("ae_title", fallback.ae_title, check=_ae_title),
        host=table.take("host", fallback.host, check=_host),
        port=table.take("port", fallback.port, check=_between(0, 65535)),
        max_associations=table.take("max_associations", fallback.max_associations, check=_between(1, 1000)),
        max_pdu_bytes=table.take("max_pdu_bytes", fallback.max_pdu_bytes, check=_between(4096, 2**24)),
        idle_timeout_s=table.take("idle_timeout_s", fallback.idle_timeout_s, check=_between(0.1, 3600)),
        greeting_timeout_s=table.take(
            "greeting_timeout_s", fallback.greeting_timeout_s, check=_between(0.1, 600)
        ),
        slowest_kb_per_s=table.take("slowest_kb_per_s", fallback.slowest_kb_per_s, check=_between(0, 2**20)),
        max_instance_mb=table.take("max_instance_mb", fallback.max_instance_mb, check=_between(1, 4096)),
        tls=tls,
    )
    table.finish()
    return settings


def _tls(table: Table, folder: Path) -> TlsSettings:
    """Read the files of one side of a TLS connection; whoever calls it finishes the table."""

    def path(key: str) -> Path | None:
        name = table.take(key, "")
        return folder / name if name else None

    settings = TlsSettings(certificate=path("certificate"), key=path("key"), ca=path("ca"), crl=path("crl"))
    if (settings.certificate is None) != (settings.key is None):
        table.fault("key" if settings.key is None else "certificate", "is missing beside the other")
    if settings.crl is not None and settings.ca is None:
        table.fault("crl", "needs `ca`, the authority that signed the list")
    return settings


def _called_tls(table: Table, folder: Path) -> TlsSettings:
    """Read the table `tls` of somebody whom the node calls."""
    inner = table.table("tls")
    tls = replace(_tls(inner, folder), server_name=inner.take("server_name", ""))
    if tls.ca is None and (tls.certificate is not None or tls.server_name):
        inner.fault("ca", "must name the authorities that its certificate is signed by")
    inner.finish()
    return tls


def _source(table: Table, folder: Path) -> Source:
    def network(value: str) -> str | None:
        try:
            ip_network(value)
        except ValueError:
            return 'must be a network such as "10.1.2.0/24" or one address'
        return None

    fallback = Source()
    limit = _between(1, 2**40)
    source = Source(
        ae_title=table.require("ae_title", "*", check=_ae_title),
        network=ip_network(table.require("network", "127.0.0.0/8", check=network)),
        max_associations=table.take("max_associations", fallback.max_associations, check=_between(1, 1000)),
        max_instances_per_hour=table.take(
            "max_instances_per_hour", fallback.max_instances_per_hour, check=limit
        ),
        max_mb_per_hour=table.take("max_mb_per_hour", fallback.max_mb_per_hour, check=limit),
        ask=table.take("ask", fallback.ask),
        host=table.take("host", fallback.host),
        port=table.take("port", fallback.port, check=_between(1, 65535)),
        tls=_called_tls(table, folder),
    )
    if source.tls.ca is not None and not source.ask:
        table.table("tls").fault("ca", "is for asking it; for what it sends, see [node.tls]")
    if source.ask and (source.ae_title == "*" or not source.host):
        table.fault("ask", "needs the source's one AE title and its host")
    table.finish()
    return source


def _destination(table: Table, folder: Path) -> Destination:
    fallback = Destination()

    def name(value: str) -> str | None:
        return None if _NAME.fullmatch(value) else "must be lower-case letters, digits, - and _"

    kinds = tuple(kind.value for kind in ResultKind)
    stow_url = table.take("stow_url", "", check=_web_address)
    # An archive that speaks DICOMweb has no AE title.
    needed = table.take if stow_url else table.require
    destination = Destination(
        name=table.require("name", "pacs", check=name),
        ae_title=needed("ae_title", "ANY", check=_ae_title),
        host=needed("host", "127.0.0.1", check=_host),
        port=needed("port", 104, check=_between(1, 65535)),
        results=tuple(ResultKind(word) for word in table.words("results", USUAL_KINDS, kinds)),
        sr_class=SrClass(table.take("sr_class", fallback.sr_class.value, check=_one_of(*SrClass))),
        verify=table.take("verify", fallback.verify),
        storage_commitment=table.take("storage_commitment", fallback.storage_commitment),
        stow_url=stow_url.rstrip("/").removesuffix("/studies"),
        authorization=_secret(table, "authorization"),
        tls=_called_tls(table, folder),
    )
    if destination.stow_url and destination.storage_commitment:
        table.fault("storage_commitment", "is asked for by DIMSE; with stow_url, use verify")
    table.finish()
    return destination


def _storage(table: Table, folder: Path) -> StorageSettings:
    fallback = StorageSettings()
    settings = StorageSettings(
        directory=folder / table.take("directory", str(fallback.directory), check=_host),
        watermark_mb=table.take("watermark_mb", fallback.watermark_mb, check=_between(0, 2**30)),
        retention_days=table.take("retention_days", fallback.retention_days, check=_between(0, 36500)),
    )
    table.finish()
    return settings


def _store(table: Table) -> StoreSettings:
    url = table.take("url", "")
    if _SECRET_IN_URL.search(url):
        table.fault("url", 'holds a password; write "env:NAME" or "file:PATH" and keep the URL there')
    secret = _kept_elsewhere(table, "url", url)
    table.finish()
    return StoreSettings(url if secret is None else secret)


def _secret(table: Table, key: str) -> str:
    """Read a secret that the file may only point to."""
    pointer = table.take(key, "")
    secret = _kept_elsewhere(table, key, pointer)
    if pointer and secret is None:
        table.fault(key, 'is a secret; write "env:NAME" or "file:PATH" and keep it there')
    return secret or ""


def _kept_elsewhere(table: Table, key: str, pointer: str) -> str | None:
    """Follow "env:NAME" or "file:PATH"; None for any other text."""
    for scheme, read in (("env:", _from_environment), ("file:", _from_file)):
        if pointer.startswith(scheme):
            secret = read(pointer.removeprefix(scheme))
            if secret is None:
                table.fault(key, f"points to {pointer}, which is not there")
            return secret or ""
    return None


def _web_address(value: str) -> str | None:
    if _SECRET_IN_URL.search(value):
        return "holds a password; name it in authorization"
    return None if not value or _WEB_ADDRESS.fullmatch(value) else "must be an http:// or https:// address"


def _from_environment(name: str) -> str | None:
    return os.environ.get(name)


def _from_file(name: str) -> str | None:
    try:
        return Path(name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _assembly(table: Table) -> AssemblySettings:
    fallback = AssemblySettings()
    settings = AssemblySettings(
        quiet_s=table.take("quiet_s", fallback.quiet_s, check=_between(0, 3600)),
        max_wait_s=table.take("max_wait_s", fallback.max_wait_s, check=_between(0, 7 * 86400)),
        start_early=table.take("start_early", fallback.start_early),
    )
    table.finish()
    return settings


def _analysis(reader: Reader, outlining: SegmentationSettings) -> AnalysisSettings:
    fallback = AnalysisSettings()
    table = reader.table("analysis")
    sequences = (Contrast.T1.value, Contrast.T2.value)
    preferred = {
        target: Contrast(table.take(key, fallback.preferred[target].value, check=_one_of(*sequences)))
        for key, target in (
            ("osteoporosis_from", Target.OSTEOPOROSIS),
            ("abnormal_density_from", Target.ABNORMAL_DENSITY),
        )
    }
    minimum = table.take("minimum_usable_levels", fallback.minimum_usable_levels, check=_between(1, 5))
    table.skip("features")
    table.finish()
    return AnalysisSettings(_features(reader.table("analysis.features")), preferred, minimum, outlining)


def _features(table: Table) -> FeatureSettings:
    fallback = FeatureSettings()
    settings = FeatureSettings(
        filters=table.words("filters", fallback.filters, ("Original", "LoG", "Wavelet")),
        log_sigma_mm=table.numbers("log_sigma_mm", fallback.log_sigma_mm),
        bin_count=table.take("bin_count", fallback.bin_count, check=_between(2, 1024)),
        reference=table.take("reference", fallback.reference, check=_one_of("csf", "body")),
        in_plane=table.take("in_plane", fallback.in_plane),
        pixel_spacing_mm=table.take("pixel_spacing_mm", fallback.pixel_spacing_mm, check=_between(0.1, 5)),
        erosion_mm=table.take("erosion_mm", fallback.erosion_mm, check=_between(0, 10)),
    )
    table.finish()
    return settings


def _models(table: Table, folder: Path) -> ModelSettings:
    bundle = table.take("bundle", "")
    table.finish()
    return ModelSettings(folder / bundle if bundle else None)


def _report(table: Table) -> ReportSettings:
    fallback = ReportSettings()
    settings = ReportSettings(
        language=table.take("language", fallback.language, check=_one_of(*_LANGUAGES)),
        refusals=table.take("refusals", fallback.refusals),
    )
    table.finish()
    return settings


def _engine(table: Table) -> EngineSettings:
    fallback = EngineSettings()
    settings = EngineSettings(
        processes=table.take("processes", fallback.processes, check=_between(1, 64)),
        time_limit_s=table.take("time_limit_s", fallback.time_limit_s, check=_between(0.1, 86400)),
        memory_limit_mb=table.take("memory_limit_mb", fallback.memory_limit_mb, check=_between(512, 2**24)),
        attempts=table.take("attempts", fallback.attempts, check=_between(1, 100)),
        dask=table.take("dask", fallback.dask, check=_scheduler_address),
    )
    table.finish()
    return settings


def _scheduler_address(address: str) -> str | None:
    whole = not address or re.fullmatch(r"(tcp|tls|ws|wss)://\S+:\d+", address)
    return None if whole else "must be empty or the address of a Dask scheduler, such as tcp://10.0.0.5:8786"


def _delivery(table: Table) -> DeliverySettings:
    fallback = DeliverySettings()
    settings = DeliverySettings(
        retry_first_s=table.take("retry_first_s", fallback.retry_first_s, check=_between(0.01, 3600)),
        retry_longest_s=table.take("retry_longest_s", fallback.retry_longest_s, check=_between(0.01, 86400)),
        attempts=table.take("attempts", fallback.attempts, check=_between(1, 1000)),
        timeout_s=table.take("timeout_s", fallback.timeout_s, check=_between(0.1, 3600)),
    )
    table.finish()
    return settings


def _log(table: Table) -> LogSettings:
    fallback = LogSettings()
    settings = LogSettings(
        format=table.take("format", fallback.format, check=_one_of("console", "json")),
        level=table.take("level", fallback.level, check=_one_of("debug", "info", "warning", "error")),
    )
    table.finish()
    return settings


def _audit(table: Table, folder: Path) -> AuditSettings:
    def syslog(value: str) -> str | None:
        return None if not value or _SYSLOG.fullmatch(value) else f"must be one of {_SYSLOG_FORMS}"

    inner = table.table("tls")
    tls = replace(_tls(inner, folder), server_name=inner.take("server_name", ""))
    inner.finish()
    file = table.take("file", "")
    settings = AuditSettings(
        file=folder / file if file else None,
        syslog=table.take("syslog", "", check=syslog),
        source_id=table.take("source_id", ""),
        tls=tls,
    )
    if settings.syslog.startswith("tls:") and tls.ca is None:
        inner.fault("ca", "must name the authorities that the repository's certificate is signed by")
    table.finish()
    return settings
