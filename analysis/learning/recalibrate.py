"""Recalibration: a model's probabilities, threshold and limits are fitted to the patients of another cohort.

The estimators, their features and their training range stay those of the parent. New are the logistic curve
from score to probability, the decision threshold, the conformal limits and the figures of the card. The
interval of a probability is the parent's, moved with the curve and widened by the uncertainty of the
recalibration (docs/decisions/0023-recalibration.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold

from analysis.domain.findings import Target
from analysis.domain.reason import quoted
from analysis.errors import RefusedError
from analysis.learning.nested import Judged, performance_of
from analysis.learning.threshold import ThresholdRule
from analysis.prediction.model import Classifier, Model, Parent
from analysis.statistics.calibration import Calibration
from analysis.statistics.calibration_check import calibration_lines, calibration_offsets
from analysis.statistics.conformal import conformal_limits
from analysis.statistics.error_band import ErrorBand, fit_error_band, log_odds
from analysis.statistics.logistic import logistic_of_all
from analysis.statistics.resampling import bootstrap_weights, percentile_interval

__all__ = ["LocalPatients", "Method", "recalibrated"]

_MINIMUM_PER_CLASS = 20
_FOLDS = 5
_DRAWS = 200

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]


class Method(StrEnum):
    """What is fitted to the new patients."""

    INTERCEPT = "intercept"
    SLOPE = "intercept and slope"


@dataclass(frozen=True, slots=True, eq=False)
class LocalPatients:
    """The patients by whom a classifier is recalibrated: those within its training range.

    Attributes
    ----------
    probabilities : ndarray of shape (patients,)
        What the classifier tells of them now.
    remoteness : ndarray of shape (patients,)
        As `TrainingRange.remoteness`.
    present : ndarray of bool, shape (patients,)
        Whether the target is present.
    """

    probabilities: Floats
    remoteness: Floats
    present: Truth


def recalibrated(
    model: Model,
    local: Mapping[tuple[Target, str], LocalPatients],
    method: Method,
    rule: ThresholdRule,
    *,
    simulated: bool,
) -> Model:
    """Make a model whose probabilities, thresholds and limits are those of other patients.

    A classifier with too few of them, or whose probabilities do not rise with the truth, is left out, and a
    remark of the card says so: it would be the only one with figures of another cohort.

    Parameters
    ----------
    model : Model
        The parent, with the digest of its bundle.
    local : mapping of (Target, str) to LocalPatients
        The patients for each of its classifiers.
    method : Method
        What is fitted.
    rule : ThresholdRule
        How the decision threshold is found.
    simulated : bool
        Whether any of the patients is simulated.

    Returns
    -------
    Model
        It names its parent; its own digest is empty until it is saved.

    Raises
    ------
    RefusedError
        If no classifier can be recalibrated; with a reason for each.
    """
    made: dict[tuple[Target, str], Classifier] = {}
    left_out: list[str] = []
    for key, classifier in model.classifiers.items():
        fault = _fault(local[key], method)
        if fault is None:
            made[key] = _classifier(classifier, local[key], method, rule)
        else:
            left_out.append(f"{key[0].value} from {key[1]} is left out: {fault}")
    if not made:
        raise RefusedError(*map(quoted, left_out))
    identity = model.identity
    most = max(one.present.size for one in local.values())
    return Model(
        identity=replace(
            identity,
            version=f"{identity.version}, recalibrated",
            digest="",
            cohort=f"{identity.cohort} Recalibrated on up to {most} patients of another cohort.",
            simulated=identity.simulated or simulated,
        ),
        features_digest=model.features_digest,
        classifiers=made,
        remarks=(*model.remarks, _NEW, _INTERVAL, *(f"{one}." for one in left_out)),
        parent=Parent(identity.name, identity.version, identity.digest, method.value),
    )


_SEPARATED = "its probabilities do not rise with the truth, or separate it"

_NEW = (
    "Recalibrated: probabilities, decision thresholds, conformal sets and the figures above are those of the "
    "patients of the recalibration within the training range; estimators, features and training range are "
    "those of the parent."
)
_INTERVAL = (
    "The 95 % interval of a probability is that of the parent, moved with the recalibration and widened by "
    "its uncertainty. In simulation it held the true probability about as often as that of the parent; for "
    "this population that cannot be measured."
)


def _fault(local: LocalPatients, method: Method) -> str | None:
    present = int(local.present.sum())
    fewest = min(present, local.present.size - present)
    if fewest < _MINIMUM_PER_CLASS:
        return (
            f"{present} patients with and {local.present.size - present} without the target lie in the "
            f"training range, and {_MINIMUM_PER_CLASS} of each are needed"
        )
    offset, slope = _lines(local, method, np.ones((1, local.present.size)))[0]
    if not (np.isfinite(offset) and slope > 0):
        return _SEPARATED
    return None


def _lines(local: LocalPatients, method: Method, weights: Floats) -> Floats:
    """Return the intercept and slope of the recalibration for every row of weights, shape (draws, 2)."""
    odds = log_odds(local.probabilities)
    if method is Method.SLOPE:
        return calibration_lines(odds, local.present, weights)
    offsets = calibration_offsets(odds, local.present, weights)
    return np.stack([offsets, np.ones(len(offsets))], axis=1)


def _classifier(
    classifier: Classifier, local: LocalPatients, method: Method, rule: ThresholdRule
) -> Classifier:
    present, every = local.present, np.ones((1, local.present.size))
    judged = _judged(classifier, local, method, rule)
    line = _lines(local, method, every)[0]
    weights = bootstrap_weights(present, _DRAWS, np.random.default_rng(0))
    drawn = _usable(_lines(local, method, weights))
    return replace(
        classifier,
        calibration=Calibration(
            slope=float(line[1] * classifier.calibration.slope),
            intercept=float(line[0] + line[1] * classifier.calibration.intercept),
        ),
        band=_band(classifier.band, local, line, drawn),
        decision_threshold=rule.threshold(present, judged.probabilities),
        threshold_rule=rule.sentence(),
        threshold_spread=_threshold_spread(local, method, rule, weights),
        conformal=conformal_limits(judged.probabilities, present, classifier.conformal.confidence),
        performance=performance_of(judged, present, classifier.conformal.confidence),
    )


def _judged(classifier: Classifier, local: LocalPatients, method: Method, rule: ThresholdRule) -> Judged:
    """Judge every patient by a recalibration that was fitted without that patient."""
    odds, size = log_odds(local.probabilities), local.present.size
    judged = Judged(np.empty(size), np.empty(size), np.empty((size, 2)), np.empty(size, dtype=np.intp))
    splitter = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    for number, (inside, outside) in enumerate(splitter.split(odds, local.present)):
        part = LocalPatients(local.probabilities[inside], local.remoteness[inside], local.present[inside])
        line = _lines(part, method, np.ones((1, inside.size)))[0]
        if not np.isfinite(line).all():
            raise RefusedError(quoted(f"{classifier.target.value} from {classifier.sequence}: {_SEPARATED}"))
        weights = bootstrap_weights(part.present, _DRAWS, np.random.default_rng(number))
        band = _band(classifier.band, part, line, _usable(_lines(part, method, weights)))
        judged.probabilities[outside] = logistic_of_all(line[0] + line[1] * odds[outside])
        judged.thresholds[outside] = rule.threshold(
            part.present, logistic_of_all(line[0] + line[1] * odds[inside])
        )
        judged.fold[outside] = number
        for row in outside:
            chance, away = float(judged.probabilities[row]), float(local.remoteness[row])
            judged.limits[row] = band.interval(chance, away)
    return judged


def _usable(lines: Floats) -> Floats:
    return lines[np.isfinite(lines).all(axis=1)]


def _band(band: ErrorBand, local: LocalPatients, line: Floats, drawn: Floats) -> ErrorBand:
    """Return the parent's band, moved with the recalibration and widened by its uncertainty.

    True log odds are drawn from the parent's band for each patient, moved by the line of each bootstrap
    sample, and a band of the same form is learned from them.
    """
    odds, remote = log_odds(local.probabilities), local.remoteness
    constant, by_square, by_remoteness = band.variance
    spread = np.sqrt(constant + by_square * odds**2 + by_remoteness * remote)
    # The errors of the parent are known by two percentiles; on either side they are taken as normal.
    standard = np.random.default_rng(0).normal(size=(len(drawn), odds.size)) / NormalDist().inv_cdf(0.975)
    error = np.where(standard < 0, -band.reach[0], band.reach[1]) * standard
    truths = odds + band.shift[0] + band.shift[1] * odds + spread * error
    truths = drawn[:, :1] + drawn[:, 1:] * truths
    estimates = np.broadcast_to(line[0] + line[1] * odds, truths.shape)
    away = np.broadcast_to(remote, truths.shape)
    return fit_error_band(estimates.ravel(), away.ravel(), truths.ravel(), np.ones(truths.size))


def _threshold_spread(
    local: LocalPatients, method: Method, rule: ThresholdRule, weights: Floats
) -> tuple[float, float]:
    odds = log_odds(local.probabilities)
    found = []
    for line, weight in zip(_lines(local, method, weights), weights, strict=True):
        rows = np.repeat(np.arange(odds.size), weight.astype(int))
        if np.isfinite(line).all():
            chances = logistic_of_all(line[0] + line[1] * odds[rows])
            found.append(rule.threshold(local.present[rows], chances))
    return percentile_interval(np.array(found))
