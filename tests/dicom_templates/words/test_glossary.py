"""The terms of the glossary are used in every sentence, and the words that it warns of in none."""

import re

import pytest

from dicom_templates.words.glossary import GLOSSARY, faults
from dicom_templates.words.languages import LANGUAGES

EVERY = {
    **{
        f"{key} ": {tag: language.sentences[key] for tag, language in LANGUAGES.items()}
        for key in LANGUAGES["en"].sentences
    },
    **{
        code: {tag: language.reasons.get(code, "") for tag, language in LANGUAGES.items()}
        for code in sorted(set().union(*(language.reasons for language in LANGUAGES.values())))
    },
}
"""Sentences and reasons by key; English has no words of its own for members of an enumeration."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_keeps_to_the_glossary(language: str) -> None:
    found = {key: faults(language, told[language], told["en"]) for key, told in EVERY.items()}
    assert {key: wrong for key, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"en"}))
def test_every_term_has_words_in_every_language(language: str) -> None:
    assert set(LANGUAGES[language].terms) == {term.key for term in GLOSSARY}
    assert set(LANGUAGES["en"].terms) <= {term.key for term in GLOSSARY}


@pytest.mark.parametrize("term", GLOSSARY, ids=lambda term: term.key)
def test_every_term_is_used(term: object) -> None:
    # A term that no sentence uses could never be found to be used wrongly.
    english = getattr(term, "english")  # noqa: B009
    assert any(re.search(english, told["en"]) for told in EVERY.values())


@pytest.mark.parametrize(
    ("german", "english"),
    [
        ("L4 ist ausgeschlossen", "L4 was not used"),
        ("die Höhen sind unsicher", "the levels are uncertain"),
        ("nach dem Zeitablauf T1-gewichtet", "T1-weighted"),
        ("OP unwahrsch.", "osteoporosis"),
        ("kein menschlicher Befunder", "no person"),
        ("Körper 1", "body 1"),
        ("Fett im Mark", "fat in it"),
        ("Kopfdaten", "data"),
        ("die Liquorprobe", "the region"),
        ("Höhe verloren", "height loss"),
    ],
)
def test_what_was_once_wrong_is_found(german: str, english: str) -> None:
    assert faults("de", german, english)


@pytest.mark.parametrize("german", ["auf Höhe L3", "eine Höhe von 20 mm", "Knochenmark", "WK 1", "im Körper"])
def test_what_is_right_is_not_blamed(german: str) -> None:
    assert faults("de", german, "") == ()


def test_english_excludes_nothing() -> None:
    assert faults("en", "L4 is excluded", "L4 is excluded") == ("excluded",)
