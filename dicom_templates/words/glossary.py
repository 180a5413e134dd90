"""The terms of our reports in every language: read this before you write or translate a sentence.

One word stands for one thing, and the same word in every sentence. A term of English is given as it is said,
a term of another language with the words that are right and those that a reader would take for another thing.
To add a language, add its words to each term, then write the sentences (`sentences`, `german_reasons`).
"""

import re
from dataclasses import dataclass

__all__ = ["GLOSSARY", "Term", "Words", "faults"]


@dataclass(frozen=True, slots=True)
class Words:
    """A term in one language.

    Attributes
    ----------
    right : tuple of str
        Regular expressions of the words to use, the usual one first; stems, because of inflection.
    wrong : tuple of str
        Regular expressions of words that never stand in a report.
    """

    right: tuple[str, ...]
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Term:
    """A thing that our reports speak of.

    Attributes
    ----------
    english : str
        Regular expression of the English words.
    german : Words
        The German ones.
    note : str
        Why these, and what else a reader could understand.
    english_wrong : tuple of str
        Regular expressions of English words that never stand in a report.
    """

    english: str
    german: Words
    note: str
    english_wrong: tuple[str, ...] = ()


GLOSSARY: tuple[Term, ...] = (
    Term(
        r"\b(?:vertebral|lumbar) bod(?:y|ies)\b",
        Words((r"[Ww]irbelkörper", r"WK \{number\}"), (r"\bKörpers?\b(?! unbekannt)(?<!im Körper)",)),
        "„Körper“ alone is the body of a person.",
    ),
    Term(
        r"\blevels? (?:is|are) uncertain|\bnames of the levels\b",
        Words((r"Wirbelzuordnung", r"Wirbelbezeichnung", r"Bezeichnungen der Wirbel"), (r"\bHöhen\b",)),
        "A level is a place in the row of vertebrae. „Höhe“ is the height of a vertebral body, as in the "
        "grades of Genant; „auf Höhe L3“ is right.",
    ),
    Term(
        r"\bheight loss\b",
        Words((r"Höhenminderung",), (r"Höhenverlust",)),
        "The word of German reports for what Genant grades.",
    ),
    Term(
        r"\b(?:not used|left out)\b",
        Words((r"nicht verwendet",), (r"ausgeschlossen",)),
        "To exclude, „ausschließen“, is what a radiologist does to a disease.",
        (r"\bexcluded\b", r"\bruled out\b"),
    ),
    Term(
        r"\bnot usable\b",
        Words((r"nicht verwertbar",), (r"unbrauchbar",)),
        "„verwertbar“ is said of images and measurements.",
    ),
    Term(
        r"\bdoubtful\b",
        Words((r"fraglich",), (r"zweifelhaft",)),
        "„fraglich“ is the word of German reports.",
    ),
    Term(
        r"\b(?:cerebrospinal fluid|CSF)\b",
        Words((r"[Ll]iquor",), (r"Hirnwasser", r"Liquorprobe")),
        "„Liquorprobe“, a sample of CSF, is what a puncture takes.",
        (r"\bsample of (?:cerebrospinal fluid|CSF)\b",),
    ),
    Term(
        r"\bmarrow\b",
        Words((r"[Kk]nochenmark", r"[Mm]arksignal"), (r"\bMark\b",)),
        "„Mark“ alone may be the spinal cord (Rückenmark).",
    ),
    Term(
        r"\bheaders?\b",
        Words((r"\bHeader",), (r"Kopfdaten",)),
        "„Kopfdaten“ is data of the head to a radiologist.",
    ),
    Term(
        r"\b(?:their|its) timing\b",
        Words((r"Zeitparameter",), (r"Zeitablauf",)),
        "TR, TE and TI. „nach dem Zeitablauf“ is after a time has run out.",
    ),
    Term(
        r"\b[Nn]o answer\b|\banswers? given\b|\bboth answers\b|\bneither answer\b",
        Words((r"Aussage",), (r"\bAntwort",)),
        "What a report says is an „Aussage“; nobody asked it a question.",
    ),
    Term(
        r"\blocaliser\b",
        Words((r"Localizer",), (r"Lokalisierer",)),
        "Said so in every German department.",
    ),
    Term(
        r"\bhuman reader\b",
        Words((r"ärztlich",), (r"menschliche", r"Befunder", r"\bMensch\b")),
        "Whoever reads in Germany is a physician.",
    ),
    Term(
        r"\bthis patient\b",
        Words((r"aktuell",), (r"[Dd]ieser Patient", r"des Patienten")),
        "Half of the patients are women; a single one is not called „der Patient“.",
    ),
    Term(
        r"\bprobability\b",
        Words((r"Wahrscheinlichkeit",), (r"\bunwahrsch\.", r"\bOP\b")),
        "„OP“ is an operation; osteoporosis is written out.",
    ),
    Term(
        r"\b[Tt]rained on\b",
        Words((r"[Tt]rainier", r"Training")),
        "",
    ),
    Term(
        r"\bdecision threshold\b",
        Words((r"Entscheidungsschwelle",), (r"Schwellwert",)),
        "On badges, for which there is no room, „Schwelle“.",
    ),
)


def faults(language: str, sentence: str, english: str) -> tuple[str, ...]:
    """Return what is wrong with the terms of a sentence.

    Parameters
    ----------
    language : str
        "en" or "de".
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
    told: list[str] = []
    for term in GLOSSARY:
        wrong = term.english_wrong if language == "en" else term.german.wrong
        told += [found.group() for found in (re.search(one, sentence) for one in wrong) if found]
        said = re.search(term.english, english)
        if language != "en" and said and not any(re.search(one, sentence) for one in term.german.right):
            told.append(said.group())
    return tuple(told)
