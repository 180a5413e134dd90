"""Train a model on a measured cohort: one calibrated classifier for every target and sequence."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.cohort.feature_table import SEQUENCES, FeatureTable, SequenceTable
from analysis.domain.findings import ModelIdentity, Target
from analysis.domain.reason import quoted
from analysis.errors import RefusedError
from analysis.learning.card_text import cohort_sentence, remarks_of
from analysis.learning.learn import KINDS, Learned, LearningSettings, learn, prepare_training_set
from analysis.learning.nested import Judged, answered, judge, performance_of
from analysis.learning.refits import error_band, precision_of, threshold_spread
from analysis.prediction.model import Classifier, Model, Probe, Range, TrainingRange, raw_scores
from analysis.statistics.conformal import conformal_limits

__all__ = [
    "DENSITY_THRESHOLDS_MG_CM3",
    "HeldOut",
    "Trained",
    "TrainingSettings",
    "train",
    "train_and_judge",
]

DENSITY_THRESHOLDS_MG_CM3 = {Target.OSTEOPOROSIS: 80.0, Target.ABNORMAL_DENSITY: 120.0}
"""QCT trabecular BMD below which a target is present: ACR practice parameter for QCT, lumbar spine."""

_DISTANCE_QUANTILE = 0.99


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

    def record(self) -> dict[str, Any]:
        """Return the choices of the run as JSON values."""
        return {
            "thresholds_mg_cm3": {target.value: bmd for target, bmd in self.thresholds_mg_cm3.items()},
            "confidence": self.confidence,
            "outer_folds": self.folds,
            "minimum_per_class": self.minimum_per_class,
            "refits": self.learning.refits,
            **self.learning.record(self.kinds),
        }


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """The predictions of nested cross-validation for one target and sequence.

    Attributes
    ----------
    target : Target
        The target.
    sequence : str
        "T1" or "T2".
    patient_ids : tuple of str
        The patients with this sequence, to whom all following values refer.
    present : ndarray of bool, shape (patients,)
        Whether the target is present.
    judged : Judged
        What a classifier that was trained without the patient says.
    answered : ndarray of bool, shape (patients,)
        Whether it gives an answer.
    features : tuple of str
        All features of the sequence, the columns of `judged.losses`.
    """

    target: Target
    sequence: str
    patient_ids: tuple[str, ...]
    present: npt.NDArray[np.bool_]
    judged: Judged
    answered: npt.NDArray[np.bool_]
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained model, and the predictions behind the figures of its card.

    Attributes
    ----------
    model : Model
        With an empty digest in its identity; `analysis.prediction.bundle.save` computes the digest.
    held_out : tuple of HeldOut
        One for each classifier; these hold identifiers, which the model does not.
    """

    model: Model
    held_out: tuple[HeldOut, ...]


def train(
    table: FeatureTable,
    settings: TrainingSettings,
    report_progress: Callable[[str], None] = lambda _step: None,
) -> Model:
    """Train a model, as `train_and_judge` does, and return it alone."""
    return train_and_judge(table, settings, report_progress).model


def train_and_judge(
    table: FeatureTable,
    settings: TrainingSettings,
    report_progress: Callable[[str], None] = lambda _step: None,
) -> Trained:
    """Train a model; the same table and settings give the same model.

    Parameters
    ----------
    table : FeatureTable
        The measured cohort.
    settings : TrainingSettings
        Settings of the run.
    report_progress : callable
        Called with the name of the next step.

    Returns
    -------
    Trained
        The model and its predictions for patients that were held out.

    Raises
    ------
    RefusedError
        If classes are too small; it names all of them, by target and sequence.
    """
    faults = tuple(_faults(table, settings))
    if faults:
        raise RefusedError(*map(quoted, faults))
    classifiers: dict[tuple[Target, str], Classifier] = {}
    held_out: list[HeldOut] = []
    for target, threshold in settings.thresholds_mg_cm3.items():
        for name in SEQUENCES:
            report_progress(f"training {target.value} from {name}")
            present = table.bmd_mg_cm3 < threshold
            sequence = table.sequences[name]
            classifiers[target, name], judged = _classifier(target, name, sequence, present, settings)
            held_out.append(_held_out(target, name, table, present, judged, confidence=settings.confidence))
    remarks = remarks_of(table, settings.kinds, settings.learning)
    model = Model(_identity(table, settings), table.features_digest, classifiers, remarks)
    return Trained(model, tuple(held_out))


def _held_out(
    target: Target,
    name: str,
    table: FeatureTable,
    present: npt.NDArray[np.bool_],
    judged: Judged,
    *,
    confidence: float,
) -> HeldOut:
    rows = table.sequences[name].available
    return HeldOut(
        target=target,
        sequence=name,
        patient_ids=tuple(np.array(table.patient_ids, dtype=object)[rows].tolist()),
        present=present[rows],
        judged=judged,
        answered=answered(judged, present[rows], confidence),
        features=table.sequences[name].names,
    )


def _faults(table: FeatureTable, settings: TrainingSettings) -> Iterator[str]:
    for name in SEQUENCES:
        available = table.sequences[name].available
        for target, threshold in settings.thresholds_mg_cm3.items():
            present = int((table.bmd_mg_cm3[available] < threshold).sum())
            for count, word in ((present, "below"), (int(available.sum()) - present, "at or above")):
                if count < settings.minimum_per_class:
                    yield (
                        f"{target.value} from {name}: {count} measured patients have a BMD {word} "
                        f"{threshold:g} mg/cm³, and {settings.minimum_per_class} are needed"
                    )


def _classifier(
    target: Target,
    name: str,
    sequence: SequenceTable,
    present: npt.NDArray[np.bool_],
    settings: TrainingSettings,
) -> tuple[Classifier, Judged]:
    rows = sequence.available
    values, repeated, present = sequence.values[rows], sequence.repeated[rows], present[rows]
    learned = learn(
        prepare_training_set(values, present, settings.learning, repeated), settings.kinds, settings.learning
    )
    judged = judge(
        values, repeated, present, kinds=settings.kinds, learning=settings.learning, folds=settings.folds
    )
    classifier = Classifier(
        target=target,
        sequence=name,
        kind=learned.kind,
        parameters=learned.parameters,
        features=tuple(sequence.names[column] for column in learned.columns),
        estimator=learned.estimator,
        calibration=learned.calibration,
        band=error_band(values, repeated, present, learned, settings.learning),
        decision_threshold=learned.threshold,
        threshold_rule=settings.learning.threshold_rule.sentence(),
        threshold_spread=threshold_spread(values, repeated, present, learned, settings.learning),
        conformal=conformal_limits(judged.probabilities, present, settings.confidence),
        training=_training_range(learned, sequence, values[:, learned.columns]),
        performance=performance_of(judged, present, settings.confidence),
        probe=_probe(learned),
    )
    return classifier, judged


def _training_range(
    learned: Learned, sequence: SequenceTable, values: npt.NDArray[np.float64]
) -> TrainingRange:
    standardised = learned.estimator["scale"].transform(values)
    rows = sequence.available
    knows = TrainingRange(
        repetition_time_ms=_range(sequence.repetition_time_ms[rows]),
        echo_time_ms=_range(sequence.echo_time_ms[rows]),
        field_strength_t=_range(sequence.field_strength_t[rows]),
        centre=standardised.mean(axis=0),
        precision=precision_of(standardised),
        distance_limit=np.inf,
    )
    limit = float(np.quantile(knows.distances(standardised), _DISTANCE_QUANTILE))
    return replace(knows, distance_limit=limit)


def _probe(learned: Learned) -> Probe:
    scale = learned.estimator["scale"]
    values = scale.mean_ + scale.scale_ / 2
    return Probe(tuple(values.tolist()), float(raw_scores(learned.estimator, values[None, :])[0]))


def _range(values: npt.NDArray[np.float64]) -> Range | None:
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else None


def _identity(table: FeatureTable, settings: TrainingSettings) -> ModelIdentity:
    use = settings.intended_use
    if table.simulated:
        use = "Simulated data: demonstration and software tests only, not for clinical use."
    return ModelIdentity(
        name=settings.name,
        version=settings.version,
        digest="",
        cohort=cohort_sentence(table),
        intended_use=use,
        simulated=table.simulated,
        thresholds_mg_cm3=dict(settings.thresholds_mg_cm3),
    )
