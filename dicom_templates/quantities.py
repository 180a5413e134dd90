"""The numbers of a report with their concepts and units, for the measurement report and for findings.json."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from analysis.domain.basis import features_within
from analysis.domain.examination import ProbabilityChange, ScoreChange
from analysis.domain.findings import (
    AnswerFigures,
    Findings,
    LevelMeasurements,
    Prediction,
    SeriesFindings,
    Verdict,
)
from dicom_templates.codes import concepts
from dicom_templates.codes.radiomics import radiomic_code, radiomic_unit

__all__ = [
    "Quantity",
    "answer_quantities",
    "check_quantities",
    "earlier_probability",
    "level_quantities",
    "limit_of",
    "probability_quantities",
    "score_change_quantities",
    "vbq_of",
]

_PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with what it is.

    Attributes
    ----------
    concept : Code
        What it is.
    value : float
        In `unit`, of six significant digits: no measurement of ours is known better.
    unit : Code
        From UCUM.
    derivation : Code or None
        How it was computed from many: a mean, a limit of an interval.
    public : Code or None
        What it is in a public code, where its concept is private and says more.
    """

    concept: Code
    value: float
    unit: Code
    derivation: Code | None = None
    public: Code | None = None


def _quantity(
    concept: Code, value: float, unit: Code, derivation: Code | None = None, public: Code | None = None
) -> Quantity:
    return Quantity(concept, _significant(value), unit, derivation, public)


def _share(
    concept: Code, share: float, derivation: Code | None = None, public: Code | None = None
) -> Quantity:
    return _quantity(concept, _PERCENT * share, codes.UCUM.Percent, derivation, public)


def _significant(value: float) -> float:
    """Round to six significant digits.

    Examples
    --------
    >>> _significant(27.123456789), _significant(0.000123456789)
    (27.1235, 0.000123457)
    """
    return float(f"{value:.6g}")


# --- Answers --------------------------------------------------------------------------------------


def probability_quantities(prediction: Prediction) -> tuple[Quantity, ...]:
    """Return the probability, the decision threshold that the verdict names, and the limits of the interval.

    There are none when it abstains, because they would only be a guess.
    """
    if prediction.verdict is Verdict.INDETERMINATE or prediction.probability is None:
        return ()
    target, probability = prediction.target, codes.DCM.Probability
    found = [
        _share(concepts.PROBABILITY_OF[target], prediction.probability, public=probability),
        _share(concepts.THRESHOLD_OF[target], prediction.decision_threshold),
    ]
    if prediction.interval is not None:
        low, high = prediction.interval
        found += [
            _share(concepts.PROBABILITY_LOWER_OF[target], low, concepts.LOWER_UNCERTAINTY, probability),
            _share(concepts.PROBABILITY_UPPER_OF[target], high, concepts.UPPER_UNCERTAINTY, probability),
        ]
    return tuple(found)


def limit_of(limit_mg_cm3: float) -> Quantity:
    """Return the BMD that defines a target."""
    return _quantity(concepts.BMD_LIMIT, limit_mg_cm3, codes.UCUM.MilligramsPerCubicCentimeter)


def answer_quantities(figures: AnswerFigures) -> tuple[Quantity, ...]:
    """Return how right the answers about one target were, and of how many patients that is known."""
    counts = (
        (concepts.PATIENTS, figures.patients),
        (concepts.PRESENT, figures.present),
        (concepts.ANSWERED, figures.answered),
    )
    return (
        *(_quantity(name, count, concepts.PATIENT_COUNT) for name, count in counts),
        *(
            _share(name, figures.values[key])
            for key, name in concepts.FIGURE_OF.items()
            if key in figures.values
        ),
    )


# --- Series and bodies ----------------------------------------------------------------------------


def check_quantities(found: SeriesFindings) -> tuple[Quantity, ...]:
    """Return how good the outlines of a series are, its level names, and its sample of CSF."""
    return (
        _share(concepts.OUTLINE_QUALITY, found.judgement.quality),
        _share(concepts.LEVEL_CONFIDENCE, found.segmentation.level_confidence),
        _share(concepts.CSF_QUALITY, found.bone_quality.csf_quality),
    )


def vbq_of(found: SeriesFindings) -> Quantity | None:
    """Return the VBQ of a series, or None if it has none."""
    if found.bone_quality.score is None:
        return None
    return _quantity(concepts.VBQ_OF[found.identification.contrast], found.bone_quality.score, concepts.RATIO)


def score_change_quantities(change: ScoreChange) -> tuple[Quantity, ...]:
    """Return the score of the earlier examination and, where the two are comparable, the change since."""
    difference = change.difference
    earlier = _quantity(concepts.EARLIER_VBQ, change.then, concepts.RATIO)
    if difference is None:
        return (earlier,)
    return (earlier, _quantity(concepts.VBQ_CHANGE, difference, concepts.RATIO))


def earlier_probability(change: ProbabilityChange) -> Quantity:
    """Return the probability of the earlier examination."""
    return _share(concepts.EARLIER_PROBABILITY, change.then)


def level_quantities(
    measured: LevelMeasurements, found: SeriesFindings, findings: Findings
) -> tuple[Quantity, ...]:
    """Return what was measured in one body.

    Parameters
    ----------
    measured : LevelMeasurements
        The body.
    found : SeriesFindings
        Its series.
    findings : Findings
        The study, whose answers decide which radiomics are reported.

    Returns
    -------
    tuple of Quantity
    """
    return tuple(_of_level(measured, found, findings))


def _of_level(measured: LevelMeasurements, found: SeriesFindings, findings: Findings) -> Iterator[Quantity]:
    contrast = found.identification.contrast
    yield _quantity(codes.SCT.Volume, measured.volume_ml, codes.UCUM.CubicCentimeter)
    for value, derivation in (
        (measured.mean_signal, codes.SCT.Mean),
        (measured.median_signal, codes.SCT.Median),
        (measured.sd_signal, codes.SCT.StandardDeviation),
    ):
        yield _quantity(concepts.SIGNAL_OF[contrast], value, codes.UCUM.ArbitraryUnit, derivation)
    if measured.vbq is not None:
        yield _quantity(concepts.VBQ_OF[contrast], measured.vbq, concepts.RATIO)
    region = found.segmentation.region(measured.level)
    if region is not None:
        yield _share(concepts.OUTLINE_QUALITY, region.quality)
    for name in _radiomics_used(findings, found):
        if name in measured.features:
            yield _quantity(radiomic_code(name), measured.features[name], radiomic_unit(name))


def _radiomics_used(findings: Findings, found: SeriesFindings) -> tuple[str, ...]:
    """Name the radiomic features of which the mean or SD over the bodies entered an answer.

    Age and sex, which enter some answers too, are among the names; no body has features of these names.
    """
    contrast = found.identification.contrast.value
    return tuple(
        dict.fromkeys(
            name.removesuffix("_mean").removesuffix("_sd")
            for prediction in findings.predictions
            for name in features_within(prediction.sequence, contrast, prediction.features)
        )
    )
