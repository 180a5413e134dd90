"""Whether images can show one person, by what they say of their patient, and what people type for a name."""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Self

__all__ = [
    "UNKNOWN_PATIENT",
    "Patient",
    "Person",
    "as_typed",
    "contradictions",
    "forms_of_name",
    "leave_out_issuer",
    "name_as_typed",
]

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


@dataclass(frozen=True, slots=True)
class Patient:
    """All that an image says about its patient.

    Attributes
    ----------
    patient_id, issuer, name : str
        PatientID, IssuerOfPatientID and PatientName, without padding.
    person : Person
        Birth date and sex.
    """

    patient_id: str = ""
    issuer: str = ""
    name: str = ""
    person: Person = Person()


UNKNOWN_PATIENT = Patient()


def leave_out_issuer(patients: Collection[Patient]) -> bool:
    """Tell whether all name one patient and one issuer, which some of them leave out.

    Patient ID, name and birth date must be there and equal, and the sex equal: the issuer is what keeps the
    same number of two hospitals apart, so without it more than the number must agree.

    Examples
    --------
    >>> one = Patient("1", "HOSPITAL", "A^B", Person("19400229", "M"))
    >>> leave_out_issuer({one, replace(one, issuer="")})
    True
    >>> leave_out_issuer({one, replace(one, issuer="", name="A^C")})
    False
    >>> leave_out_issuer({one, replace(one, issuer="OTHER"), replace(one, issuer="")})
    False

    References
    ----------
    DICOM PS3.3 C.7.1.1: Issuer of Patient ID is of type 3, optional.
    """
    issuers = {one.issuer for one in patients if one.issuer}
    rest = {replace(one, issuer="", name=one.name.rstrip("^ ")) for one in patients}
    if len(issuers) > 1 or len(rest) != 1:
        return False
    (one,) = rest
    return bool(one.patient_id and one.name and one.person.birth_date)


def contradictions(persons: Collection[Person]) -> tuple[str, ...]:
    """Tell in what persons differ: "birth date", "sex", both or nothing; a missing value is not another one.

    A birth date of which only the year or the month is written agrees with each date in it.
    """
    dates = {one.birth_date for one in persons if one.birth_date}
    sexes = {one.sex for one in persons if one.sex}
    longest = max(dates, key=len, default="")
    two_dates = any(not longest.startswith(one) for one in dates)
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
