"""Whether a patient is like those that a classifier was trained on."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import fdtri

from analysis.domain.basis import AgeAndSex
from analysis.domain.readings import ModelInput
from analysis.domain.reason import Reason
from analysis.domain.remoteness import TrainingDistance
from analysis.prediction.model import Classifier, PeopleRange, Range, TrainingRange, rounded

__all__ = ["distance_of", "objections_of_model", "training_distance", "usual_distance", "values_of"]

_RANGE_MARGIN = 0.1
"""Fraction by which TR, TE and field strength may lie outside the training range: scanners adjust and round
them, and a change of a tenth does not change the weighting."""
_FAR_SHARE = 0.1
"""Share of new patients like those of the training who are far (`TrainingDistance.is_far`)."""


def objections_of_model(
    read: ModelInput, classifiers: Sequence[Classifier], *, with_features: bool = True
) -> Iterator[Reason]:
    """Yield how a patient departs from what the classifiers of one basis were trained on.

    This is one judgement for all targets: a series that is unlike the training images for one target does not
    become like them for another. Every classifier of the basis must have seen such a series, also one that
    is not asked because its target prefers the other sequence, so the judgement does not depend on what else
    the study holds.

    - TR, TE and field strength must lie in the training range of each classifier, that is in what all of them
      have seen. The classifiers of a bundle are usually trained on the same patients, and then the ranges are
      the same; where they differ, each range that excludes the series is named.
    - A classifier that was trained with age and sex needs both, within what it has seen.
    - Distances cannot be joined into one, because each classifier has features of its own, and what one set
      of features does not show another may. The series must lie within the 99th percentile of each; the
      distance that exceeds its limit by the largest factor is named. The price is that of patients like those
      of the training up to 1 % per classifier instead of 1 % are set aside (with two targets at most 2 %).

    Parameters
    ----------
    read : ModelInput
        The patient.
    classifiers : sequence of Classifier
        All classifiers of its basis.
    with_features : bool
        False if the features have no valid reference, so that their distance would say nothing.
    """
    yield from dict.fromkeys(reason for one in classifiers for reason in _about_protocol(read, one.training))
    people = (one.training.people for one in classifiers)
    strange = [reason for seen in people if seen is not None for reason in _about_person(read.person, seen)]
    yield from dict.fromkeys(strange)
    if not with_features or strange:
        return
    told = _told(read)
    missing = [(sum(name not in told for name in one.features), one) for one in classifiers]
    count, most = max(missing, key=lambda pair: pair[0], default=(0, None))
    if most is not None and count:
        sequence, wanted = most.sequence, len(most.features)
        yield Reason("features_missing", sequence=sequence, missing=count, count=wanted)
        return
    yield from _about_distance(read, classifiers)


def _about_distance(read: ModelInput, classifiers: Sequence[Classifier]) -> Iterator[Reason]:
    """Yield by how much the features lie too far from the training patients, for the farthest classifier."""
    far = []
    for one in classifiers:
        distance, limit = _distance(read, one), one.training.distance_limit
        if not distance <= limit:
            reason = Reason("features_far", sequence=one.sequence, distance=distance, limit=limit)
            far.append((distance / limit, reason))
    if far:
        yield max(far, key=lambda pair: pair[0])[1]


def distance_of(read: ModelInput, classifier: Classifier) -> float | None:
    """Return how far the features of a patient lie from those of the training (`TrainingRange.distances`).

    None if a feature of the classifier is missing.
    """
    told = _told(read)
    return _distance(read, classifier) if all(name in told for name in classifier.features) else None


def training_distance(read: ModelInput, classifiers: Sequence[Classifier]) -> TrainingDistance | None:
    """Return how far a patient lies from what the classifiers of one basis were trained on.

    Parameters
    ----------
    read : ModelInput
        The patient.
    classifiers : sequence of Classifier
        All classifiers of its basis.

    Returns
    -------
    TrainingDistance or None
        None if there is no classifier, or if one of them lacks a feature.
    """
    told = _told(read)
    if not classifiers or any(name not in told for one in classifiers for name in one.features):
        return None
    share = _FAR_SHARE / len(classifiers)
    found = [
        (_distance(read, one), usual_distance(one, share), one.training.distance_limit) for one in classifiers
    ]
    distance, usual, limit = max(found, key=lambda values: values[0] / values[1])
    in_protocol = not any(reason for one in classifiers for reason in _about_protocol(read, one.training))
    return TrainingDistance(read.basis, distance, limit, usual, in_protocol)


def usual_distance(classifier: Classifier, share: float) -> float:
    """Return the distance beyond which a share of new patients lies who are like those of the training.

    The 99th percentile of the training patients does not say that: mean and covariance were fitted to these
    patients, so they lie nearer than new ones, much so where features are many and patients few. For features
    with a normal distribution, the distance of a new patient follows Hotelling's law of prediction. The
    covariance of a model is shrunk, and radiomics have heavier tails than a normal distribution, so the share
    is nominal.

    Parameters
    ----------
    classifier : Classifier
        Its number of training patients and features decide.
    share : float
        0 to 1.

    Returns
    -------
    float
        As `TrainingRange.distances`; the limit of the classifier if its patients are too few for this law.

    References
    ----------
    .. [1] Hotelling H. The generalization of Student's ratio. Ann Math Stat 1931;2:360-378.
    """
    patients, features = classifier.performance.patients, len(classifier.features)
    free = patients - features
    if free < 1:
        return classifier.training.distance_limit
    scale = features * (patients**2 - 1) / (patients * free)
    return float(np.sqrt(scale * fdtri(features, free, 1 - share)))


def _distance(read: ModelInput, classifier: Classifier) -> float:
    standardised = classifier.estimator["scale"].transform(values_of(read, classifier))
    return float(classifier.training.distances(standardised)[0])


def _about_protocol(read: ModelInput, training: TrainingRange) -> Iterator[Reason]:
    for sequence, seen in training.protocols.items():
        own = read.protocols[sequence]
        for code, value, limits, unit in (
            ("repetition_time", own.repetition_time_ms, seen.repetition_time_ms, "ms"),
            ("echo_time", own.echo_time_ms, seen.echo_time_ms, "ms"),
            ("field_strength", own.field_strength_t, seen.field_strength_t, "T"),
        ):
            if limits is None or _within(value, limits):
                continue  # within the range, or no header of the cohort had a value to compare with
            of = {"sequence": sequence, "quantity": Reason(code), "seen": _range(limits), "unit": unit}
            if value is None:
                yield Reason("protocol_unknown", **of)
            else:
                yield Reason("protocol_outside", value=rounded(value), **of)


def _about_person(person: AgeAndSex, seen: PeopleRange) -> Iterator[Reason]:
    """Yield what of a person is unknown or was not seen in training; the person's own age is not repeated."""
    if person.age_years is None:
        yield Reason("age_unknown")
    elif not seen.youngest <= person.age_years <= seen.oldest:
        yield Reason("age_outside", low=float(seen.youngest), high=float(seen.oldest))
    if person.sex is None:
        yield Reason("sex_unknown")
    elif person.sex not in seen.sexes:
        yield Reason("sex_outside")


def _within(value: float | None, limits: Range) -> bool:
    low, high = limits
    return value is not None and low * (1 - _RANGE_MARGIN) <= value <= high * (1 + _RANGE_MARGIN)


def _range(limits: Range) -> Reason:
    low, high = map(rounded, limits)
    return Reason("exactly", value=low) if low == high else Reason("from_to", low=low, high=high)


def values_of(read: ModelInput, classifier: Classifier) -> npt.NDArray[np.float64]:
    """Return the input of a classifier, shape (1, features)."""
    told = _told(read)
    return np.array([[told[name] for name in classifier.features]], dtype=np.float64)


def _told(read: ModelInput) -> dict[str, float]:
    return {**read.features, **read.person.features()}
