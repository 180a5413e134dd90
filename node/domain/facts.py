"""What the header of a series says of itself, as far as rules can ask for it.

The same facts come from an image that is received, from a file, and from the answer to a query.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from node.domain.character_set import decode_text
from node.domain.glob import LONGEST_TEXT, fold

__all__ = ["KEYWORDS", "LONGEST_BYTES", "TAGS", "Facts", "facts_of", "keywords_of"]

_CHARACTER_SET = 0x00080005
KEYWORDS = {
    0x00080020: "StudyDate",
    0x00080060: "Modality",
    0x00080070: "Manufacturer",
    0x00080080: "InstitutionName",
    0x00081010: "StationName",
    0x00081030: "StudyDescription",
    0x0008103E: "SeriesDescription",
    0x00081090: "ManufacturerModelName",
    0x00100030: "PatientBirthDate",
    0x00101010: "PatientAge",
    0x00180015: "BodyPartExamined",
    0x00181030: "ProtocolName",
}
"""Elements that facts are made of, by tag. All stand before the Series Instance UID."""
TAGS = frozenset((_CHARACTER_SET, *KEYWORDS))
LONGEST_BYTES = 1024
"""A value of more bytes is no genuine one, and counts as missing."""
_IN_A_YEAR = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}
_AGE_LENGTH, _DATE_LENGTH = 4, 8


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a series; None where the header does not say.

    Texts are as `node.domain.glob.fold` returns them. Every attribute is a key of `[[rules]]` but
    `age_years`, which has two, and `is_whole`.

    Attributes
    ----------
    source : str or None
        AE title of the sender, or of the archive that answers.
    station, institution, modality, manufacturer, model, protocol, body_part : str or None
        StationName, InstitutionName, Modality, Manufacturer, ManufacturerModelName, ProtocolName and
        BodyPartExamined.
    study_description, series_description : str or None
        The two descriptions.
    age_years : int or None
        Age of the patient at the study in completed years: PatientAge, or else from PatientBirthDate and
        StudyDate.
    is_whole : bool
        Whether they come from a header, which then lacks what is None; an archive tells a part of it only.
    """

    source: str | None = None
    station: str | None = None
    institution: str | None = None
    modality: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    protocol: str | None = None
    body_part: str | None = None
    study_description: str | None = None
    series_description: str | None = None
    age_years: int | None = None
    is_whole: bool = True


def facts_of(values: Mapping[str, str], source: str = "", *, is_whole: bool = True) -> Facts:
    """Return the facts in the values of a header or of a C-FIND response.

    Parameters
    ----------
    values : mapping of str to str
        Texts by DICOM keyword, see `KEYWORDS`; a missing or empty one is not known.
    source : str, optional
        AE title of the sender or archive; empty if it is not known.
    is_whole : bool, optional
        False for the response of an archive, which may leave out what the header has.

    Examples
    --------
    >>> facts = facts_of({"Modality": "MR", "PatientBirthDate": "20000101", "StudyDate": "20100101"}, "PACS")
    >>> facts.modality, facts.source, facts.age_years, facts.station
    ('mr', 'pacs', 10, None)
    """

    def text(keyword: str) -> str | None:
        return _text(values.get(keyword, ""))

    return Facts(
        source=_text(source),
        station=text("StationName"),
        institution=text("InstitutionName"),
        modality=text("Modality"),
        manufacturer=text("Manufacturer"),
        model=text("ManufacturerModelName"),
        protocol=text("ProtocolName"),
        body_part=text("BodyPartExamined"),
        study_description=text("StudyDescription"),
        series_description=text("SeriesDescription"),
        age_years=_age_years(values),
        is_whole=is_whole,
    )


def keywords_of(raw: Iterable[tuple[int, bytes]]) -> dict[str, str]:
    """Decode raw values of a header for `facts_of`.

    Parameters
    ----------
    raw : iterable of (int, bytes)
        Tags of `TAGS`, each with the value of its element.
    """
    values = dict(raw)
    character_set = values.pop(_CHARACTER_SET, b"")
    return {KEYWORDS[tag]: decode_text(value, character_set) for tag, value in values.items()}


def _text(value: str) -> str | None:
    folded = fold(value.replace("\0", " ")) if len(value) <= LONGEST_TEXT else ""
    return folded or None


def _age_years(values: Mapping[str, str]) -> int | None:
    age = values.get("PatientAge", "").strip(" \0").upper()
    number, unit = age[:-1], age[-1:]
    if len(age) == _AGE_LENGTH and number.isascii() and number.isdigit() and unit in _IN_A_YEAR:
        return int(int(number) / _IN_A_YEAR[unit])
    born, examined = _day(values.get("PatientBirthDate", "")), _day(values.get("StudyDate", ""))
    if born is None or examined is None or examined < born:
        return None
    has_had_birthday = (examined.month, examined.day) >= (born.month, born.day)
    return examined.year - born.year - (not has_had_birthday)


def _day(text: str) -> date | None:
    digits = text.strip(" \0")
    if len(digits) != _DATE_LENGTH or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
