"""The choices of a training run, and what the card of its model says of cohort and choices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.cohort.basis_table import BasisTable
from analysis.cohort.feature_table import FeatureTable
from analysis.domain.basis import BASES, BOTH, SEQUENCES
from analysis.domain.findings import ModelIdentity, Target
from analysis.learning.learn import KINDS, LearningSettings

__all__ = ["DENSITY_THRESHOLDS_MG_CM3", "TrainingSettings", "identity_of", "remarks_of"]

DENSITY_THRESHOLDS_MG_CM3 = {Target.OSTEOPOROSIS: 80.0, Target.ABNORMAL_DENSITY: 120.0}
"""QCT trabecular BMD below which a target is present: ACR practice parameter for QCT, lumbar spine."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Settings of a training run.

    Attributes
    ----------
    name, version : str
        Name and version of the model, cited by reports.
    intended_use : str
        One sentence for the card; a simulated cohort replaces it.
    kinds : tuple of str
        Kinds of classifier to choose from inside the folds; the first wins a tie. KNN was the paper's best.
    thresholds_mg_cm3 : dict of Target to float
        QCT BMD below which a target is present.
    confidence : float
        Confidence level of the conformal sets. 0.8 lets one in five patients of either class have a wrong
        answer; at 0.9 a classifier with an AUC of 0.8 would leave most patients undecided.
    folds : int
        Number of folds of the outer cross-validation, which gives the figures of the card and the conformal
        limits.
    minimum_per_class : int
        Smallest number of patients with, and without, each target.
    learning : LearningSettings
        Settings of the training inside the folds.
    both_for : frozenset of Target
        Targets that also get a classifier of T1 and T2 together.
    age_and_sex : bool
        Whether age and sex are features beside the radiomics; the node then needs both for an answer.
    """

    name: str = "OsteoNode model"
    version: str = "1"
    intended_use: str = "Research on opportunistic screening for low bone density; not a diagnosis."
    kinds: tuple[str, ...] = KINDS
    thresholds_mg_cm3: dict[Target, float] = field(default_factory=lambda: dict(DENSITY_THRESHOLDS_MG_CM3))
    confidence: float = 0.8
    folds: int = 5
    minimum_per_class: int = 10
    learning: LearningSettings = field(default_factory=LearningSettings)
    both_for: frozenset[Target] = frozenset()
    age_and_sex: bool = False

    def bases(self, target: Target) -> tuple[str, ...]:
        """Return what a classifier of the target is trained on, each in turn."""
        return BASES if target in self.both_for else SEQUENCES

    def record(self) -> dict[str, Any]:
        """Return the choices of the run as JSON values."""
        return {
            "thresholds_mg_cm3": {target.value: bmd for target, bmd in self.thresholds_mg_cm3.items()},
            "confidence": self.confidence,
            "outer_folds": self.folds,
            "minimum_per_class": self.minimum_per_class,
            "refits": self.learning.refits,
            "bases": {target.value: list(self.bases(target)) for target in self.thresholds_mg_cm3},
            "age_and_sex": self.age_and_sex,
            **self.learning.record(self.kinds),
        }


def identity_of(table: FeatureTable, settings: TrainingSettings) -> ModelIdentity:
    """Return the identity of a model that is trained on a cohort, without a digest."""
    use = settings.intended_use
    if table.simulated:
        use = "Simulated data: demonstration and software tests only, not for clinical use."
    return ModelIdentity(
        name=settings.name,
        version=settings.version,
        digest="",
        cohort=_cohort(table),
        intended_use=use,
        simulated=table.simulated,
        thresholds_mg_cm3=dict(settings.thresholds_mg_cm3),
    )


def _mean_and_sd(values: npt.NDArray[np.float64], digits: int) -> str:
    # The SD of a sample, as in Table 1 of the same patients.
    spread = f" ± {values.std(ddof=1):.{digits}f}" if values.size > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"


def _cohort(table: FeatureTable) -> str:
    words = [f"{len(table.patient_ids)} {'simulated ' if table.simulated else ''}patients"]
    known = np.isfinite(table.female)
    if known.any():
        words.append(
            f"{int(table.female[known].sum())} women and {int((table.female[known] == 0).sum())} men"
        )
    age = table.age[np.isfinite(table.age)]
    if age.size:
        words.append(f"age {_mean_and_sd(age, 1)} years")
    words.append(f"QCT BMD {_mean_and_sd(table.bmd_mg_cm3, 0)} mg/cm³")
    return ", ".join(words) + "."


def remarks_of(
    read: Mapping[str, BasisTable], settings: TrainingSettings, *, two_readers: bool = False
) -> tuple[str, ...]:
    """Return the further sentences of the card.

    Parameters
    ----------
    read : mapping of str to BasisTable
        What the classifiers of each basis read.
    settings : TrainingSettings
        Settings of the run.
    two_readers : bool
        Whether features were repeated by the masks of a second reader.
    """
    chosen = (
        f"The kind of model is {settings.kinds[0]}."
        if len(settings.kinds) == 1
        else f"The kind of model was chosen by AUC inside the folds among {', '.join(settings.kinds)}."
    )
    every = [sequence for one in read.values() for sequence in one.series.values()]
    repeats = any(np.isfinite(sequence.repeated).all(axis=1).any() for sequence in every)
    between = "between the masks of two readers" if two_readers else "when masks change a little"
    steady = (
        f"Features with an ICC(2,1) below {settings.learning.minimum_icc:g} {between} were left out "
        "inside the folds."
        if repeats
        else "How well the features repeat was not measured."
    )
    interval = (
        f"The 95 % interval of a probability is learned from {settings.learning.refits} refits of selection, "
        "fit and calibration on simulated targets of known probability."
    )
    return (
        chosen,
        "Features are of the pixels of the bodies alone; their filters stay within slice and body.",
        "KNN and SVM keep selected features of training patients, without identifiers, inside model.skops.",
        steady,
        interval,
        "A patient whose interval holds the decision threshold gets no answer.",
        "The model was judged on its own cohort only; another scanner, protocol or population may differ.",
        *((_TOGETHER,) if BOTH in read else ()),
        *((_PEOPLE,) if settings.age_and_sex else ()),
    )


_TOGETHER = (
    "T1+T2 reads both sequences of the same bodies: patients without one of them, with other usable "
    "bodies in T1 than in T2, or whose images could not be brought together were left out, and get no "
    "answer from it."
)
_PEOPLE = (
    "Age in whole years and sex were features beside the radiomics, in the same selection and folds. "
    "Patients of whom either is unknown were left out, and get no answer. Where selection took them, KNN "
    "and SVM keep age and sex of training patients, standardised, with the other selected features."
)
