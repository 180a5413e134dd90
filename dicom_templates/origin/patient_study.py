"""Patient and study, which every result copies from its source byte for byte.

An archive may file a result under a new patient if the name is spelt otherwise, or is in another character
set. So the encoded bytes are copied together with their character set, and only our own text adapts to it.

References
----------
DICOM PS3.3 C.7.1.1 Patient, C.7.2.1 General Study, C.7.2.2 Patient Study, C.12.1.1.2 Specific Character Set.
"""

from collections.abc import Iterable
from copy import deepcopy
from datetime import date
from hashlib import sha256

from pydicom import DataElement, Dataset
from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.tag import BaseTag, Tag

__all__ = [
    "age_in_years",
    "copy_patient_and_study",
    "date_of",
    "fit_to_charset",
    "in_ascii",
    "nameless_header",
    "patient_digest",
]

_REQUIRED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Type 1 and 2: present in every result, empty where the source has no value."""

_OPTIONAL = (
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "TypeOfPatientID",
    "OtherPatientIDs",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "PatientBirthTime",
    "PatientMotherBirthName",
    "EthnicGroup",
    "PatientComments",
    "QualityControlSubject",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "IssuerOfAccessionNumberSequence",
    "StudyDescription",
    "ProcedureCodeSequence",
    "PhysiciansOfRecord",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "AdmissionID",
    "IssuerOfAdmissionIDSequence",
    "AdmittingDiagnosesDescription",
    "AdditionalPatientHistory",
    "PregnancyStatus",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
    "ClinicalTrialTimePointID",
)
"""Type 3 and conditional: present where the source has them."""

_IDENTITY = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex")

_TEXT_VRS = {"LO", "LT", "PN", "SH", "ST", "UC", "UT"}
_ASCII_CHARSETS = {"", "ISO_IR 6", "ISO 2022 IR 6"}
_TRANSLITERATION = str.maketrans(
    {
        "ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss",
        "\u2013": "-", "\u2014": "-", "\u2212": "-", "\u00d7": "x", "\u2265": ">=", "\u2264": "<=",
        "\u00b1": "+/-", "\u00b2": "2", "\u00b3": "3", "\u00b7": "-", "\u2019": "'", "\u201e": '"',
        "\u201c": '"', "\u201d": '"', "\u00a0": " ", "\u202f": " ",
    }
)  # fmt: skip


def copy_patient_and_study(source: Dataset, result: Dataset, *, series_keywords: Iterable[str] = ()) -> None:
    """Make a result belong to the patient and study of its source.

    Parameters
    ----------
    source : Dataset
        Header of one source image.
    result : Dataset
        The result; changed in place. What it already has of patient and study is replaced or removed.
    series_keywords : iterable of str
        Attributes of the source series that are copied too ("BodyPartExamined").
    """
    for keyword in (*_REQUIRED, *_OPTIONAL, *series_keywords):
        tag = Tag(keyword)
        element = _element_as_encoded(source, tag)
        if element is not None:
            result[tag] = element
        elif keyword in _REQUIRED:
            setattr(result, keyword, "")
        elif tag in result:
            del result[tag]
    _write_as_encoded(result)


def _write_as_encoded(result: Dataset) -> None:
    """Make the writer of pydicom copy encoded elements unchanged.

    It decodes and encodes elements again unless the dataset is marked as being in the encoding to write. Text
    in a character set other than the declared one, or with a broken escape sequence, would then change.
    """
    # The writer skips this step for a dataset marked so: elements such as SmallestImagePixelValue, whose VR
    # depends on the sign of pixels, get it here.
    correct_ambiguous_vr(result, is_little_endian=True)
    own_charset = result._character_set  # noqa: SLF001 - the writer compares with it
    result.set_original_encoding(is_implicit_vr=False, is_little_endian=True, character_encoding=own_charset)


def _element_as_encoded(source: Dataset, tag: BaseTag) -> DataElement | RawDataElement | None:
    """Return a copy of an element that writes the same bytes, or None if the source has none."""
    if tag not in source:
        return None
    element = source.get_item(tag)
    vr = dictionary_VR(tag)
    if not isinstance(element, RawDataElement) or vr == "SQ" or not element.value:
        return deepcopy(source[tag])
    # Results are in explicit syntax, so a source in implicit syntax needs the VR added. All elements that are
    # copied here are text, which has no byte order.
    return RawDataElement(tag, vr, len(element.value), element.value, 0, False, True)


def nameless_header(study_uid: str, series_uid: str, sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Make a header with the identifiers of an object and no patient; highdicom copies from headers.

    Real headers may lack or misspell what highdicom needs, and `copy_patient_and_study` copies patient and
    study byte for byte later.

    Parameters
    ----------
    study_uid, series_uid, sop_class_uid, sop_instance_uid : str
        Of the object.

    Returns
    -------
    Dataset
    """
    header = Dataset()
    for keyword in _REQUIRED:
        setattr(header, keyword, "")
    header.StudyInstanceUID = study_uid
    header.SeriesInstanceUID = series_uid
    header.SOPClassUID = sop_class_uid
    header.SOPInstanceUID = sop_instance_uid
    return header


def fit_to_charset(result: Dataset, source: Dataset) -> None:
    """Rewrite our own text where the character set of the source cannot encode it.

    Call it before `copy_patient_and_study`, whose bytes must not change.

    Parameters
    ----------
    result : Dataset
        Changed in place, nested sequences included.
    source : Dataset
        Header with the Specific Character Set that the result will have.
    """
    encoding = _own_encoding(source)

    def fit(_dataset: Dataset, element: DataElement) -> None:
        if element.VR in _TEXT_VRS and element.value:
            element.value = _map_text(element.value, encoding)

    result.walk(fit)


def _own_encoding(source: Dataset) -> str:
    """Return the Python codec of the first character set; all others need escape sequences."""
    declared = source.get("SpecificCharacterSet") or ""
    first = str(declared if isinstance(declared, str) else declared[0]).strip()
    if first in _ASCII_CHARSETS:
        return "ascii"
    try:
        return str(convert_encodings([first])[0])
    except LookupError:
        return "ascii"


def _map_text(value: object, encoding: str) -> object:
    if isinstance(value, str):
        return _fit_text(value, encoding)
    return value


def _fit_text(text: str, encoding: str) -> str:
    """Return a text unchanged if the codec can encode it, else transliterated to ASCII.

    Parameters
    ----------
    text : str
        Our own words.
    encoding : str
        A Python codec.

    Returns
    -------
    str

    Examples
    --------
    >>> _fit_text("Wirbelkörper", "ascii")
    'Wirbelkoerper'
    >>> _fit_text("Wirbelkörper", "latin-1")
    'Wirbelkörper'
    """
    if text.isascii() or _encodable(text, encoding):
        return text
    plain = text.translate(_TRANSLITERATION)
    return plain if _encodable(plain, encoding) else plain.encode("ascii", "replace").decode("ascii")


def in_ascii(text: str) -> str:
    """Return a text in ASCII; it is the same for a text that was fitted to another set before.

    Examples
    --------
    >>> in_ascii("Rückfrage") == in_ascii("Rueckfrage")
    True
    """
    return _fit_text(text, "ascii")


def _encodable(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def patient_digest(source: Dataset) -> str:
    """Return a digest of who the patient is, however that is encoded; it cannot be traced back."""
    # Of a copy: a name that was once decoded may no longer be written as the bytes that came.
    apart = deepcopy(source)
    told = (" ".join(str(apart.get(keyword) or "").split()) for keyword in _IDENTITY)
    return sha256("\0".join(told).encode("utf-8", "replace")).hexdigest()


def age_in_years(source: Dataset) -> int | None:
    """Read PatientAge, in whole years.

    Parameters
    ----------
    source : Dataset
        Header of one source image.

    Returns
    -------
    int or None
        None if the header has no age in years. The birth date is not used, because anonymised studies often
        have a wrong one.

    Examples
    --------
    >>> header = Dataset()
    >>> header.PatientAge = "061Y"
    >>> age_in_years(header)
    61
    >>> header.PatientAge = "²³Y"
    >>> age_in_years(header)
    """
    told = str(source.get("PatientAge") or "").strip()
    # Other digits than those of ASCII are not all read by `int`.
    if not told.endswith("Y") or not (told.isascii() and told[:-1].isdigit()):
        return None
    return int(told[:-1])


def date_of(header: Dataset, keyword: str) -> date | None:
    """Read a date.

    Examples
    --------
    >>> header = Dataset()
    >>> header.StudyDate = "20260105"
    >>> date_of(header, "StudyDate")
    datetime.date(2026, 1, 5)
    """
    # With dots, as before the year 1993 (ACR-NEMA 2.0).
    told = str(header.get(keyword) or "").strip().replace(".", "")
    if len(told) != 8 or not (told.isascii() and told.isdigit()):
        return None
    try:
        return date(int(told[:4]), int(told[4:6]), int(told[6:]))
    except ValueError:
        return None
