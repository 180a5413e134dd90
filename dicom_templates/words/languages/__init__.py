"""The languages of our reports, one file each.

To add one: copy `german.py`, read the notes of `dicom_templates.words.glossary`, translate, and list it here.
The tests of `tests/dicom_templates/words` then tell what is missing.
"""

from collections.abc import Mapping
from types import MappingProxyType

from dicom_templates.words.language import Language
from dicom_templates.words.languages.english import ENGLISH
from dicom_templates.words.languages.french import FRENCH
from dicom_templates.words.languages.german import GERMAN

__all__ = ["LANGUAGES"]

LANGUAGES: Mapping[str, Language] = MappingProxyType({one.tag: one for one in (ENGLISH, GERMAN, FRENCH)})
"""By the value of `[report] language`."""
