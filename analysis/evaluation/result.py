"""What the evaluation of a cohort is made of, as values."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analysis.domain.findings import Target
from analysis.learning.learn import KINDS, LearningSettings
from analysis.learning.train import DENSITY_THRESHOLDS_MG_CM3
from analysis.statistics.roc import Comparison

__all__ = ["BASELINES", "SOURCES", "Cell", "Evaluation", "EvaluationSettings", "Measure", "PairedTest"]

SOURCES = ("T1", "T2", "T1+T2")
"""What the radiomic models read."""

BASELINES = ("age + sex", "VBQ", "T2-VBQ")
"""What they have to beat, each by a logistic regression."""

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """How to evaluate.

    Attributes
    ----------
    kinds : tuple of str
        Of model.
    thresholds_mg_cm3 : dict of Target to float
        QCT BMD below which a target holds.
    splits : int
        How often the patients are split anew.
    test_share : float
        Share of the patients to be judged on.
    draws : int
        Bootstrap samples.
    minimum_per_class : int
        Fewer patients with, or without, a target are not evaluated.
    learning : LearningSettings
        What happens on the learning side, and the seed.
    """

    kinds: tuple[str, ...] = KINDS
    thresholds_mg_cm3: dict[Target, float] = field(default_factory=lambda: dict(DENSITY_THRESHOLDS_MG_CM3))
    splits: int = 10
    test_share: float = 0.3
    draws: int = 2000
    minimum_per_class: int = 10
    learning: LearningSettings = field(default_factory=LearningSettings)


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure over the splits.

    Attributes
    ----------
    mean, sd : float
        Over the splits.
    interval : tuple of two float
        95 %, of the mean, by bootstrap over patients. It holds the luck of who was in the cohort to be
        judged; the models were not trained anew.
    """

    mean: float
    sd: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One kind of model on one source for one target.

    Attributes
    ----------
    target : Target
        What it answers.
    source : str
        One of SOURCES or BASELINES.
    kind : str
        Of model.
    measures : dict of str to Measure
        By MEASURES.
    areas : ndarray of shape (splits,)
        AUC of every split.
    probabilities : ndarray of shape (splits, patients)
        Calibrated; NaN where a patient was learned from.
    """

    target: Target
    source: str
    kind: str
    measures: dict[str, Measure]
    areas: Floats
    probabilities: Floats

    def judged(self) -> Floats:
        """Return each patient's mean probability when judged, shape (patients,); NaN if that was never."""
        counts = np.isfinite(self.probabilities).sum(axis=0)
        return np.where(counts > 0, np.nansum(self.probabilities, axis=0) / np.maximum(counts, 1), np.nan)


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Two sources compared, same model, same patients.

    Attributes
    ----------
    target : Target
        For which.
    kind : str
        Of model.
    first, second : str
        Sources; differences are first minus second.
    locked, repeated : Comparison
        DeLong's test on the test patients of the first split; the corrected t-test over all splits.
    locked_adjusted, repeated_adjusted : float
        Their p-values after Holm's correction over all tests of the evaluation.
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
    """The whole experiment.

    Attributes
    ----------
    patients, incomplete : int
        Who was evaluated; who was left out for lack of one sequence.
    present : dict of Target to ndarray of bool, shape (patients,)
        The truth.
    cells : tuple of Cell
        Radiomic models first, then the baselines.
    tests : tuple of PairedTest
        Of the sources, pair by pair.
    repeatability : dict of str to dict of str to float
        ICC(2,1) of every feature by sequence; empty where repeats were not measured.
    settings : EvaluationSettings
        How.
    features_digest : str
        Of the FeatureSettings.
    simulated : bool
        Whether the cohort is.
    """

    patients: int
    incomplete: int
    present: dict[Target, Truth]
    cells: tuple[Cell, ...]
    tests: tuple[PairedTest, ...]
    repeatability: dict[str, dict[str, float]]
    settings: EvaluationSettings
    features_digest: str
    simulated: bool

    def cell(self, target: Target, source: str, kind: str) -> Cell | None:
        """Return the cell of these, or None."""
        wanted = (target, source, kind)
        return next((cell for cell in self.cells if (cell.target, cell.source, cell.kind) == wanted), None)
