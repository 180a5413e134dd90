"""Train a model on a measured cohort: one calibrated classifier for every target and basis."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import numpy.typing as npt

from analysis.cohort.basis_table import BasisTable, read_basis
from analysis.cohort.feature_table import FeatureTable, SequenceTable
from analysis.domain.basis import BASES
from analysis.domain.findings import ProtocolRange, Target
from analysis.domain.reason import quoted
from analysis.errors import RefusedError
from analysis.learning.learn import Learned, learn, prepare_training_set
from analysis.learning.nested import Judged, answered, judge, performance_of
from analysis.learning.refits import error_band, precision_of, threshold_spread
from analysis.learning.training_settings import (
    DENSITY_THRESHOLDS_MG_CM3,
    TrainingSettings,
    identity_of,
    remarks_of,
)
from analysis.prediction.model import (
    Classifier,
    Model,
    PeopleRange,
    Probe,
    Range,
    TrainingRange,
    raw_scores,
)
from analysis.statistics.conformal import conformal_limits

__all__ = [
    "DENSITY_THRESHOLDS_MG_CM3",
    "HeldOut",
    "Trained",
    "TrainingSettings",
    "train",
    "train_and_judge",
]

_DISTANCE_QUANTILE = 0.99


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """The predictions of nested cross-validation for one target and basis.

    Attributes
    ----------
    target : Target
        The target.
    sequence : str
        "T1", "T2" or "T1+T2".
    patient_ids : tuple of str
        The patients with all its features, to whom all following values refer.
    present : ndarray of bool, shape (patients,)
        Whether the target is present.
    judged : Judged
        What a classifier that was trained without the patient says.
    answered : ndarray of bool, shape (patients,)
        Whether it gives an answer.
    features : tuple of str
        All features to select from, the columns of `judged.losses`.
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
    read = {
        basis: read_basis(table, basis, age_and_sex=settings.age_and_sex)
        for basis in BASES
        if any(basis in settings.bases(target) for target in settings.thresholds_mg_cm3)
    }
    faults = tuple(_faults(table, read, settings))
    if faults:
        raise RefusedError(*map(quoted, faults))
    classifiers: dict[tuple[Target, str], Classifier] = {}
    held_out: list[HeldOut] = []
    for target, threshold in settings.thresholds_mg_cm3.items():
        for basis in settings.bases(target):
            report_progress(f"training {target.value} from {basis}")
            present = table.bmd_mg_cm3 < threshold
            classifiers[target, basis], judged = _classifier(target, read[basis], present, settings)
            held_out.append(
                _held_out(target, read[basis], table, present, judged, confidence=settings.confidence)
            )
    remarks = remarks_of(read, settings, two_readers=table.two_readers)
    model = Model(identity_of(table, settings), table.features_digest, classifiers, remarks)
    return Trained(model, tuple(held_out))


def _held_out(
    target: Target,
    read: BasisTable,
    table: FeatureTable,
    present: npt.NDArray[np.bool_],
    judged: Judged,
    *,
    confidence: float,
) -> HeldOut:
    rows = read.available
    return HeldOut(
        target=target,
        sequence=read.basis,
        patient_ids=tuple(np.array(table.patient_ids, dtype=object)[rows].tolist()),
        present=present[rows],
        judged=judged,
        answered=answered(judged, present[rows], confidence),
        features=read.names,
    )


def _faults(table: FeatureTable, read: Mapping[str, BasisTable], settings: TrainingSettings) -> Iterator[str]:
    # Every class has a patient in each outer fold, and in each inner fold of what an outer one leaves.
    inner, outer = settings.learning.folds, settings.folds
    least = max(settings.minimum_per_class, outer, ceil(inner * outer / (outer - 1)))
    people = " of known age and sex" if settings.age_and_sex else ""
    for basis, one in read.items():
        available = one.available
        for target, threshold in settings.thresholds_mg_cm3.items():
            if basis not in settings.bases(target):
                continue
            present = int((table.bmd_mg_cm3[available] < threshold).sum())
            for count, word in ((present, "below"), (int(available.sum()) - present, "at or above")):
                if count < least:
                    yield (
                        f"{target.value} from {basis}: {count} measured patients{people} have a BMD {word} "
                        f"{threshold:g} mg/cm³, and {least} are needed"
                    )


def _classifier(
    target: Target,
    read: BasisTable,
    present: npt.NDArray[np.bool_],
    settings: TrainingSettings,
) -> tuple[Classifier, Judged]:
    rows = read.available
    values, repeated, present = read.values[rows], read.repeated[rows], present[rows]
    learned = learn(
        prepare_training_set(values, present, settings.learning, repeated), settings.kinds, settings.learning
    )
    judged = judge(
        values, repeated, present, kinds=settings.kinds, learning=settings.learning, folds=settings.folds
    )
    classifier = Classifier(
        target=target,
        sequence=read.basis,
        kind=learned.kind,
        parameters=learned.parameters,
        features=tuple(read.names[column] for column in learned.columns),
        estimator=learned.estimator,
        calibration=learned.calibration,
        band=error_band(values, repeated, present, learned, settings.learning),
        decision_threshold=learned.threshold,
        threshold_rule=settings.learning.threshold_rule.sentence(),
        threshold_spread=threshold_spread(values, repeated, present, learned, settings.learning),
        conformal=conformal_limits(judged.probabilities, present, settings.confidence),
        training=_training_range(learned, read, values[:, learned.columns]),
        performance=performance_of(judged, present, settings.confidence),
        probe=_probe(learned),
    )
    return classifier, judged


def _training_range(learned: Learned, read: BasisTable, values: npt.NDArray[np.float64]) -> TrainingRange:
    standardised = learned.estimator["scale"].transform(values)
    rows = read.available
    knows = TrainingRange(
        protocols={name: _protocols(one, rows) for name, one in read.series.items()},
        centre=standardised.mean(axis=0),
        precision=precision_of(standardised),
        distance_limit=np.inf,
        people=_people(read, rows),
    )
    limit = float(np.quantile(knows.distances(standardised), _DISTANCE_QUANTILE))
    return replace(knows, distance_limit=limit)


def _protocols(sequence: SequenceTable, rows: npt.NDArray[np.bool_]) -> ProtocolRange:
    return ProtocolRange(
        repetition_time_ms=_range(sequence.repetition_time_ms[rows]),
        echo_time_ms=_range(sequence.echo_time_ms[rows]),
        field_strength_t=_range(sequence.field_strength_t[rows]),
    )


def _people(read: BasisTable, rows: npt.NDArray[np.bool_]) -> PeopleRange | None:
    if read.age is None or read.female is None:
        return None
    age, female = read.age[rows], read.female[rows]
    sexes = tuple(sex for sex, value in (("F", 1.0), ("M", 0.0)) if (female == value).any())
    return PeopleRange(int(age.min()), int(age.max()), sexes)


def _probe(learned: Learned) -> Probe:
    scale = learned.estimator["scale"]
    values = scale.mean_ + scale.scale_ / 2
    return Probe(tuple(values.tolist()), float(raw_scores(learned.estimator, values[None, :])[0]))


def _range(values: npt.NDArray[np.float64]) -> Range | None:
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else None
