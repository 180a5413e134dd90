"""What models can read of a study, apart from any model: the same for each model that is asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.domain.basis import AgeAndSex
from analysis.domain.reason import Reason

__all__ = ["ModelInput", "Protocol", "Reading"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a series was acquired; None if the header has no value."""

    repetition_time_ms: float | None
    echo_time_ms: float | None
    field_strength_t: float | None


@dataclass(frozen=True, slots=True)
class ModelInput:
    """What a classifier reads of one patient.

    Attributes
    ----------
    basis : str
        "T1", "T2" or "T1+T2".
    features : mapping of str to float
        Radiomics aggregated over the usable bodies, by name (`analysis.domain.basis.joined`).
    protocols : mapping of str to Protocol
        Acquisition of each sequence of the basis.
    person : AgeAndSex
        Age and sex; read by classifiers that were trained with them.
    """

    basis: str
    features: Mapping[str, float]
    protocols: Mapping[str, Protocol]
    person: AgeAndSex = field(default_factory=AgeAndSex)


@dataclass(frozen=True, slots=True)
class Reading:
    """What can be read of a study on one basis.

    Attributes
    ----------
    read : ModelInput or None
        None if a sequence is missing.
    against : tuple of Reason
        Every reason against any prediction from it, whatever the model.
    remarks : tuple of Reason
        What the reader of an answer must know.
    referred : bool
        Whether the features have a valid reference, without which their distance from others says nothing.
    """

    read: ModelInput | None
    against: tuple[Reason, ...]
    remarks: tuple[Reason, ...] = ()
    referred: bool = False
