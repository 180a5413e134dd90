"""Whether images that bear one Patient ID can show one person, and what people type for a name."""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations
from typing import Self

__all__ = ["UNKNOWN_PERSON", "Person", "as_typed", "contradictions", "forms_of_name", "name_as_typed"]

_PARTED = re.compile(r"[\s,^]+")

_SEXES = {"M": "M", "F": "F", "W": "F", "O": "O"}
"""Sex by the first letter that is written for it; a letter for "unknown" is none of them."""


@dataclass(frozen=True, slots=True)
class Person:
    """What an image says about its patient beside the Patient ID.

    Attributes
    ----------
    birth_date : str
        Digits of PatientBirthDate, or its text where it has none; empty if unknown.
    sex : str
        "M", "F" or "O"; empty if unknown.
    """

    birth_date: str = ""
    sex: str = ""

    @classmethod
    def of(cls, birth_date: str, sex: str) -> Self:
        """Read the values of PatientBirthDate and PatientSex as they stand in a header.

        Examples
        --------
        >>> Person.of("1940.02.29", "m ") == Person.of("19400229", "M")
        True
        >>> Person.of("00000000", "U")
        Person(birth_date='', sex='')
        """
        digits = "".join(filter(str.isdecimal, birth_date))
        known = digits if digits.strip("0") else ""
        written = known if digits else birth_date.strip("\0 ").casefold()
        return cls(written, _SEXES.get(sex.strip("\0 ")[:1].upper(), ""))


UNKNOWN_PERSON = Person()


def contradictions(persons: Collection[Person]) -> tuple[str, ...]:
    """Tell in what persons differ: "birth date", "sex", both or nothing; a missing value is not another one.

    A birth date of which only the year or the month is written agrees with each date in it.
    """
    dates = {one.birth_date for one in persons if one.birth_date}
    sexes = {one.sex for one in persons if one.sex}
    two_dates = any(not (a.startswith(b) or b.startswith(a)) for a, b in combinations(dates, 2))
    return (*(("birth date",) if two_dates else ()), *(("sex",) if len(sexes) > 1 else ()))


def as_typed(text: str) -> str:
    r"""Return text in the one form that is compared: keyboards differ in how they write an accent.

    Examples
    --------
    >>> as_typed("u\u0308 ") == "\xfc"
    True
    """
    return unicodedata.normalize("NFC", text).strip()


def name_as_typed(name: str) -> str:
    """Return a name in the one form that is compared: in any case, with spaces between its parts.

    Examples
    --------
    >>> name_as_typed("MÜLLER, Hans") == name_as_typed("Müller^Hans")
    True
    """
    return _PARTED.sub(" ", as_typed(name).casefold()).strip()


def forms_of_name(patient_name: str) -> frozenset[str]:
    """Return what somebody may type for a person, as `name_as_typed` writes it.

    Parameters
    ----------
    patient_name : str
        PatientName, with all its component groups.

    Returns
    -------
    frozenset of str
        Of each group the family name, it with the given name in either order, and all components.

    Examples
    --------
    >>> sorted(forms_of_name("Müller^Hans^^Dr"))
    ['hans müller', 'müller', 'müller hans', 'müller hans dr']
    >>> sorted(forms_of_name("Wang^XiaoDong=王^小东="))
    ['wang', 'wang xiaodong', 'xiaodong wang', '小东 王', '王', '王 小东']
    """
    found = set()
    for group in patient_name.split("="):
        family, given, *_ = *group.split("^"), ""
        found |= {family, f"{family} {given}", f"{given} {family}", group}
    return frozenset(filter(None, map(name_as_typed, found)))
