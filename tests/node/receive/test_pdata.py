"""What is encoded by hand for each image equals what pynetdicom and pydicom would have encoded."""

from contextlib import suppress
from io import BytesIO

from hypothesis import given
from hypothesis import strategies as st
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID
from pynetdicom.dimse_messages import C_STORE_RQ, C_STORE_RSP
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import create_file_meta
from pynetdicom.pdu import P_DATA_TF

from node.receive.pdata import (
    COMMAND,
    LAST,
    MalformedMessageError,
    OtherCommand,
    StoreRequest,
    fragments,
    read_command,
    store_response,
)
from node.receive.received_object import file_header

_WORDS = st.integers(0, 0xFFFF)
_UIDS = st.lists(st.integers(0, 10**9), min_size=1, max_size=6).map(
    lambda numbers: ".".join(map(str, [1, *numbers]))
)


@given(sop_class=_UIDS, sop_instance=_UIDS, message_id=_WORDS, status=_WORDS)
def test_the_answer_to_a_c_store_is_that_of_pynetdicom(
    sop_class: str, sop_instance: str, message_id: int, status: int
) -> None:
    """PS3.7 9.3.1.2: the fields of a C-STORE-RSP."""
    theirs = C_STORE()
    theirs.MessageID = theirs.MessageIDBeingRespondedTo = message_id
    theirs.AffectedSOPClassUID, theirs.AffectedSOPInstanceUID = UID(sop_class), UID(sop_instance)
    theirs.Status = status
    message = C_STORE_RSP()
    message.primitive_to_message(theirs)
    (fragment,) = message.encode_msg(1, 16384)
    pdu = P_DATA_TF()
    pdu.from_primitive(fragment)
    assert pdu.encode() == store_response(1, StoreRequest(message_id, sop_class, sop_instance), status)


@given(sop_class=_UIDS, sop_instance=_UIDS, message_id=_WORDS, longest=st.integers(8, 300), data=st.binary())
def test_a_c_store_request_of_pynetdicom_is_read_whole(
    sop_class: str, sop_instance: str, message_id: int, longest: int, data: bytes
) -> None:
    """PS3.8 9.3.5 and PS3.7 9.3.1.1: fragments and their control headers; the fields of a C-STORE-RQ."""
    theirs = C_STORE()
    theirs.MessageID = message_id
    theirs.AffectedSOPClassUID, theirs.AffectedSOPInstanceUID = UID(sop_class), UID(sop_instance)
    theirs.Priority = 0
    theirs.DataSet = BytesIO(data)
    message = C_STORE_RQ()
    message.primitive_to_message(theirs)
    came = {True: b"", False: b""}
    for primitive in message.encode_msg(3, longest):
        pdu = P_DATA_TF()
        pdu.from_primitive(primitive)
        for context, control, fragment in fragments(memoryview(pdu.encode())[6:]):
            assert context == 3
            came[bool(control & COMMAND)] += bytes(fragment)
    assert control == LAST or not data
    assert read_command(came[True]) == StoreRequest(message_id, sop_class, sop_instance)
    assert came[False] == data


@given(st.binary(max_size=200))
def test_what_is_no_message_is_told_and_breaks_nothing(content: bytes) -> None:
    with suppress(MalformedMessageError):
        assert sum(6 + len(fragment) for *_, fragment in fragments(memoryview(content))) == len(content)
    with suppress(MalformedMessageError):
        assert isinstance(read_command(content), OtherCommand)


@given(sop_class=_UIDS, sop_instance=_UIDS, transfer_syntax=_UIDS)
def test_the_header_of_a_file_is_that_of_pydicom(
    sop_class: str, sop_instance: str, transfer_syntax: str
) -> None:
    """PS3.10 7.1: the File Meta Information."""
    buffer = DicomBytesIO()
    meta = create_file_meta(
        sop_class_uid=UID(sop_class), sop_instance_uid=UID(sop_instance), transfer_syntax=UID(transfer_syntax)
    )
    write_file_meta_info(buffer, meta)
    assert file_header(sop_class, sop_instance, transfer_syntax) == buffer.getvalue()


def test_what_is_no_uid_makes_neither_longer_than_their_fields() -> None:
    assert len(file_header("1.2", "\N{SNOWMAN}" * 70000, "1.2")) == len(file_header("1.2", "1" * 64, "1.2"))
    long, longest = (StoreRequest(1, "1.2", "9" * digits) for digits in (64, 70000))
    assert len(store_response(1, longest, 0)) == len(store_response(1, long, 0))
