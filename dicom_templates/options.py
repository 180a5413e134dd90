"""What a site may choose about its reports."""

from dataclasses import dataclass
from datetime import datetime

from dicom_templates.result_kinds import USUAL_KINDS, ResultKind, SrClass

__all__ = ["Predecessor", "ReportOptions"]


@dataclass(frozen=True, slots=True)
class Predecessor:
    """An earlier document that a new one replaces.

    Attributes
    ----------
    sop_class_uid, sop_instance_uid, series_uid, study_uid : str
        Where it is found.
    """

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    study_uid: str


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """How results are written; none of it changes a measured value.

    Attributes
    ----------
    created : datetime
        Date and time of the results, in local time. This room has no clock: the caller decides, and derives
        it from the study where a repeated analysis shall give identical objects.
    language : str
        Of all sentences: "en" or "de".
    sr_classes : tuple of SrClass
        Of the measurement report, which is written once in each. Comprehensive by default, because older
        archives reject Comprehensive 3D.
    institution : str
        InstitutionName of the results; empty if not configured.
    station : str
        Name of this node, usually its AE title; device UID and serial number derive from it.
    predecessors : tuple of Predecessor
        Documents that this result set replaces; each new document names those of its own storage class.
    kinds : frozenset of ResultKind
        Which are written; the content of one does not depend on the others.
    """

    created: datetime
    language: str = "en"
    sr_classes: tuple[SrClass, ...] = (SrClass.COMPREHENSIVE,)
    institution: str = ""
    station: str = "OSTEONODE"
    predecessors: tuple[Predecessor, ...] = ()
    kinds: frozenset[ResultKind] = frozenset(USUAL_KINDS)

    @property
    def date(self) -> str:
        """`created` as a DICOM DA."""
        return self.created.strftime("%Y%m%d")

    @property
    def time(self) -> str:
        """`created` as a DICOM TM."""
        return self.created.strftime("%H%M%S")
