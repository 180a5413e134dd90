"""The terms of our reports: read this before you write or translate a sentence.

One word stands for one thing, and the same word in every sentence. `Language.terms` has the words that are
right, and those that a reader would take for another thing.
"""

import re
from dataclasses import dataclass

from dicom_templates.words.languages import LANGUAGES

__all__ = ["GLOSSARY", "Term", "faults"]


@dataclass(frozen=True, slots=True)
class Term:
    """A thing that our reports speak of.

    Attributes
    ----------
    key : str
        Its key in `Language.terms`.
    english : str
        Regular expression of the English words.
    note : str
        Why these words, and what else a reader could understand.
    """

    key: str
    english: str
    note: str


GLOSSARY: tuple[Term, ...] = (
    Term(
        "body",
        r"\b(?:vertebral|lumbar) bod(?:y|ies)\b",
        "„Körper“ alone is the body of a person.",
    ),
    Term(
        "level",
        r"\blevels? (?:is|are) uncertain|\bnames of the levels\b",
        "A level is a place in the row of vertebrae. „Höhe“ is the height of a vertebral body, as in the "
        "grades of Genant; „auf Höhe L3“ is right.",
    ),
    Term(
        "height_loss",
        r"\bheight loss\b",
        "The word of German reports for what Genant grades.",
    ),
    Term(
        "not_used",
        r"\b(?:not used|left out)\b",
        "To exclude, „ausschließen“, is what a radiologist does to a disease.",
    ),
    Term(
        "not_usable",
        r"\bnot usable\b",
        "„verwertbar“ is said of images and measurements.",
    ),
    Term(
        "doubtful",
        r"\bdoubtful\b",
        "„fraglich“ is the word of German reports.",
    ),
    Term(
        "fluid",
        r"\b(?:cerebrospinal fluid|CSF)\b",
        "„Liquorprobe“, a sample of CSF, is what a puncture takes.",
    ),
    Term(
        "marrow",
        r"\bmarrow\b",
        "„Mark“ alone may be the spinal cord (Rückenmark).",
    ),
    Term(
        "header",
        r"\bheaders?\b",
        "„Kopfdaten“ is data of the head to a radiologist.",
    ),
    Term(
        "timing",
        r"\b(?:their|its) timing\b",
        "TR, TE and TI. „nach dem Zeitablauf“ is after a time has run out.",
    ),
    Term(
        "answer",
        r"\b[Nn]o answer\b|\banswers? given\b|\bboth answers\b|\bneither answer\b",
        "What a report says is an „Aussage“; nobody asked it a question.",
    ),
    Term(
        "localiser",
        r"\blocaliser\b",
        "Said so in every German department.",
    ),
    Term(
        "reader",
        r"\bhuman reader\b",
        "Whoever reads in Germany is a physician.",
    ),
    Term(
        "this_patient",
        r"\bthis patient\b",
        "Half of the patients are women; a single one is not called „der Patient“.",
    ),
    Term(
        "probability",
        r"\bprobability\b",
        "„OP“ is an operation; osteoporosis is written out.",
    ),
    Term(
        "trained",
        r"\b[Tt]rained on\b",
        "",
    ),
    Term(
        "threshold",
        r"\bdecision threshold\b",
        "On badges, for which there is no room, „Schwelle“.",
    ),
)


def faults(language: str, sentence: str, english: str) -> tuple[str, ...]:
    """Return what is wrong with the terms of a sentence.

    Parameters
    ----------
    language : str
        A key of `LANGUAGES`.
    sentence : str
        In that language, with its placeholders.
    english : str
        The same in English.

    Returns
    -------
    tuple of str
        Wrong words, and terms of the English sentence without the right word.

    Examples
    --------
    >>> faults("de", "ein Höhenverlust", "height loss")
    ('Höhenverlust', 'height loss')
    """
    terms = LANGUAGES[language].terms
    told: list[str] = []
    for term in GLOSSARY:
        words = terms.get(term.key)
        if words is None:
            continue
        told += [found.group() for found in (re.search(one, sentence) for one in words.wrong) if found]
        said = re.search(term.english, english)
        if said and not any(re.search(one, sentence) for one in words.right):
            told.append(said.group())
    return tuple(told)
