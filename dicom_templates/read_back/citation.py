"""Reads from a measurement report what it was made of, so that `osteonode verify` can make it again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from pydicom import Dataset
from pydicom.sr.codedict import codes

from analysis.domain.reason import Reason
from analysis.domain.remoteness import Departure
from dicom_templates.codes.concepts import (
    CONFIGURATION_DIGEST,
    EARLIER_DIGEST,
    INPUT_DIGEST,
    MODEL_DIGEST,
    SCANNER_LEFT,
)
from dicom_templates.options import Predecessor, ReportOptions
from dicom_templates.result_kinds import ResultKind, SrClass
from dicom_templates.words.languages import LANGUAGES
from dicom_templates.words.texts import Texts

__all__ = ["Citation", "presentation_of", "read_citation"]


_CORRECTED = tuple(Texts(language).reason(Reason("identity_corrected")) for language in LANGUAGES)
"""In each language; all in ASCII, so that no character set changes them."""


@dataclass(frozen=True, slots=True)
class Citation:
    """The digests in a measurement report.

    Attributes
    ----------
    software : str
        Name and version of the program that made it.
    model : str
        SHA-256 of the model bundle; empty where none was used.
    configuration : str
        SHA-256 of the analysis settings.
    inputs : mapping of str to str
        Digest of each analysed series, by its Series Instance UID.
    earlier : str
        SHA-256 of the scores of the earlier examination that it compares with; empty if with none.
    corrected : bool
        Whether it says that the identity of the patient was corrected after an earlier report, which the
        images do not tell.
    departures : tuple of Departure
        Where it says that its scanner had left the training range of the model, which the images do not tell.
    """

    software: str
    model: str
    configuration: str
    inputs: Mapping[str, str]
    earlier: str = ""
    corrected: bool = False
    departures: tuple[Departure, ...] = ()


def read_citation(document: Dataset) -> Citation:
    """Read the digests that a measurement report cites.

    Parameters
    ----------
    document : Dataset
        The measurement report.

    Returns
    -------
    Citation

    Raises
    ------
    ValueError
        If it cites no configuration, so that it is no measurement report of this program, or if what it cites
        of a scanner cannot be read.
    """
    texts = list(_texts(document))
    configuration = [value for code, value in texts if code == CONFIGURATION_DIGEST.value]
    if not configuration:
        raise ValueError("it cites no configuration, so it is no measurement report of OsteoNode")
    inputs = (value.partition(" ") for code, value in texts if code == INPUT_DIGEST.value)
    return Citation(
        software=str(document.get("SoftwareVersions") or ""),
        model=next((value for code, value in texts if code == MODEL_DIGEST.value), ""),
        configuration=configuration[0],
        inputs={series_uid: digest for series_uid, _, digest in inputs},
        earlier=next((value for code, value in texts if code == EARLIER_DIGEST.value), ""),
        departures=tuple(Departure.parse(value) for code, value in texts if code == SCANNER_LEFT.value),
        corrected=any(sentence in value for sentence in _CORRECTED for _, value in texts),
    )


def presentation_of(document: Dataset) -> ReportOptions:
    """Read the options that a measurement report was written with.

    Parameters
    ----------
    document : Dataset
        The measurement report.

    Returns
    -------
    ReportOptions
        They give this document and no other object.

    Raises
    ------
    ValueError
        If it has no date, or is in a language that this version has no sentences in.
    """
    date_and_time = f"{document.ContentDate}{document.ContentTime}"[:14]
    made = datetime.strptime(date_and_time, "%Y%m%d%H%M%S")  # noqa: DTZ007 - local time of the site
    earlier = int(document.get("InstanceNumber") or 1) - 1
    return ReportOptions(
        made=made,
        language=_language(document),
        sr_classes=tuple(one for one in SrClass if one.storage == document.SOPClassUID),
        institution=str(document.get("InstitutionName") or ""),
        station=str(document.get("StationName") or ""),
        predecessors=tuple(_predecessors(document, earlier)),
        kinds=frozenset({ResultKind.SR}),
        earlier=earlier,
        next_step=_next_step(document),
    )


def _language(document: Dataset) -> str:
    wanted = codes.DCM.LanguageOfContentItemAndDescendants.value
    for item in document.get("ContentSequence", ()):
        if item.ConceptNameCodeSequence[0].get("CodeValue") == wanted:
            told = str(item.ConceptCodeSequence[0].CodeValue)
            if told in LANGUAGES:
                return told
    raise ValueError("it names no language that this version writes")


def _next_step(document: Dataset) -> str:
    wanted = codes.DCM.Recommendation.value
    return next((told for code, told in _texts(document) if code == wanted), "")


def _predecessors(document: Dataset, number: int) -> Iterator[Predecessor]:
    for study in document.get("PredecessorDocumentsSequence", ()):
        for series in study.ReferencedSeriesSequence:
            for one in series.ReferencedSOPSequence:
                yield Predecessor(
                    str(one.ReferencedSOPClassUID),
                    str(one.ReferencedSOPInstanceUID),
                    str(series.SeriesInstanceUID),
                    str(study.StudyInstanceUID),
                    number,
                )


def _texts(item: Dataset) -> Iterator[tuple[str, str]]:
    for child in item.get("ContentSequence", ()):
        if child.ValueType == "TEXT":
            yield str(child.ConceptNameCodeSequence[0].get("CodeValue", "")), str(child.TextValue)
        yield from _texts(child)
