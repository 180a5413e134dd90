"""What is kept of an examination to compare later ones with, and how two of one patient compare."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from hashlib import sha256
from typing import Any, Self

from analysis.domain.acquisition import Contrast
from analysis.domain.reason import Reason
from analysis.domain.target import Target

__all__ = ["Comparison", "Examination", "ProbabilityChange", "Scan", "Score", "ScoreChange"]


@dataclass(frozen=True, slots=True)
class Scan:
    """How a series was acquired, as far as a score depends on it; empty or None where the header is silent.

    Attributes
    ----------
    manufacturer, model : str
        Of the scanner.
    field_strength_t : float or None
        In tesla.
    repetition_time_ms, echo_time_ms : float or None
        TR and TE.
    sequence : tuple of str
        Acquisition type ("2D", "3D") and the values of ScanningSequence.
    """

    manufacturer: str
    model: str
    field_strength_t: float | None
    repetition_time_ms: float | None
    echo_time_ms: float | None
    sequence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """The VBQ of one series.

    Attributes
    ----------
    contrast : Contrast
        T1 or T2.
    value : float
        The score.
    sound : bool
        Whether neither the outlines nor the score have a caveat.
    levels : tuple of str
        Names of the levels that were measured for it.
    measured_by : str
        The segmenter.
    scan : Scan
        How the series was acquired.
    """

    contrast: Contrast
    value: float
    sound: bool
    levels: tuple[str, ...]
    measured_by: str
    scan: Scan


@dataclass(frozen=True, slots=True)
class Examination:
    """The scores of one study, and whose they are.

    Attributes
    ----------
    study_uid : str
        Study Instance UID.
    person : str
        Digest of Patient ID, issuer, birth date and sex; empty if one of them other than the issuer is
        unknown, so that nothing may be compared.
    day : date or None
        Date of the study; None if unknown.
    settings : str
        SHA-256 (hex) of the settings and the calculation (`Findings.configuration_digest`).
    scores : tuple of Score
        At most one for each weighting.
    model : str
        SHA-256 (hex) of the prediction model; empty without one.
    probabilities : tuple of (Target, float)
        Probabilities that were given, 0 to 1.
    bases : tuple of (Target, str)
        What each of them was based on: "T1", "T2" or "T1+T2". Earlier versions did not keep it.
    """

    study_uid: str
    person: str
    day: date | None
    settings: str
    scores: tuple[Score, ...]
    model: str = ""
    probabilities: tuple[tuple[Target, float], ...] = ()
    bases: tuple[tuple[Target, str], ...] = ()

    def of(self, contrast: Contrast) -> Score | None:
        """Return the score of that weighting, or None."""
        return next((one for one in self.scores if one.contrast is contrast), None)

    def digest(self) -> str:
        """SHA-256 (hex) of all of it; a report that compares with it cites this."""
        return sha256(json.dumps(self.as_document(), sort_keys=True).encode()).hexdigest()

    def as_document(self) -> dict[str, Any]:
        """Return it in the types of JSON."""
        told = asdict(self)
        bases = dict(told.pop("bases"))
        return told | {
            "day": None if self.day is None else self.day.isoformat(),
            "scores": [
                score | {"levels": list(score["levels"]), "scan": _listed(score["scan"])}
                for score in told["scores"]
            ],
            "probabilities": [
                # Without the key where it is unknown, so that what earlier versions kept has the same digest.
                {"target": target.value, "probability": value}
                | ({"basis": bases[target]} if target in bases else {})
                for target, value in self.probabilities
            ],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what `as_document` gave.

        Raises
        ------
        ValueError
            If it is something else.
        """
        try:
            told = dict(document)
            return cls(
                **told
                | {
                    "day": None if told["day"] is None else date.fromisoformat(told["day"]),
                    "scores": tuple(_score(one) for one in told["scores"]),
                    "probabilities": tuple(
                        (Target(one["target"]), float(one["probability"])) for one in told["probabilities"]
                    ),
                    "bases": tuple(
                        (Target(one["target"]), str(one["basis"]))
                        for one in told["probabilities"]
                        if "basis" in one
                    ),
                }
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"it holds no examination ({type(error).__name__})") from None


def _listed(scan: Mapping[str, Any]) -> dict[str, Any]:
    return {**scan, "sequence": list(scan["sequence"])}


def _score(document: Mapping[str, Any]) -> Score:
    scan = Scan(**{**document["scan"], "sequence": tuple(document["scan"]["sequence"])})
    read = {
        "contrast": Contrast(document["contrast"]),
        "value": float(document["value"]),
        "levels": tuple(document["levels"]),
        "scan": scan,
    }
    return Score(**{**document, **read})


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """The VBQ of one weighting then and now.

    Attributes
    ----------
    contrast : Contrast
        T1 or T2.
    then, now : float
        The scores.
    obstacles : tuple of Reason
        Why the two are not comparable; empty if they are.
    """

    contrast: Contrast
    then: float
    now: float
    obstacles: tuple[Reason, ...] = ()

    @property
    def difference(self) -> float | None:
        """How much higher the score is now; None if the two are not comparable."""
        return None if self.obstacles else self.now - self.then


@dataclass(frozen=True, slots=True)
class ProbabilityChange:
    """The probability of one target by the same classifier then and now, 0 to 1."""

    target: Target
    then: float
    now: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """How an examination compares with an earlier one of the same patient.

    Attributes
    ----------
    earlier : Examination
        The earlier one; its day is known.
    scores : tuple of ScoreChange
        One for each weighting that both have a score of.
    probabilities : tuple of ProbabilityChange
        One for each target, if the same classifier answered it both times.
    """

    earlier: Examination
    scores: tuple[ScoreChange, ...]
    probabilities: tuple[ProbabilityChange, ...] = ()
