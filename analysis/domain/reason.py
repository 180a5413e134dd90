"""Why something is as it is: a code and its values, which every language has a sentence for."""

from collections.abc import Callable, Mapping
from enum import Enum
from string import Formatter
from typing import Any, Self, TypeAlias

from analysis.domain.english import ENGLISH

__all__ = ["Reason", "Value", "in_words", "quoted"]

Value: TypeAlias = "str | float | Enum | tuple[Reason, ...]"
"""What a sentence holds: a word that is the same in all languages, a quantity, a member of an enumeration of
ours, or other reasons."""


class Reason(str):
    """Something that is said of a study, a series or a body, fit to be read by a radiologist.

    It is its English sentence, which is what logs, JSON, the database and digests hold; and it knows what it
    says, so that code need not read sentences and a report can say it in another language.

    Parameters
    ----------
    code : str
        What is said; a key of `analysis.domain.english.ENGLISH` and of the table of every other language.
    **values : Value
        For the places in the sentence. Never patient data.

    Raises
    ------
    KeyError
        If there is no such sentence, or a value for one of its places is missing.

    Examples
    --------
    >>> reason = Reason("few_above_sacrum", count=2)
    >>> print(reason)
    only 2 bodies were found above the sacrum
    >>> reason.code, dict(reason.values)
    ('few_above_sacrum', {'count': 2})
    """

    __slots__ = ("code", "values")

    code: str
    values: Mapping[str, Value]

    def __new__(cls, code: str, /, **values: Value) -> Self:
        """Make a reason, and its English sentence."""
        self = super().__new__(cls, _filled(code, values, ENGLISH, str))
        self.code, self.values = code, values
        return self

    def __reduce__(self) -> tuple[object, ...]:
        # Reasons cross from the worker process to the node.
        return _again, (self.code, dict(self.values))


def quoted(words: str) -> Reason:
    """Make a reason of words that are not ours, as those of another program; no language changes them."""
    return Reason("quoted", words=words)


def in_words(reason: str, sentences: Mapping[str, str], number: Callable[[str], str] = str) -> str:
    """Say a reason in another language.

    Parameters
    ----------
    reason : str
        A `Reason`; a plain string is words that nobody here knows, and stays as it is.
    sentences : mapping of str to str
        By code; and for each member of an enumeration its word, "plane.axial", where it differs.
    number : callable
        Puts a number that was written in English into the language's form.
    """
    if not isinstance(reason, Reason):
        return reason
    return _filled(reason.code, reason.values, sentences, number)


def _again(code: str, values: Mapping[str, Value]) -> Reason:
    return Reason(code, **values)


def _filled(
    code: str, values: Mapping[str, Value], sentences: Mapping[str, str], number: Callable[[str], str]
) -> str:
    return _Places(sentences, number).vformat(sentences[code], (), values)


class _Places(Formatter):
    """Fills the places of a sentence, with values and with reasons in the same language."""

    def __init__(self, sentences: Mapping[str, str], number: Callable[[str], str]) -> None:
        self._sentences = sentences
        self._number = number

    def format_field(self, value: Any, format_spec: str) -> str:  # noqa: ANN401 - as the base class has it
        if isinstance(value, tuple):
            return "; ".join(self.format_field(one, "") for one in value)
        if isinstance(value, Enum):
            return self._sentences.get(f"{type(value).__name__}.{value.name}".lower(), str(value.value))
        if isinstance(value, str):
            return in_words(value, self._sentences, self._number)
        # A space stands before the sign, as in every report of ours.
        return self._number(format(value, format_spec).replace("%", " %"))
