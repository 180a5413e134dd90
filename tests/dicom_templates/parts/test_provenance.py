"""Identifiers that follow from what they identify, and marks of who made a thing."""

from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import UID

from dicom_templates.parts.provenance import is_own_result
from dicom_templates.parts.uids import derive_uid


@given(st.lists(st.text(), max_size=5))
def test_a_derived_uid_is_valid_whatever_it_derives_from(parts: list[str]) -> None:
    uid = UID(derive_uid(*parts))
    assert uid.is_valid
    assert len(uid) <= 64
    assert uid == derive_uid(*parts)


@given(st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_different_parts_give_different_uids(one: list[str], other: list[str]) -> None:
    assert (derive_uid(*one) == derive_uid(*other)) == (one == other)


def test_a_scanner_is_not_taken_for_us() -> None:
    header = Dataset()
    assert not is_own_result(header)
    header.Manufacturer = "OsteoNode"
    assert not is_own_result(header)
    header.ManufacturerModelName = "OsteoNode "
    assert is_own_result(header)
