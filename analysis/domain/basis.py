"""What an answer is based on: the features of T1, of T2 or of both, and the age and sex of the patient."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = [
    "AGE_AND_SEX",
    "BASES",
    "BOTH",
    "SEQUENCES",
    "AgeAndSex",
    "asked_in_turn",
    "features_within",
    "joined",
    "name_within",
    "sequences_of",
]

SEQUENCES = ("T1", "T2")

BOTH = "T1+T2"
"""The basis of an answer from the features of both sequences by one classifier."""

BASES = (*SEQUENCES, BOTH)
"""All that a classifier can be based on."""

AGE_AND_SEX = ("age", "female")
"""Names of the two features of the patient: age in whole years; 1 for women and 0 for men."""


@dataclass(frozen=True, slots=True)
class AgeAndSex:
    """What a model may read of the patient beside the images.

    Attributes
    ----------
    age_years : int or None
        Age at the examination in whole years, as a header tells it; None if unknown.
    sex : str or None
        "F" or "M"; None if it is unknown or another one, which no model has learned from.
    """

    age_years: int | None = None
    sex: str | None = None

    def features(self) -> dict[str, float]:
        """Return the features by the names of `AGE_AND_SEX`; what is unknown is missing."""
        told = (self.age_years, None if self.sex is None else self.sex == "F")
        return {
            name: float(value) for name, value in zip(AGE_AND_SEX, told, strict=True) if value is not None
        }


def sequences_of(basis: str) -> tuple[str, ...]:
    """Return the sequences of a basis.

    Examples
    --------
    >>> sequences_of("T2"), sequences_of("T1+T2")
    (('T2',), ('T1', 'T2'))
    """
    return tuple(basis.split("+"))


def asked_in_turn(preferred: str) -> tuple[str, ...]:
    """Return what is asked for an answer, in turn, until one allows it.

    One sequence is replaced by the other where it cannot be used. Both together are replaced by nothing: a
    classifier of one of them is another model, which the configuration did not ask for.

    Examples
    --------
    >>> asked_in_turn("T2"), asked_in_turn("T1+T2")
    (('T2', 'T1'), ('T1+T2',))
    """
    if preferred == BOTH:
        return (BOTH,)
    return tuple(sorted(SEQUENCES, key=lambda name: name != preferred))


def name_within(basis: str, sequence: str, feature: str) -> str:
    """Return the name by which a classifier reads a feature of a sequence.

    Examples
    --------
    >>> name_within("T1", "T1", "original_glcm_Contrast_mean")
    'original_glcm_Contrast_mean'
    >>> name_within("T1+T2", "T1", "original_glcm_Contrast_mean")
    'T1_original_glcm_Contrast_mean'
    """
    return f"{sequence}_{feature}" if basis == BOTH else feature


def features_within(basis: str, sequence: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the features of a sequence among those that a classifier reads, by their own names.

    Examples
    --------
    >>> features_within("T1+T2", "T2", ["T1_a_mean", "T2_b_sd"]), features_within("T1", "T2", ["a_mean"])
    (('b_sd',), ())
    """
    if sequence not in sequences_of(basis):
        return ()
    if basis != BOTH:
        return tuple(names)
    return tuple(name.removeprefix(f"{sequence}_") for name in names if name.startswith(f"{sequence}_"))


def joined(features: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the features of a basis, given by sequence, by the names that its classifiers read.

    Examples
    --------
    >>> joined({"T1": {"a": 1.0}, "T2": {"a": 2.0}})
    {'T1_a': 1.0, 'T2_a': 2.0}
    """
    basis = "+".join(features)
    return {
        name_within(basis, sequence, name): value
        for sequence, found in features.items()
        for name, value in found.items()
    }
