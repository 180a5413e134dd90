"""Reasons as codes with values, for which every language has a sentence."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from numbers import Integral, Real
from string import Formatter
from typing import Any, Self, TypeAlias

from analysis.domain.english import ENGLISH

__all__ = ["WEIGHTINGS", "Reason", "Value", "coded", "in_words", "quoted", "told_once", "weighting"]

_SEQUENCE = re.compile(r"\bT[12]\b")
WEIGHTINGS = frozenset({"contrast", "sequence", "first", "second", "other"})
"""Placeholders of sequences; a level may be called T1, too."""

Value: TypeAlias = "str | float | Enum | tuple[Reason, ...]"
"""What fills a placeholder: a word that is not translated, a quantity, an enumeration member, or reasons."""


class Reason(str):
    """A statement about a study, a series or a body, to be read by a radiologist.

    The string is the English sentence, which logs, JSON, the database and digests hold. The code and the
    values are kept beside it, so that programs compare codes and reports translate the sentence.

    Parameters
    ----------
    code : str
        Key of the sentence in `analysis.domain.english.ENGLISH` and in the table of every other language.
    **values : Value
        Values of the placeholders; never patient data.

    Raises
    ------
    KeyError
        If there is no such sentence, or the value of a placeholder is missing.

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
        """Make a reason from its code, with its English sentence as the string."""
        self = super().__new__(cls, _filled(code, values, ENGLISH, str))
        self.code, self.values = code, values
        return self

    def __reduce__(self) -> tuple[object, ...]:
        # Reasons are pickled from the worker process to the node.
        return _again, (self.code, dict(self.values))


def quoted(words: str) -> Reason:
    """Make a reason from words that are never translated, such as the output of another program."""
    return Reason("quoted", words=words)


def weighting(sequences: str) -> str:
    """Write the weighting of sequences so that T1 is not taken for a vertebra.

    Examples
    --------
    >>> weighting("T1"), weighting("T1, T2")
    ('T1w', 'T1w, T2w')
    """
    return _SEQUENCE.sub(r"\g<0>w", sequences)


def told_once(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Put equal reasons together, with their number, in the order in which each came first.

    A study may hold twenty objects that are refused for one reason, and nobody reads twenty equal lines.

    Examples
    --------
    >>> told_once([Reason("no_dicom"), Reason("no_files"), Reason("no_dicom")])
    ('2 × not a DICOM file', 'there are no files')
    """
    return tuple(
        reason if count == 1 else Reason("repeated", count=count, reason=reason)
        for reason, count in Counter(reasons).items()
    )


def coded(words: Iterable[str]) -> list[dict[str, Any]]:
    """Return the reasons among words in the types of JSON: code, values and English sentence.

    Examples
    --------
    >>> coded([Reason("no_files"), "words without a code"])
    [{'code': 'no_files', 'values': {}, 'text': 'there are no files'}]
    """
    return [_coded(one) for one in words if isinstance(one, Reason)]


def _coded(reason: Reason) -> dict[str, Any]:
    values = {name: _plain(value) for name, value in reason.values.items()}
    return {"code": reason.code, "values": values, "text": str(reason)}


def _plain(value: object) -> object:
    if isinstance(value, Reason):
        return _coded(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value


def in_words(reason: str, sentences: Mapping[str, str], number: Callable[[str], str] = str) -> str:
    """Translate a reason.

    Parameters
    ----------
    reason : str
        A `Reason`; a plain string is returned unchanged.
    sentences : mapping of str to str
        Sentences by code, and the words of enumeration members ("plane.axial") that differ from English.
    number : callable
        Converts a number in English notation to that of the language.
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
    """Fills the placeholders of a sentence with values, and with reasons in the same language.

    The log, the database and every report write the weighting of a sequence alike.
    """

    def __init__(self, sentences: Mapping[str, str], number: Callable[[str], str]) -> None:
        self._sentences = sentences
        self._number = number

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:  # noqa: ANN401
        value = super().get_value(key, args, kwargs)
        if key in WEIGHTINGS and _SEQUENCE.search(value):
            return weighting(value)
        return value

    def format_field(self, value: Any, format_spec: str) -> str:  # noqa: ANN401 - as the base class has it
        if isinstance(value, tuple):
            return "; ".join(self.format_field(one, "") for one in value)
        if isinstance(value, Enum):
            return self._sentences.get(f"{type(value).__name__}.{value.name}".lower(), str(value.value))
        if isinstance(value, str):
            return in_words(value, self._sentences, self._number)
        # Reports have a space before the percent sign.
        return self._number(format(value, format_spec).replace("%", " %"))
