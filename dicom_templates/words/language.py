"""A language of our reports: everything that a translator writes."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Language", "Words"]


@dataclass(frozen=True, slots=True)
class Words:
    """A term of the glossary in one language.

    Attributes
    ----------
    right : tuple of str
        Regular expressions of the words to use, the usual one first; stems, because of inflection.
    wrong : tuple of str
        Regular expressions of words that never stand in a report.
    """

    right: tuple[str, ...]
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Language:
    """The sentences, terms and ways of writing of one language.

    Attributes
    ----------
    tag : str
        Its RFC 5646 code, by which `[report] language` names it.
    name : str
        Its English name, the meaning of that code in TID 1204.
    sentences : mapping of str to str
        What our reports say by themselves, by key; the keys and placeholders are those of English.
    reasons : mapping of str to str
        The sentence of each reason of the science, by code; codes and placeholders are those of
        `analysis.domain.english`. With the prefixes `target.`, `plane.` and `contrast.`: the words of our
        enumerations.
    plain_reasons : mapping of str to str
        Plainer sentences for some reasons, for people; the measurement report tells every number. A distance
        in a space of features, an overlap or a confidence means nothing to a physician, and the estimate of
        an answer that is not given would be taken for one.
    terms : mapping of str to Words
        The words for each term of the glossary (`dicom_templates.words.glossary`).
    decimal_sign : str
        Between the ones and the tenths.
    date_format : str
        Of a day, for `strftime`.
    """

    tag: str
    name: str
    sentences: Mapping[str, str]
    reasons: Mapping[str, str]
    plain_reasons: Mapping[str, str]
    terms: Mapping[str, Words]
    decimal_sign: str
    date_format: str
