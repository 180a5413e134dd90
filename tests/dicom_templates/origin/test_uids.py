"""UIDs that are derived from what they identify."""

from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from dicom_templates.origin.uids import derive_uid


@given(st.lists(st.text(), max_size=5))
def test_a_derived_uid_is_valid_whatever_it_derives_from(parts: list[str]) -> None:
    uid = UID(derive_uid(*parts))
    assert uid.is_valid
    assert len(uid) <= 64
    assert uid == derive_uid(*parts)


@given(st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_different_parts_give_different_uids(one: list[str], other: list[str]) -> None:
    assert (derive_uid(*one) == derive_uid(*other)) == (one == other)
