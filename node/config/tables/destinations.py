"""[[destinations]] of config.toml: where which results are sent."""

from dataclasses import dataclass, field

from dicom_templates.result_kinds import USUAL_KINDS, ResultKind, SrClass
from node.config.checks import ae_title, between, host, one_of, short_name, web_address
from node.config.secret import check_not_in_the_clear, secret
from node.config.table import Table
from node.config.tables.tls import TlsSettings, called_where_named

__all__ = ["Destination", "destination"]


@dataclass(frozen=True, slots=True)
class Destination:
    """[[destinations]]: a receiver of results, by C-STORE, STOW-RS (`stow_url`) or FHIR (`fhir_url`).

    `authorization` is the value of that HTTP header itself; the file only says where it is kept.
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
    fhir_url: str = ""
    authorization: str = field(default="", repr=False)
    authorization_in_the_clear: bool = False
    tls: TlsSettings = field(default_factory=TlsSettings)

    @property
    def confirms(self) -> bool:
        """Whether an object counts as delivered only after a query or a commitment confirmed it."""
        return self.verify or self.storage_commitment

    def wants(self, kind: ResultKind, sop_class_uid: str) -> bool:
        """Tell whether objects of this kind and SOP class are sent to this destination."""
        return kind in self.results and (kind is not ResultKind.SR or sop_class_uid == self.sr_class.storage)


def destination(table: Table) -> Destination:
    """Read one element of the array."""
    fallback = Destination()
    kinds = tuple(kind.value for kind in ResultKind)
    stow_url = table.take("stow_url", "", check=web_address)
    fhir_url = table.take("fhir_url", "", check=web_address)
    # A server of DICOMweb or FHIR is addressed by its URL.
    needed = table.take if stow_url or fhir_url else table.require
    usual = (ResultKind.FHIR,) if fhir_url else USUAL_KINDS
    found = Destination(
        name=table.require("name", "pacs", check=short_name),
        ae_title=needed("ae_title", "ANY", check=ae_title),
        host=needed("host", "127.0.0.1", check=host),
        port=needed("port", 104, check=between(1, 65535)),
        results=tuple(ResultKind(word) for word in table.words("results", usual, kinds)),
        sr_class=SrClass(table.take("sr_class", fallback.sr_class.value, check=one_of(*SrClass))),
        verify=table.take("verify", fallback.verify),
        storage_commitment=table.take("storage_commitment", fallback.storage_commitment),
        stow_url=stow_url.rstrip("/").removesuffix("/studies"),
        fhir_url=fhir_url.rstrip("/"),
        authorization=secret(table, "authorization"),
        authorization_in_the_clear=table.take(
            "authorization_in_the_clear", fallback.authorization_in_the_clear
        ),
        tls=table.table("tls").read(called_where_named),
    )
    if found.stow_url and found.storage_commitment:
        table.fault("storage_commitment", "is asked for by DIMSE; with stow_url, use verify")
    _note_contradictions_of_fhir(table, found)
    for key, url in (("stow_url", found.stow_url), ("fhir_url", found.fhir_url)):
        check_not_in_the_clear(
            table, key, url, found.authorization, is_allowed=found.authorization_in_the_clear
        )
    if found.stow_url.startswith("http://") and found.tls.ca is not None:
        table.fault("stow_url", "must be an https:// address where [destinations.tls] names a ca")
    return found


def _note_contradictions_of_fhir(table: Table, found: Destination) -> None:
    if bool(found.fhir_url) != (ResultKind.FHIR in found.results):
        table.fault("fhir_url", 'and "fhir" in results go together')
    if not found.fhir_url:
        return
    if found.stow_url or found.confirms or found.results != (ResultKind.FHIR,):
        table.fault("fhir_url", "goes with no stow_url, other results, verify or storage_commitment")
    if found.fhir_url.startswith("http://") and found.tls.ca is not None:
        table.fault("fhir_url", "must be an https:// address where [destinations.tls] names a ca")
