"""Every code in every result object: its meaning, its scheme, and that none is private without need."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.sr._concepts_dict import concepts as PUBLIC  # noqa: N812
from pydicom.sr.codedict import codes

from dicom_templates.codes.concepts import PRIVATE_SCHEME
from tests.dicom_templates.documents import content_items, every_object

OUTSIDE = {
    ("LN", "24968-0"): "MR Lumbar spine",
    ("SCT", "64859006"): "Osteoporosis",
    ("UMLS", "C0034375"): "Qualitative Evaluations",
    ("UCUM", "{patients}"): "patients",
    ("UCUM", "/mm"): "/mm",
    # The dictionary has "Source (attribute)"; PS3.16 TID 320 and validators have this.
    ("SCT", "260753009"): "Source",
    ("RFC5646", "en"): "English",
    ("RFC5646", "de"): "German",
    ("RFC5646", "fr"): "French",
}
"""Public codes that the dictionary of PS3.16 does not hold, or spells differently."""

Entry = tuple[str, str, str]


def entries(dataset: Dataset) -> Iterator[Entry]:
    """Iterate over the codes in an object: scheme, value, meaning."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                if "CodingSchemeDesignator" in item and "CodeMeaning" in item:
                    value = item.get("CodeValue") or item.get("LongCodeValue")
                    yield str(item.CodingSchemeDesignator), str(value), str(item.CodeMeaning)
                yield from entries(item)


@pytest.fixture(scope="module")
def written() -> set[Entry]:
    return {entry for _, dataset in every_object() for entry in entries(dataset)}


def in_dictionary() -> dict[tuple[str, str], set[str]]:
    found = defaultdict(set)
    dictionary: dict[str, dict[str, Any]] = PUBLIC
    for scheme, words in dictionary.items():
        for values in words.values():
            for value, (meaning, _) in values.items():
                found[scheme, value].add(meaning)
    return found


def spelt(meaning: str) -> str:
    return re.sub(r"[^a-z0-9%]+", " ", meaning.lower()).strip()


def test_meanings_are_whole_and_no_code_has_two(written: set[Entry]) -> None:
    assert len(written) > 250
    meanings, values = defaultdict(set), defaultdict(set)
    for scheme, value, meaning in written:
        assert 0 < len(value) <= 16, value
        assert 0 < len(meaning) <= 64, meaning
        meanings[scheme, value].add(meaning)
        values[scheme, meaning].add(value)
    assert [one for one in meanings.items() if len(one[1]) > 1] == []
    assert [one for one in values.items() if len(one[1]) > 1] == []


def test_public_codes_have_the_meanings_of_the_standard(written: set[Entry]) -> None:
    dictionary = in_dictionary()
    public = {(scheme, value): meaning for scheme, value, meaning in written if scheme != PRIVATE_SCHEME}
    unlike = {key: meaning for key, meaning in public.items() if meaning not in dictionary.get(key, ())}
    assert unlike == OUTSIDE


def test_no_private_code_means_what_a_public_one_means(written: set[Entry]) -> None:
    public = {spelt(meaning): key for key, meanings in in_dictionary().items() for meaning in meanings}
    private = {meaning: value for scheme, value, meaning in written if scheme == PRIVATE_SCHEME}
    assert len(private) > 100
    assert {meaning: public[spelt(meaning)] for meaning in private if spelt(meaning) in public} == {}


def test_both_documents_name_the_procedure_where_a_header_says_lumbar() -> None:
    told = defaultdict(set)
    for name, dataset in every_object():
        if "PerformedProcedureCodeSequence" in dataset:
            told[name].add(dataset.PerformedProcedureCodeSequence[0].CodeValue)
    # One of the studies says nothing of the region, neither does a refusal.
    assert told == {"sr": {"24968-0", "25056-3"}, "text": {"24968-0", "25056-3"}}
    regions = {
        item.dataset.ConceptCodeSequence[0].CodeMeaning
        for item in content_items()
        if item.name.CodeValue == codes.DCM.TargetRegion.value
    }
    assert regions == {"Lumbar spine"}
