"""Whom a report is about: for pages that are printed and forwarded without a DICOM object around them."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from dicom_templates.words.texts import Texts

__all__ = ["Whom", "named", "printable"]


@dataclass(frozen=True, slots=True)
class Whom:
    """Patient and request as the header of a source image names them.

    Attributes
    ----------
    name : str
        PatientName, a PN: components parted by "^", groups of letters by "=".
    patient_id, issuer : str
        PatientID and IssuerOfPatientID.
    birth_date : str
        In the format of the language, or as the header has it if that is no date.
    accession_number : str
        AccessionNumber.
    """

    name: str = ""
    patient_id: str = ""
    issuer: str = ""
    birth_date: str = ""
    accession_number: str = ""

    @property
    def identified(self) -> bool:
        """Whether it says who the patient is."""
        return bool(self.name.strip("^= ") or self.patient_id)


def named(whom: Whom, texts: Texts) -> tuple[tuple[str, str], ...]:
    """Return label and value of name, ID, birth date and accession number; what is missing is said to be.

    Examples
    --------
    >>> for one in named(Whom("Doe^Jane^^Dr.", "4711", "CLINIC", "1964-02-29"), Texts("en")):
    ...     print(*one)
    Patient Doe, Dr. Jane
    Patient ID 4711 (CLINIC)
    Date of birth 1964-02-29
    Accession number not given
    """
    issuer = f" ({whom.issuer})" if whom.issuer else ""
    values = (
        ("whom_name", _spoken(whom.name)),
        ("whom_id", whom.patient_id and f"{whom.patient_id}{issuer}"),
        ("whom_born", whom.birth_date),
        ("whom_accession", whom.accession_number),
    )
    return tuple((texts(key), value or texts("whom_missing")) for key, value in values)


def printable(words: str, texts: Texts, drawn: Callable[[str], bool]) -> str:
    """Return words as a page can print them, or that it cannot.

    Parameters
    ----------
    words : str
        A name or an identifier.
    texts : Texts
        The language of the page.
    drawn : callable
        Whether the font of the page has a letter.

    Returns
    -------
    str
        The words; without a group of letters that the font lacks if there is another; else a sentence, for
        boxes and letters in the wrong order would be taken for a name. Letters that are written from right to
        left count as lacking.
    """

    def can(part: str) -> bool:
        return all(drawn(one) and unicodedata.bidirectional(one) not in {"R", "AL"} for one in part)

    groups = [group for group in words.split(" = ") if can(group)]
    return " = ".join(groups) or texts("whom_letters")


def _spoken(name: str) -> str:
    """Write a PN as it is spoken, every group of letters that it has: "Doe, Dr. Jane Mary, MD"."""
    groups = []
    for group in name.split("="):
        family, given, middle, prefix, suffix = ([*(part.strip() for part in group.split("^")), *[""] * 5])[
            :5
        ]
        first = " ".join(part for part in (prefix, given, middle) if part)
        groups.append(", ".join(part for part in (family, first, suffix) if part))
    return " = ".join(dict.fromkeys(group for group in groups if group))
