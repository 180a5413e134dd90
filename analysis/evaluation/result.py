"""The values that make up the evaluation of a cohort."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analysis.domain.basis import BASES
from analysis.domain.findings import Target
from analysis.evaluation.absent import CONSTANT_SD
from analysis.evaluation.outcomes import Figure
from analysis.learning.learn import KINDS, LearningSettings
from analysis.learning.train import DENSITY_THRESHOLDS_MG_CM3
from analysis.statistics.roc import Comparison

__all__ = [
    "BASELINES",
    "SOURCES",
    "WITH_AGE_AND_SEX",
    "Cell",
    "Evaluation",
    "EvaluationSettings",
    "Measure",
    "PairedTest",
    "Pooled",
]

SOURCES = BASES
"""The sequences whose features the radiomic models read."""

WITH_AGE_AND_SEX = {f"{source} with age + sex": source for source in SOURCES}
"""Sources with age and sex as features beside the radiomics, and the images that they are compared with."""

BASELINES = ("age + sex", "VBQ", "T2-VBQ")
"""Baselines for comparison, each as a logistic regression."""

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """Settings of an evaluation.

    Attributes
    ----------
    kinds : tuple of str
        Kinds of classifier.
    thresholds_mg_cm3 : dict of Target to float
        QCT BMD below which a target is present.
    splits : int
        Number of random splits of the patients.
    test_share : float
        Fraction of the patients in the test set.
    minimum_per_class : int
        Smallest number of patients with, and without, each target.
    learning : LearningSettings
        Settings of the training, and the seed of the splits.
    age_and_sex : bool
        Whether each source is also learned from with age and sex beside its radiomics.
    bmd : bool
        Whether the bone density itself is predicted, too (`analysis.evaluation.regression`).
    """

    kinds: tuple[str, ...] = KINDS
    thresholds_mg_cm3: dict[Target, float] = field(default_factory=lambda: dict(DENSITY_THRESHOLDS_MG_CM3))
    splits: int = 10
    test_share: float = 0.3
    minimum_per_class: int = 10
    learning: LearningSettings = field(default_factory=LearningSettings)
    age_and_sex: bool = False
    bmd: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources of the radiomic models."""
        return (*SOURCES, *WITH_AGE_AND_SEX) if self.age_and_sex else SOURCES


@dataclass(frozen=True, slots=True)
class Measure:
    """One performance measure over the splits.

    Attributes
    ----------
    mean, sd : float
        Mean and standard deviation over the splits; the SD is no standard error.
    interval : tuple of two float
        95 % interval of what the same procedure is expected to reach on new patients after learning from as
        many as in a split: the variance of the splits, corrected for the patients that they share, and that
        of bootstrap samples of the patients to be judged on. Both hold the sampling of the latter, so the
        interval is rather too wide.
    """

    mean: float
    sd: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """The predictions of all splits for their test patients, each by one model, none of them averaged.

    Attributes
    ----------
    rows : ndarray of int, shape (predictions,)
        The patient of each prediction.
    probabilities : ndarray of shape (predictions,)
        The predictions.
    weights : ndarray of shape (predictions,)
        1 / number of predictions of the same patient, so that every patient who was judged counts once.
    """

    rows: npt.NDArray[np.intp]
    probabilities: Floats
    weights: Floats

    @classmethod
    def of(cls, probabilities: Floats) -> "Pooled":
        """Pool the predictions of a cell, shape (splits, patients)."""
        judged = np.isfinite(probabilities)
        splits, rows = np.nonzero(judged)
        return cls(rows, probabilities[splits, rows], 1 / judged.sum(axis=0)[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """The result of one kind of classifier on one source for one target.

    Attributes
    ----------
    target : Target
        The target.
    source : str
        One of `EvaluationSettings.sources` or `BASELINES`.
    kind : str
        Kind of classifier.
    measures : dict of str to Measure
        Measures by the names of `analysis.statistics.weighted.MEASURES`.
    calibration : dict of str to Figure
        "calibration slope", "calibration intercept" and "observed / expected" of the pooled predictions: 1, 0
        and 1 for calibrated models, and a smaller slope for models that are too extreme. Intervals by a
        bootstrap of patients.
    areas : ndarray of shape (splits,)
        AUC of every split.
    probabilities : ndarray of shape (splits, patients)
        Calibrated probabilities; NaN for the training patients of a split.
    called : ndarray of bool, shape (splits, patients)
        Whether the target was called present; False for the training patients of a split.
    """

    target: Target
    source: str
    kind: str
    measures: dict[str, Measure]
    calibration: dict[str, Figure]
    areas: Floats
    probabilities: Floats
    called: npt.NDArray[np.bool_]

    @property
    def constant(self) -> bool:
        """Whether the model tells nearly the same of every patient, in half of the splits or more."""
        return float(np.median(np.nanstd(self.probabilities, axis=1))) < CONSTANT_SD

    def pooled(self) -> Pooled:
        """Return the predictions of all splits."""
        return Pooled.of(self.probabilities)


@dataclass(frozen=True, slots=True)
class PairedTest:
    """The comparison of two sources with the same kind of classifier on the same patients.

    Attributes
    ----------
    target : Target
        The target.
    kind : str
        Kind of classifier.
    first, second : str
        The sources, or a source and a baseline; differences are first minus second.
    locked, repeated : Comparison
        DeLong's test on the test patients of the first split; the corrected t-test over all splits.
    locked_adjusted, repeated_adjusted : float
        Their p-values after Holm's correction over all tests of the same tuple.
    """

    target: Target
    kind: str
    first: str
    second: str
    locked: Comparison
    repeated: Comparison
    locked_adjusted: float
    repeated_adjusted: float


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The result of the whole experiment.

    Attributes
    ----------
    patient_ids : tuple of str
        The patients evaluated, those with both sequences.
    incomplete : int
        Number of patients left out because a sequence was missing.
    present : dict of Target to ndarray of bool, shape (patients,)
        Whether each target is present.
    cells : tuple of Cell
        The radiomic models, then the baselines.
    tests : tuple of PairedTest
        Comparisons of the sources in pairs.
    added_value : tuple of PairedTest
        Comparisons of each source with age and sex with the same source without them, corrected among
        themselves; empty if age and sex were not asked for.
    against_baselines : tuple of PairedTest
        Comparisons of each source with each baseline, corrected among themselves.
    repeatability : dict of str to dict of str to float
        ICC(2,1) of every feature by sequence; empty if repeats were not measured.
    settings : EvaluationSettings
        The settings used.
    features_digest : str
        Digest of the `FeatureSettings`.
    simulated : bool
        Whether the cohort is simulated.
    two_readers : bool
        Whether repeats are by the masks of a second reader.
    """

    patient_ids: tuple[str, ...]
    incomplete: int
    present: dict[Target, Truth]
    cells: tuple[Cell, ...]
    tests: tuple[PairedTest, ...]
    added_value: tuple[PairedTest, ...]
    against_baselines: tuple[PairedTest, ...]
    repeatability: dict[str, dict[str, float]]
    settings: EvaluationSettings
    features_digest: str
    simulated: bool
    two_readers: bool = False

    @property
    def patients(self) -> int:
        """Number of patients evaluated."""
        return len(self.patient_ids)

    def cell(self, target: Target, source: str, kind: str) -> Cell | None:
        """Return the cell of this target, source and kind, or None."""
        wanted = (target, source, kind)
        return next((cell for cell in self.cells if (cell.target, cell.source, cell.kind) == wanted), None)
