"""Texts with the wildcards `*` and `?`, and whether one such pattern takes everything that another takes.

There are no other wildcards, so a bracket in a description is a bracket. A pattern is turned into a regular
expression by the standard library, whose translation of `*` never goes back over a text: a text of 256
characters costs microseconds, whatever the pattern and the text are.
"""

import re
import unicodedata
from fnmatch import translate
from functools import lru_cache

__all__ = ["ANYTHING", "LONGEST_TEXT", "covers", "fold", "matches"]

ANYTHING = "*"
LONGEST_TEXT = 256
"""Length in characters of a text that is compared. DICOM allows 64 in all elements that rules look at."""
_PATTERNS = 4096


def fold(text: str) -> str:
    r"""Return a text without differences that nobody means: case, padding, and how letters are written.

    Examples
    --------
    >>> fold("  T2  SAG\tWirbelsäule ")
    't2 sag wirbelsäule'
    >>> fold("\uff2d\uff32 \u8170\u690e") == fold("mr \u8170\u690e")
    True
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def matches(pattern: str, text: str) -> bool:
    """Tell whether a pattern takes a text; both as `fold` returns them.

    Examples
    --------
    >>> matches("*brain*", "t1 brain ax"), matches("t?", "t1"), matches("[a]*", "a")
    (True, True, False)
    """
    return _compiled(pattern).match(text) is not None


@lru_cache(maxsize=_PATTERNS)
def _compiled(pattern: str) -> re.Pattern[str]:
    # "[" begins a set of characters in the library's patterns, and "[[]" is the bracket itself.
    return re.compile(translate(pattern.replace("[", "[[]")))


@lru_cache(maxsize=_PATTERNS)
def covers(wide: str, narrow: str) -> bool:
    """Tell whether every text that `narrow` takes is surely taken by `wide`.

    False if that is not certain: `narrow` is compared sign by sign, and only `*` of `wide` takes a `*`.

    Examples
    --------
    >>> covers("*spine*", "l-spine*"), covers("l-*", "*spine*"), covers("?*", "??*")
    (True, False, True)
    """
    # ends[i]: whether what was read of `wide` takes the first i signs of `narrow`.
    ends = [True, *(False for _ in narrow)]
    for sign in wide:
        if sign == ANYTHING:
            first = next((at for at, is_end in enumerate(ends) if is_end), len(ends))
            ends = [at >= first for at in range(len(ends))]
        else:
            ends = [False] + [
                is_end and one != ANYTHING and sign in {"?", one}
                for is_end, one in zip(ends, narrow, strict=False)
            ]
    return ends[-1]
