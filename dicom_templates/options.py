"""What a site may choose about its reports."""

from dataclasses import dataclass
from datetime import datetime

from dicom_templates.result_kinds import USUAL_KINDS, ResultKind, SrClass

__all__ = ["Predecessor", "ReportOptions"]


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A reference to an earlier document that a new one replaces.

    Attributes
    ----------
    sop_class_uid, sop_instance_uid, series_uid, study_uid : str
        Of the earlier document.
    number : int
        Number of its result set among those of its study, from 1.
    """

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    study_uid: str
    number: int = 1


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """How results are written; none of it changes a measured value.

    Attributes
    ----------
    made : datetime
        When this result set was first made, in the local time of the images. The templates have no clock, and
        the caller remembers it, so that a repeated analysis gives identical objects.
    language : str
        Language of all sentences: a key of `dicom_templates.words.languages.LANGUAGES`.
    sr_classes : tuple of SrClass
        The measurement report is written once in each. Comprehensive by default, because older archives
        reject Comprehensive 3D.
    institution : str
        InstitutionName of the results; empty if not configured.
    station : str
        Name of this node, usually its AE title; device UID and serial number derive from it.
    predecessors : tuple of Predecessor
        Documents that this result set replaces; each new document names those of its own storage class.
    kinds : frozenset of ResultKind
        Which are written; the content of one does not depend on the others.
    earlier : int
        Number of earlier result sets of the study, where no predecessor tells it.
    next_step : str
        What to do next, in the words of the site; empty for nothing.
    """

    made: datetime
    language: str = "en"
    sr_classes: tuple[SrClass, ...] = (SrClass.COMPREHENSIVE,)
    institution: str = ""
    station: str = "OSTEONODE"
    predecessors: tuple[Predecessor, ...] = ()
    kinds: frozenset[ResultKind] = frozenset(USUAL_KINDS)
    earlier: int = 0
    next_step: str = ""

    @property
    def number(self) -> int:
        """Number of this result set among those of its study, from 1."""
        return 1 + max((one.number for one in self.predecessors), default=self.earlier)

    @property
    def date(self) -> str:
        """Date of the objects as a DICOM DA."""
        return self.made.strftime("%Y%m%d")

    @property
    def time(self) -> str:
        """Time of the objects as a DICOM TM."""
        return self.made.strftime("%H%M%S")
