"""Questions and answers: keys to ask for, studies and series from what an archive returns."""

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import date, datetime
from typing import Any

from pydicom import Dataset

from analysis.domain.acquisition import AcquisitionFacts
from node.decode.facts import facts_of
from node.decode.header_values import number, text, words
from node.domain.archive import ArchiveQuery, FoundSeries, FoundStudy
from node.domain.identifiers import is_uid
from node.errors import PermanentError

__all__ = ["IMAGE_KEYS", "SERIES_KEYS", "completed_facts", "series_in", "studies_in", "study_keys"]

_STUDY_KEYS = (
    *("StudyInstanceUID", "PatientID", "AccessionNumber", "StudyDate", "StudyDescription"),
    *("ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "PatientBirthDate"),
)
SERIES_KEYS = (
    *("SeriesInstanceUID", "Modality", "SeriesDescription", "ProtocolName", "BodyPartExamined"),
    *("StationName", "InstitutionName", "Manufacturer", "ManufacturerModelName"),
    "NumberOfSeriesRelatedInstances",
)
"""What is asked of each series; few archives know all of it."""
IMAGE_KEYS = (
    *("ImageType", "ScanningSequence", "SequenceVariant", "ScanOptions", "SequenceName"),
    *("MRAcquisitionType", "RepetitionTime", "EchoTime", "InversionTime", "EchoTrainLength", "FlipAngle"),
    *("MagneticFieldStrength", "ContrastBolusAgent", "ImageOrientationPatient", "Rows", "Columns"),
    *("PixelSpacing", "SpacingBetweenSlices", "SliceThickness"),
)
"""What is asked of one image, to judge its series; most archives know little of it."""
_RESERVED = re.compile(r"[*?\\]|[^\x20-\x7e\xa0-\U0010ffff]")
"""Characters that mean something else in a query, or that no identifier has."""
_NO_PLAIN_TEXT = re.compile(r"[^\x20-\x7e]|\\")
_MOST_COUNTED = 10**6


def study_keys(query: ArchiveQuery) -> dict[str, str]:
    """Return the keys of a query at the level of studies.

    Raises
    ------
    PermanentError
        If an identifier holds characters that a query cannot hold.
    """
    if query.study_uid and not is_uid(query.study_uid):
        raise PermanentError("the Study Instance UID that is asked for is no UID")
    for name, value in (("accession number", query.accession_number), ("patient ID", query.patient_id)):
        if _RESERVED.search(value):
            raise PermanentError(f"the {name} that is asked for holds a character that DICOM reserves")
    dates = "-".join("" if day is None else f"{day:%Y%m%d}" for day in (query.since, query.until))
    if query.since == query.until:
        dates = dates.partition("-")[0]
    asked = {
        "StudyInstanceUID": query.study_uid,
        "AccessionNumber": query.accession_number,
        "PatientID": query.patient_id,
        "StudyDate": dates,
        # Not every archive compares such characters as it should; what it finds is compared again.
        "StudyDescription": _NO_PLAIN_TEXT.sub("*", query.description),
        "ModalitiesInStudy": query.modality,
    }
    return {keyword: asked.get(keyword, "") for keyword in _STUDY_KEYS}


def studies_in(answers: Iterable[Dataset], query: ArchiveQuery) -> list[FoundStudy]:
    """Return the studies that match a query, each once, ordered by date and UID.

    Archives that do not know a key return studies that do not match it. Such a study is left out, unless the
    archive does not tell the value by which it could be judged; a study that is looked for by an identifier
    must have it.
    """
    found = {study.study_uid: study for study in map(_study, answers) if is_uid(study.study_uid)}
    matching = (study for study in found.values() if _matches(study, query))
    return sorted(matching, key=lambda study: (study.study_date or date.min, study.study_uid))


def series_in(answers: Iterable[Dataset], study_uid: str) -> list[FoundSeries]:
    """Return the series of a study, each once, ordered by UID; those of another study are left out."""
    found = {}
    for answer in answers:
        series_uid = text(answer, "SeriesInstanceUID")
        of_study = text(answer, "StudyInstanceUID") or study_uid
        if is_uid(series_uid) and of_study == study_uid:
            found[series_uid] = _series(answer, study_uid, series_uid)
    return [found[uid] for uid in sorted(found)]


def completed_facts(series: FoundSeries, header: Dataset) -> AcquisitionFacts:
    """Return the facts of a series, completed by those in the header of one of its images."""
    usual, known, more = AcquisitionFacts(modality=""), series.facts, facts_of([header])
    added: dict[str, Any] = {
        field.name: getattr(more, field.name)
        for field in fields(AcquisitionFacts)
        if getattr(known, field.name) == getattr(usual, field.name)
    }
    return replace(known, **added | {"slices": series.images or added.get("slices", known.slices)})


def _study(answer: Dataset) -> FoundStudy:
    return FoundStudy(
        study_uid=text(answer, "StudyInstanceUID"),
        patient_id=text(answer, "PatientID"),
        accession_number=text(answer, "AccessionNumber"),
        study_date=_day(answer, "StudyDate"),
        description=text(answer, "StudyDescription"),
        modalities=words(answer, "ModalitiesInStudy"),
        series=_count(answer, "NumberOfStudyRelatedSeries"),
        images=_count(answer, "NumberOfStudyRelatedInstances"),
        birth_date=_day(answer, "PatientBirthDate"),
    )


def _series(answer: Dataset, study_uid: str, series_uid: str) -> FoundSeries:
    images = _count(answer, "NumberOfSeriesRelatedInstances")
    return FoundSeries(
        study_uid,
        series_uid,
        replace(facts_of([answer]), slices=images or 0),
        station=text(answer, "StationName"),
        institution=text(answer, "InstitutionName"),
        images=images,
    )


def _matches(study: FoundStudy, query: ArchiveQuery) -> bool:
    day, said = study.study_date, study.description
    return (
        query.study_uid in {"", study.study_uid}
        and query.accession_number.strip() in {"", study.accession_number}
        and query.patient_id.strip() in {"", study.patient_id}
        and (day is None or query.since is None or day >= query.since)
        and (day is None or query.until is None or day <= query.until)
        and (not said or not query.description or _is_like(said, query.description))
        and (not study.modalities or not query.modality or query.modality in study.modalities)
    )


def _is_like(said: str, pattern: str) -> bool:
    """Compare as archives do: without regard to case, and brackets are no wildcards."""
    return fnmatch.fnmatchcase(said.casefold(), pattern.casefold().replace("[", "[[]"))


def _day(answer: Dataset, keyword: str) -> date | None:
    digits = text(answer, keyword).replace(".", "").replace("-", "")
    try:
        return datetime.strptime(digits, "%Y%m%d").date()  # noqa: DTZ007 - a day has no time zone
    except ValueError:
        return None


def _count(answer: Dataset, keyword: str) -> int | None:
    found = number(answer, keyword)
    return int(found) if found is not None and 0 <= found <= _MOST_COUNTED else None
