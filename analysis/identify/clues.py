"""The facts of one series, made comparable, and what a rule answers about them."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from analysis.domain.acquisition import AcquisitionFacts, Contrast
from analysis.domain.reason import Reason
from analysis.identify.words import Word, find, normalise

__all__ = ["Clues", "Finding", "clues", "known"]


class Finding(NamedTuple):
    """A weighting, how strongly the facts agree on it (0 to 1), and why; the decisive reason last."""

    contrast: Contrast
    score: float
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Clues:
    """The facts with their codes in upper case and their words normalised.

    Attributes
    ----------
    facts : AcquisitionFacts
        As they came.
    origin : tuple of str
        The first two values of ImageType, which tell what an image was made from.
    kinds : frozenset of str
        The other values of ImageType.
    sequence, options : frozenset of str
        ScanningSequence; ScanOptions together with SequenceVariant.
    sequence_name : str
        Lower case, without Siemens' leading asterisk.
    texts : tuple of str
        Series description, then protocol name.
    own_texts : tuple of str
        Those of `texts` that speak of this series. A GE protocol names the whole examination.
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
        """Return the spelling by which the texts of this series say `word`."""
        return find(word, self.own_texts)


def clues(facts: AcquisitionFacts) -> Clues:
    """Make the words and codes of the facts comparable."""
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
    """Return a quantity that a header tells, or 0 where it is silent or not a positive number."""
    return quantity if quantity is not None and math.isfinite(quantity) and quantity > 0 else 0.0


def _upper(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(value.strip().upper() for value in values)
