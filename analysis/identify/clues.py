"""The header facts of one series in normalised form, and the answer of a rule about its weighting."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from analysis.domain.acquisition import AcquisitionFacts, Contrast
from analysis.domain.reason import Reason
from analysis.identify.words import Word, find, normalise

__all__ = ["Clues", "Weighting", "clues", "known"]


class Weighting(NamedTuple):
    """What a series is weighted by.

    Attributes
    ----------
    contrast : Contrast
        The weighting, or UNSURE.
    score : float
        0 to 1, how strongly the facts agree.
    reasons : tuple of Reason
        Why; the decisive reason comes last.
    """

    contrast: Contrast
    score: float
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Clues:
    """Header facts with codes in upper case and texts normalised.

    Attributes
    ----------
    facts : AcquisitionFacts
        The facts as given.
    origin : tuple of str
        The first two values of ImageType, which tell whether an image is original and primary.
    kinds : frozenset of str
        The other values of ImageType.
    sequence : frozenset of str
        ScanningSequence.
    options : frozenset of str
        ScanOptions and SequenceVariant together.
    sequence_name : str
        Lower case, without Siemens' leading asterisk.
    texts : tuple of str
        Series description, then protocol name.
    own_texts : tuple of str
        Those of `texts` that describe this series; without the protocol name on GE systems, where it names
        the whole examination.
    """

    facts: AcquisitionFacts
    origin: tuple[str, ...]
    kinds: frozenset[str]
    sequence: frozenset[str]
    options: frozenset[str]
    sequence_name: str
    texts: tuple[str, ...]
    own_texts: tuple[str, ...]

    def says(self, word: Word) -> str | None:
        """Return the spelling of `word` in the texts of this series, or None."""
        return find(word, self.own_texts)


def clues(facts: AcquisitionFacts) -> Clues:
    """Normalise the codes and texts of the facts."""
    texts = (normalise(facts.series_description), normalise(facts.protocol_name))
    of_examination = facts.vendor.strip().upper().startswith("GE")
    return Clues(
        facts=facts,
        origin=_upper(facts.image_type[:2]),
        kinds=frozenset(_upper(facts.image_type[2:])),
        sequence=frozenset(_upper(facts.scanning_sequence)),
        options=frozenset(_upper(facts.scan_options + facts.sequence_variant)),
        sequence_name=facts.sequence_name.strip().lstrip("*").casefold(),
        texts=texts,
        own_texts=texts[:1] if of_examination else texts,
    )


def known(quantity: float | None) -> float:
    """Return the quantity, or 0 where it is missing or not a positive number."""
    return quantity if quantity is not None and math.isfinite(quantity) and quantity > 0 else 0.0


def _upper(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(value.strip().upper() for value in values)
