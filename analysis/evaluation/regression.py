"""The bone density itself by regression, beside the two targets: how near it comes to QCT.

A ridge regression on features that are selected, counted and shrunk inside the training patients of each
split, as those of the classifiers are. It stays offline: no bundle holds a regression.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, ShuffleSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from analysis.cohort.feature_table import SEQUENCES, FeatureTable
from analysis.domain.reason import quoted
from analysis.errors import RefusedError
from analysis.evaluation.evaluate import Source, sources_of
from analysis.evaluation.outcomes import Figure
from analysis.evaluation.result import EvaluationSettings, Measure, Pooled
from analysis.learning.learn import LearningSettings
from analysis.learning.selection import select_features
from analysis.prediction.model import Estimator
from analysis.statistics.resampling import bootstrap_of_all, corrected_interval, percentile_interval
from analysis.tasks import Spread, in_turn

__all__ = ["AGREEMENT", "MEASURES", "Regressed", "Regression", "regress"]

MEASURES = ("MAE", "R²")
"""Mean absolute error, in mg/cm³, and the share of the variance that is explained."""

AGREEMENT = ("bias", "lower limit", "upper limit")
"""Of Bland and Altman: mean of predicted minus measured, and 1.96 SD below and above it, in mg/cm³."""

_POSSIBLE = {"MAE": (0.0, np.inf), "R²": (-np.inf, 1.0)}
"""What the measures can be at least and at most."""

_PENALTIES = (1000.0, 100.0, 10.0, 1.0)
_DRAWS = 200

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Regressed:
    """The regression on one source.

    Attributes
    ----------
    source : str
        One of `EvaluationSettings.sources` or `BASELINES`.
    measures : dict of str to Measure
        By the names of `MEASURES`, over the splits.
    agreement : dict of str to Figure
        By the names of `AGREEMENT`, of all predictions, where each patient counts once; with intervals of
        bootstrap samples of the patients.
    predicted : ndarray of shape (splits, patients)
        Predicted BMD in mg/cm³; NaN for the training patients of a split.
    """

    source: str
    measures: dict[str, Measure]
    agreement: dict[str, Figure]
    predicted: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """The regressions on all sources, on the same patients and splits.

    Attributes
    ----------
    patient_ids : tuple of str
        The patients, those with both sequences.
    bmd_mg_cm3 : ndarray of shape (patients,)
        BMD by QCT.
    rows : tuple of Regressed
        One for each source, then for each baseline that enough patients have.
    """

    patient_ids: tuple[str, ...]
    bmd_mg_cm3: Floats
    rows: tuple[Regressed, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Split:
    inside: Rows
    outside: Rows


def regress(
    table: FeatureTable,
    settings: EvaluationSettings,
    spread: Spread = in_turn,
    report_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Regression:
    """Predict the BMD of patients that are held out; the same table and settings give the same figures.

    Parameters
    ----------
    table : FeatureTable
        The measured cohort; patients without both sequences are left out, as in `evaluate`.
    settings : EvaluationSettings
        Of these, kinds and thresholds play no part.
    spread : Spread
        Runs the splits.
    report_progress : callable
        Called with the number of finished splits and the total.

    Raises
    ------
    RefusedError
        If all patients to be judged on in a split have the same BMD, so that there is nothing to explain.
    """
    complete = np.logical_and.reduce([table.sequences[name].available for name in SEQUENCES])
    bmd = table.bmd_mg_cm3[complete]
    splitter = ShuffleSplit(
        settings.splits, test_size=settings.test_share, random_state=settings.learning.seed
    )
    tasks = [_Split(inside, outside) for inside, outside in splitter.split(bmd)]
    if any(np.ptp(bmd[task.outside]) == 0 for task in tasks):
        raise RefusedError(quoted("all patients to be judged on in a split have the same bmd_mg_cm3"))
    sources = tuple(sources_of(table, complete, settings))
    predict = partial(_predict, bmd=bmd, sources=sources, learning=settings.learning)
    found: dict[int, list[Floats]] = {}
    for index, told in spread(predict, tasks):
        found[index] = told
        report_progress(len(found), len(tasks))
    rows = []
    for number, source in enumerate(sources):
        predicted = np.full((len(tasks), bmd.size), np.nan)
        for index, task in enumerate(tasks):
            predicted[index, task.outside] = found[index][number]
        rows.append(_summarised(source.name, bmd, predicted))
    patients = tuple(np.array(table.patient_ids, dtype=object)[complete].tolist())
    return Regression(patients, bmd, tuple(rows))


def _predict(
    task: _Split, *, bmd: Floats, sources: Sequence[Source], learning: LearningSettings
) -> list[Floats]:
    """Learn from the training patients of a split, and predict its test patients, for each source."""
    predicted = []
    for source in sources:
        # As for the classifiers, a missing value is replaced by the median of the training patients.
        typical = np.nanmedian(source.values[task.inside], axis=0)
        values = np.where(np.isfinite(source.values), source.values, typical)
        own = np.full_like(values, np.nan) if source.repeated is None else source.repeated
        columns, fitted = _learn(values[task.inside], own[task.inside], bmd[task.inside], learning)
        predicted.append(np.asarray(fitted.predict(values[task.outside][:, columns]), dtype=np.float64))
    return predicted


def _learn(
    values: Floats, repeated: Floats, bmd: Floats, learning: LearningSettings
) -> tuple[Rows, Estimator]:
    """Choose the number of features and the penalty by inner folds, and fit; the simpler wins a tie."""
    most = max(learning.feature_counts)
    folds = KFold(learning.folds, shuffle=True, random_state=learning.seed)
    candidates = list(product(sorted(learning.feature_counts), _PENALTIES))
    errors = np.zeros(len(candidates))
    for inside, outside in folds.split(values):
        ranked = select_features(values[inside], bmd[inside], most, repeated[inside], learning.minimum_icc)
        for index, (count, penalty) in enumerate(candidates):
            columns = ranked[:count]
            fitted = _ridge(penalty).fit(values[inside][:, columns], bmd[inside])
            errors[index] += float(((fitted.predict(values[outside][:, columns]) - bmd[outside]) ** 2).sum())
    count, penalty = candidates[int(np.argmin(np.round(errors, 6)))]
    columns = select_features(values, bmd, most, repeated, learning.minimum_icc)[:count]
    return columns, _ridge(penalty).fit(values[:, columns], bmd)


def _ridge(penalty: float) -> Estimator:
    return Pipeline([("scale", StandardScaler()), ("fit", Ridge(alpha=penalty))])


def _summarised(source: str, bmd: Floats, predicted: Floats) -> Regressed:
    drawn = bootstrap_of_all(bmd.size, _DRAWS, np.random.default_rng(0))
    weights = np.concatenate([np.ones((1, bmd.size)), drawn])
    by_split = np.stack([_errors(bmd, row, weights) for row in predicted])
    test = int(np.isfinite(predicted[0]).sum())
    measures = {
        name: _measure(name, by_split[..., index], test / (bmd.size - test))
        for index, name in enumerate(MEASURES)
    }
    limits = np.array(list(_limits(bmd, Pooled.of(predicted), weights)))
    agreement = {
        name: Figure(float(limits[0, index]), *percentile_interval(limits[1:, index]))
        for index, name in enumerate(AGREEMENT)
    }
    return Regressed(source, measures, agreement, predicted)


def _errors(bmd: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Return MAE and R² of the test patients of a split, for each row of weights, shape (draws, 2).

    NaN for a sample in which all have the same BMD.
    """
    judged = np.isfinite(predicted)
    truth, error, own = bmd[judged], predicted[judged] - bmd[judged], weights[:, judged]
    alike = np.array([np.ptp(truth[one > 0]) == 0 if (one > 0).any() else True for one in own])
    total = np.where(alike, np.nan, own.sum(axis=1))
    mean = own @ truth / total
    spread = own @ truth**2 - total * mean**2
    return np.stack([own @ np.abs(error) / total, 1 - own @ error**2 / spread], axis=1)


def _measure(name: str, drawn: Floats, overlap: float) -> Measure:
    """Summarise a measure of shape (splits, 1 + draws), whose first draw is the cohort itself."""
    values, samples = drawn[:, 0], drawn[:, 1:]
    known = samples[:, np.isfinite(samples).all(axis=0)]
    sampling = float(known.mean(axis=0).var(ddof=1)) if known.shape[1] > 1 else 0.0
    low, high = corrected_interval(values, overlap, sampling)
    least, most = _POSSIBLE[name]
    return Measure(float(values.mean()), float(values.std(ddof=1)), (max(least, low), min(most, high)))


def _limits(bmd: Floats, pooled: Pooled, weights: Floats) -> Iterator[tuple[float, float, float]]:
    """Yield bias and limits of agreement for each row of weights."""
    off = pooled.probabilities - bmd[pooled.rows]
    for own in weights[:, pooled.rows] * pooled.weights:
        bias = float(own @ off / own.sum())
        reach = 1.96 * float(np.sqrt(own @ (off - bias) ** 2 / own.sum()))
        yield bias, bias - reach, bias + reach
