from hypothesis import given
from hypothesis import strategies as st

from node.domain.identifiers import clean_ae_title, folder_name, is_uid


@given(st.text())
def test_a_folder_name_is_32_hex_digits_whatever_the_uid(uid: str) -> None:
    name = folder_name(uid)
    assert len(name) == 32
    assert set(name) <= set("0123456789abcdef")


@given(st.text(), st.text())
def test_different_uids_have_different_folders(one: str, other: str) -> None:
    assert (folder_name(one) == folder_name(other)) == (one == other)


@given(st.text())
def test_a_uid_never_holds_what_a_path_or_a_terminal_reads(text: str) -> None:
    if is_uid(text):
        assert set(text) <= set("0123456789.")
        assert ".." not in text


@given(st.text())
def test_an_ae_title_in_a_log_is_printable(text: str) -> None:
    cleaned = clean_ae_title(text)
    assert cleaned.isprintable()
    assert len(cleaned) <= 16
