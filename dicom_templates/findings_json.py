"""The findings of a study as JSON, for programs that read no DICOM; docs/schema/findings.json is its schema.

Numbers have the concepts, values and units of the measurement report, reasons are codes with values, and no
field names the patient.
"""

from collections.abc import Sequence
from typing import Any

from pydicom.sr.coding import Code

from analysis.domain.examination import Comparison, Examination
from analysis.domain.findings import (
    AnswerFigures,
    Findings,
    LevelMeasurements,
    ModelIdentity,
    Prediction,
    SeriesFindings,
    SeriesRefusal,
)
from analysis.domain.reason import coded
from dicom_templates.codes import concepts
from dicom_templates.quantities import (
    Quantity,
    answer_quantities,
    check_quantities,
    earlier_probability,
    level_quantities,
    limit_of,
    probability_quantities,
    score_change_quantities,
    vbq_of,
)
from dicom_templates.words.levels import level_names
from dicom_templates.words.texts import Texts

__all__ = ["findings_document"]

_ENGLISH = Texts("en")


def findings_document(findings: Findings, examination: Examination) -> dict[str, Any]:
    """Return the findings of a study in the types of JSON.

    Parameters
    ----------
    findings : Findings
        What is reported.
    examination : Examination
        What a later analysis of the patient compares with (`analysis.domain.priors.examination_of`).

    Returns
    -------
    dict
        The same for the same findings.
    """
    return {
        "study_uid": examination.study_uid,
        "software": findings.software,
        "configuration_sha256": findings.configuration_digest,
        "procedure": _code(concepts.procedure_of(findings)),
        "model": None if findings.model is None else _model(findings.model),
        "predictions": [_prediction(one) for one in findings.predictions],
        "series": [_series(one, findings) for one in findings.series],
        "set_aside": [_refused(one) for one in findings.set_aside],
        "remarks": coded(findings.remarks),
        "prior": None if findings.prior is None else _prior(findings.prior),
        "examination": examination.as_document(),
    }


def _code(code: Code) -> dict[str, str]:
    return {"scheme": code.scheme_designator, "value": code.value, "meaning": code.meaning}


def _quantity(quantity: Quantity) -> dict[str, Any]:
    told: dict[str, Any] = {
        "concept": _code(quantity.concept),
        "value": quantity.value,
        "unit": quantity.unit.value,
    }
    if quantity.derivation is not None:
        told["derivation"] = _code(quantity.derivation)
    if quantity.public is not None:
        told["public_concept"] = _code(quantity.public)
    return told


def _quantities(quantities: Sequence[Quantity]) -> list[dict[str, Any]]:
    return [_quantity(one) for one in quantities]


def _model(model: ModelIdentity) -> dict[str, Any]:
    return {
        "name": model.name,
        "version": model.version,
        "sha256": model.digest,
        "cohort": model.cohort,
        "intended_use": model.intended_use,
        "simulated": model.simulated,
        "targets": [
            {"target": _code(concepts.TARGET_OF[target]), "present_below": _quantity(limit_of(limit))}
            for target, limit in model.thresholds_mg_cm3.items()
        ],
    }


def _prediction(prediction: Prediction) -> dict[str, Any]:
    return {
        "target": _code(concepts.TARGET_OF[prediction.target]),
        "sequence": prediction.sequence,
        "age_and_sex": prediction.age_and_sex,
        "verdict": _code(concepts.VERDICT_OF[prediction.verdict]),
        "quantities": _quantities(probability_quantities(prediction)),
        "reasons": coded(prediction.reasons),
        "cross_validation": _answers(prediction.answers),
    }


def _answers(figures: AnswerFigures | None) -> list[dict[str, Any]]:
    return [] if figures is None else _quantities(answer_quantities(figures))


def _series(found: SeriesFindings, findings: Findings) -> dict[str, Any]:
    names = level_names(found, _ENGLISH)
    vbq = vbq_of(found)
    return {
        "series_uid": found.source.series_uid,
        "sha256": found.source.digest,
        "weighting": _code(concepts.SIGNAL_OF[found.identification.contrast]),
        "weighting_reasons": coded(found.identification.reasons),
        "segmenter": found.segmentation.method,
        "grade": _code(concepts.GRADE_OF[found.judgement.grade]),
        "reasons": coded(found.judgement.reasons),
        "levels_certain": found.segmentation.levels_certain,
        "checks": _quantities(check_quantities(found)),
        "vbq": None if vbq is None else _quantity(vbq),
        "vbq_reasons": coded(found.bone_quality.concerns),
        "bodies": [_body(one, names[one.level], found, findings) for one in found.measurements],
    }


def _body(
    measured: LevelMeasurements, name: str, found: SeriesFindings, findings: Findings
) -> dict[str, Any]:
    region = found.segmentation.region(measured.level)
    structure = concepts.structure_of(measured.level, certain=found.segmentation.levels_certain)
    return {
        "name": name,
        "structure": _code(structure),
        "used": region is not None and region.usable,
        "reasons": coded(region.concerns if region is not None else ()),
        "quantities": _quantities(level_quantities(measured, found, findings)),
    }


def _prior(prior: Comparison) -> dict[str, Any]:
    earlier = prior.earlier
    return {
        "study_uid": earlier.study_uid,
        "day": None if earlier.day is None else earlier.day.isoformat(),
        "sha256": earlier.digest(),
        "scores": [
            {
                "weighting": _code(concepts.SIGNAL_OF[one.contrast]),
                "quantities": _quantities(score_change_quantities(one)),
                "comparable": not one.obstacles,
                "reasons": coded(one.obstacles),
            }
            for one in prior.scores
        ],
        "probabilities": [
            {
                "target": _code(concepts.TARGET_OF[one.target]),
                "quantities": [_quantity(earlier_probability(one))],
            }
            for one in prior.probabilities
        ],
    }


def _refused(refusal: SeriesRefusal) -> dict[str, Any]:
    (description,) = coded([refusal.description])
    return {
        "series_uid": refusal.series_uid,
        "description": description,
        "reasons": coded(refusal.reasons),
    }
