"""How often the interval of a recalibrated model holds the true probability, where that is known."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analysis.domain.findings import Target
from analysis.learning.learn import Learned, LearningSettings, learn, prepare_training_set
from analysis.learning.recalibrate import LocalPatients, Method, recalibrated
from analysis.learning.refits import error_band, remoteness
from analysis.learning.threshold import ThresholdRule
from analysis.prediction.model import Model, raw_scores
from analysis.statistics.calibration import Calibration
from analysis.statistics.error_band import ErrorBand
from analysis.statistics.logistic import logistic_of_all
from tests.analysis.learning.known_truth import COHORTS
from tests.analysis.synthetic_model import quick_model

__all__ = ["Held", "held_after_recalibration"]

_KEY = (Target.OSTEOPOROSIS, "T1")
_TRAINING = 150
_NEW = 1000
_POPULATIONS = {Method.INTERCEPT: (-1.0, 1.0), Method.SLOPE: (-0.5, 0.6)}
"""True log odds of the new population by those of the old one: intercept and slope."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Held:
    """The share of new patients whose interval holds their true probability.

    Attributes
    ----------
    after : str
        "training", or what was fitted on how many patients.
    held, width : float
        The share, and the mean width of the intervals.
    """

    after: str
    held: float
    width: float


def held_after_recalibration(
    nature: str, kind: str, seed: int, refits: int = 100, local: tuple[int, ...] = (100, 300)
) -> Iterator[Held]:
    """Train on one population, and recalibrate on patients of others; first the parent at home."""
    rng = np.random.default_rng(seed)
    draw = COHORTS[nature](rng)
    values, odds = draw(_TRAINING)
    present = rng.random(_TRAINING) < logistic_of_all(odds)
    settings = LearningSettings(refits=refits)
    nothing = np.full_like(values, np.nan)
    learned = learn(prepare_training_set(values, present, settings), (kind,), settings)
    band = error_band(values, nothing, present, learned, settings)
    new, new_odds = draw(_NEW)
    away = remoteness(values[:, learned.columns], new[:, learned.columns])
    scores = raw_scores(learned.estimator, new[:, learned.columns])
    yield _held("training", (learned.calibration, band), (scores, away), new_odds)
    parent = _model(learned, band)
    for method, (offset, slope) in _POPULATIONS.items():
        for count in local:
            others, true = draw(count)
            patients = LocalPatients(
                learned.probabilities(others),
                remoteness(values[:, learned.columns], others[:, learned.columns]),
                rng.random(count) < logistic_of_all(offset + slope * true),
            )
            made = recalibrated(parent, {_KEY: patients}, method, ThresholdRule(), simulated=True)
            one = made.classifiers[_KEY]
            after = f"{method.value}, {count} patients"
            yield _held(after, (one.calibration, one.band), (scores, away), offset + slope * new_odds)


def _model(learned: Learned, band: ErrorBand) -> Model:
    """Return a model with this classifier alone; whatever recalibration does not read is another's."""
    model = quick_model()
    classifier = replace(
        model.classifiers[_KEY], estimator=learned.estimator, calibration=learned.calibration, band=band
    )
    return replace(model, classifiers={_KEY: classifier})


def _held(
    after: str, by: tuple[Calibration, ErrorBand], new: tuple[Floats, Floats], true_odds: Floats
) -> Held:
    (calibration, band), (scores, away) = by, new
    told, truth = calibration.probabilities(scores), logistic_of_all(true_odds)
    limits = np.array([band.interval(p, r) for p, r in zip(told.tolist(), away.tolist(), strict=True)])
    held = (limits[:, 0] <= truth) & (truth <= limits[:, 1])
    return Held(after, float(held.mean()), float(np.ptp(limits, axis=1).mean()))
