"""The Observations of a study: one for each answer, for each series, and for each vertebra of a series."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydicom.sr.codedict import codes

from analysis.domain.findings import (
    Findings,
    LevelMeasurements,
    Prediction,
    SeriesFindings,
    Target,
    Verdict,
)
from dicom_templates.codes import concepts
from dicom_templates.fhir.elements import (
    OID,
    STUDY_SYSTEM,
    codeable,
    component,
    concept_of,
    logical,
    quantity,
    reason_components,
)
from dicom_templates.quantities import (
    Quantity,
    check_quantities,
    level_quantities,
    probability_quantities,
    vbq_of,
)

__all__ = ["CATEGORY", "observations", "withdrawn_answers"]

CATEGORY = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "imaging"}]
}
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


def observations(findings: Findings, study_uid: str) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Make the Observations, without what all resources of the report share.

    Parameters
    ----------
    findings : Findings
        What is reported.
    study_uid : str
        Study Instance UID.

    Yields
    ------
    key : tuple of str
        What it is about: the same in a later result set of the study.
    observation : dict
        The resource.
    """
    derived = _derived_from(study_uid)
    for prediction in findings.predictions:
        yield _key_of(prediction.target), _answer(prediction) | derived
    for found in findings.series:
        yield ("series", found.source.series_uid), _series(found) | derived
        for measured in found.measurements:
            key = ("body", found.source.series_uid, measured.level.name)
            yield key, _body(measured, found, findings) | derived


def withdrawn_answers(
    answered: Collection[Target], study_uid: str
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Make the Observations that take the place of answers of an earlier result set which this one has not.

    Otherwise a server would hold them as if they were valid.

    Parameters
    ----------
    answered : collection of Target
        What this result set answers.
    study_uid : str
        Study Instance UID.

    Yields
    ------
    key, observation
        As `observations` does; with a status of its own.
    """
    for target in Target:
        if target not in answered:
            told = _observation(codeable(concepts.TARGET_OF[target]), {}, [], site=codes.SCT.LumbarSpine)
            yield _key_of(target), told | _derived_from(study_uid) | {"status": "entered-in-error"}


def _key_of(target: Target) -> tuple[str, ...]:
    return "answer", target.value


def _derived_from(study_uid: str) -> dict[str, Any]:
    study = {"system": STUDY_SYSTEM, "value": f"{OID}{study_uid}"}
    return {"derivedFrom": [logical("ImagingStudy", study)]}


def _numbers(found: tuple[Quantity, ...]) -> list[dict[str, Any]]:
    return [component(concept_of(one), valueQuantity=quantity(one)) for one in found]


def _answer(prediction: Prediction) -> dict[str, Any]:
    is_open = prediction.verdict is Verdict.INDETERMINATE
    # As in the measurement report: beside an answer they are remarks.
    parts = [
        *_numbers(probability_quantities(prediction)),
        *reason_components(concepts.ABSTENTION if is_open else codes.DCM.Comment, prediction.reasons),
    ]
    return _observation(
        codeable(concepts.TARGET_OF[prediction.target]),
        {"valueCodeableConcept": codeable(concepts.VERDICT_OF[prediction.verdict])},
        parts,
        site=codes.SCT.LumbarSpine,
    )


def _series(found: SeriesFindings) -> dict[str, Any]:
    contrast = found.identification.contrast
    score = vbq_of(found)
    value: Mapping[str, Any] = (
        {"dataAbsentReason": {"coding": [{"system": _ABSENT, "code": "unknown"}]}}
        if score is None
        else {"valueQuantity": quantity(score)}
    )
    grade = component(
        codeable(concepts.GRADE), valueCodeableConcept=codeable(concepts.GRADE_OF[found.judgement.grade])
    )
    reasons = dict.fromkeys((*found.judgement.reasons, *found.bone_quality.concerns))
    parts = [*_numbers(check_quantities(found)), grade, *reason_components(concepts.GRADE, reasons)]
    return _observation(
        codeable(concepts.VBQ_OF[contrast]), value, parts, site=codes.SCT.LumbarSpine, series=found
    )


def _body(measured: LevelMeasurements, found: SeriesFindings, findings: Findings) -> dict[str, Any]:
    region = found.segmentation.region(measured.level)
    used = region is not None and region.usable
    is_used = component(
        codeable(concepts.USED_FOR_RESULT),
        valueCodeableConcept=codeable(codes.SCT.Yes if used else codes.SCT.No),
    )
    concerns = () if region is None else region.concerns
    parts = [
        *_numbers(level_quantities(measured, found, findings)),
        is_used,
        *reason_components(concepts.USED_FOR_RESULT, concerns),
    ]
    site = concepts.structure_of(measured.level, certain=found.segmentation.levels_certain)
    return _observation(codeable(codes.DCM.MeasurementGroup), {}, parts, site=site, series=found)


def _observation(
    code: Mapping[str, Any],
    value: Mapping[str, Any],
    parts: list[dict[str, Any]],
    *,
    site: Any,  # noqa: ANN401 - a code of pydicom's dictionary
    series: SeriesFindings | None = None,
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "resourceType": "Observation",
        "category": [CATEGORY],
        "code": dict(code),
        **value,
        "bodySite": codeable(site),
    }
    if series is not None:
        made["method"] = codeable(concepts.SIGNAL_OF[series.identification.contrast])
        uid = component(codeable(codes.DCM.SeriesInstanceUID), valueString=series.source.series_uid)
        parts = [uid, *parts]
    return made | ({"component": parts} if parts else {})
