"""The door: what is let in, what is answered, and what a hostile sender can and cannot do."""

import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from io import BytesIO
from ipaddress import ip_network
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    MRImageStorage,
    RLELossless,
)
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA

from node.app import Node
from node.config import Source
from node.dicom.contexts import storage_contexts
from node.domain.header import USUAL_ELEMENTS, InstanceIdentity, read_identity
from node.receive import received_object, storage_scp
from tests.node.nodes import encode, in_quarantine, quick, quick_node, send, slice_of
from tests.node.wire import ASSOCIATE_AC, associate, request_association, store_pdu, wire_to
from tests.patience import application_entity, wait_until
from tests.peers import program, run


@pytest.fixture(scope="module")
def open_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Run a node that receives; what it does with the studies later is not of interest here."""
    with quick_node(quick(tmp_path_factory.mktemp("receive"))) as running:
        yield running


def on_disk(node: Node, study: str) -> list[Dataset]:
    return [dcmread(node.instance_store.path(instance)) for instance in node.store.instances(study)]


def test_an_echo_is_answered(open_node: Node) -> None:
    ae = application_entity("SENDER")
    ae.add_requested_context("1.2.840.10008.1.1")
    association = ae.associate("127.0.0.1", open_node.port, ae_title="OSTEONODE")
    assert association.send_c_echo().Status == 0
    association.release()


def test_success_means_that_file_and_row_are_there(open_node: Node, study: str) -> None:
    seen: list[tuple[bool, bool]] = []
    original = slice_of(1, study=study)
    ae = application_entity("SENDER")
    ae.add_requested_context(MRImageStorage, "1.2.840.10008.1.2.1")
    association = ae.associate("127.0.0.1", open_node.port, ae_title="OSTEONODE")
    assert association.send_c_store(original).Status == 0
    # Asked in the moment after the answer, while the association is open.
    (instance,) = open_node.store.instances(study)
    seen.append(
        (open_node.instance_store.path(instance).exists(), instance.sop_uid == original.SOPInstanceUID)
    )
    association.release()
    assert seen == [(True, True)]


def test_the_bytes_on_disk_are_the_bytes_that_were_sent(open_node: Node, study: str) -> None:
    original = slice_of(1, study=study)
    send(open_node.port, original)
    dataset = encode(original, ExplicitVRLittleEndian)
    (instance,) = open_node.store.instances(study)
    assert open_node.instance_store.path(instance).read_bytes().endswith(dataset)
    assert instance.size == len(dataset)


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEG2000Lossless, JPEGBaseline8Bit],
    ids=lambda syntax: syntax.name,
)
def test_every_transfer_syntax_is_stored_as_it_came(open_node: Node, study: str, syntax: UID) -> None:
    dataset = slice_of(1, study=study)
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax not in {ImplicitVRLittleEndian, ExplicitVRBigEndian}:
        dataset.PixelData = encapsulate([b"\1\2\3\4"])
        dataset["PixelData"].is_undefined_length = True
        dataset["PixelData"].VR = "OB"
    assert send(open_node.port, dataset) == [0]
    (stored,) = on_disk(open_node, study)
    assert stored.file_meta.TransferSyntaxUID == syntax
    assert stored.SOPInstanceUID == dataset.SOPInstanceUID


@pytest.mark.parametrize("sop_class", [CTImageStorage, EncapsulatedPDFStorage, "1.2.840.10008.5.1.4.1.1.4.1"])
def test_every_kind_of_object_is_taken_so_that_a_router_does_not_stop(
    open_node: Node, study: str, sop_class: str
) -> None:
    assert send(open_node.port, slice_of(1, study=study, sop_class=sop_class)) == [0]


def test_a_wrong_called_title_is_turned_away(open_node: Node, study: str) -> None:
    with pytest.raises(ConnectionRefusedError, match="rejected=True"):
        send(open_node.port, slice_of(1, study=study), called="SOMEBODY")


def test_an_unknown_calling_title_is_turned_away(tmp_path: Path, study: str) -> None:
    known = Source("KNOWN", ip_network("127.0.0.0/8"))
    configuration = replace(quick(tmp_path), sources=(known,))
    with quick_node(configuration) as node:
        with pytest.raises(ConnectionRefusedError, match="rejected=True"):
            send(node.port, slice_of(1, study=study), calling="STRANGER")
        assert send(node.port, slice_of(1, study=study), calling="KNOWN") == [0]


def test_an_unknown_address_is_cut_off_before_it_says_anything(tmp_path: Path, study: str) -> None:
    elsewhere = replace(quick(tmp_path), sources=(Source("*", ip_network("10.0.0.0/8")),))
    with quick_node(elsewhere) as node, pytest.raises(ConnectionRefusedError, match="rejected=False"):
        send(node.port, slice_of(1, study=study))


def test_one_association_too_many_is_turned_away_and_the_others_live(tmp_path: Path, study: str) -> None:
    base = quick(tmp_path)
    with quick_node(replace(base, node=replace(base.node, max_associations=2))) as node:
        ae = application_entity("SENDER")
        ae.add_requested_context(MRImageStorage, "1.2.840.10008.1.2.1")
        held = [ae.associate("127.0.0.1", node.port, ae_title="OSTEONODE") for _ in range(2)]
        assert all(association.is_established for association in held)
        third = ae.associate("127.0.0.1", node.port, ae_title="OSTEONODE")
        assert third.is_rejected
        assert held[0].send_c_store(slice_of(1, study=study)).Status == 0
        for association in held:
            association.release()


def test_a_study_is_not_settled_while_its_sender_is_still_connected(open_node: Node, study: str) -> None:
    ae = application_entity("SENDER")
    ae.add_requested_context(MRImageStorage, "1.2.840.10008.1.2.1")
    association = ae.associate("127.0.0.1", open_node.port, ae_title="OSTEONODE")
    association.send_c_store(slice_of(1, study=study))
    quiet = open_node.configuration.assembly.quiet_s
    time.sleep(4 * quiet)
    assert len(open_node.store.history(study)) == 1
    association.release()
    wait_until(lambda: len(open_node.store.history(study)) > 1)


def raw_store(
    node: Node, payload: bytes, *, instance: str = "1.2.3", syntax: str = ImplicitVRLittleEndian
) -> int:
    """Send any bytes as the dataset of a C-STORE."""
    ae = application_entity("SENDER")
    ae.add_requested_context(MRImageStorage, syntax)
    association = ae.associate("127.0.0.1", node.port, ae_title="OSTEONODE")
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = MRImageStorage
    request.AffectedSOPInstanceUID = instance
    request.Priority = 2
    request.DataSet = BytesIO(payload)
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    association.release()
    return int(answer.Status)


def test_a_dataset_that_is_no_dataset_is_put_aside_and_explained(open_node: Node) -> None:
    before = len(in_quarantine(open_node.store))
    assert raw_store(open_node, b"\xff" * 1001) == 0xC000
    entries = in_quarantine(open_node.store)
    assert len(entries) == before + 1
    assert entries[0].reason
    assert (open_node.configuration.storage.directory / "quarantine" / entries[0].name).exists()


def test_too_many_elements_are_read_once_and_refused_with_the_reason(
    open_node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []

    def counted(data: bytes | memoryview, syntax: str, **effort: Any) -> InstanceIdentity:
        reads.append((effort.get("most_elements"), threading.current_thread().name))
        return read_identity(data, syntax, **effort)

    for module in (received_object, storage_scp):
        monkeypatch.setattr(module, "read_identity", counted)
    before = len(in_quarantine(open_node.store))
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    hostile = compressor.compress(b"\x08\0\x08\0CS\0\0" * 500_000) + compressor.flush()
    assert len(hostile) < 6000
    assert raw_store(open_node, hostile, syntax=DeflatedExplicitVRLittleEndian) == 0xC000
    assert reads == [(USUAL_ELEMENTS, "reader"), (None, "side-work")]
    entries = in_quarantine(open_node.store)
    assert len(entries) == before + 1
    assert any("more than 20000 elements" in entry.reason for entry in entries)


def test_a_burst_of_connections_waits_in_the_queue_of_the_system(open_node: Node) -> None:
    server = open_node._listener._server
    assert server is not None
    told = server.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    # Of a socket that listens, Linux gives the length of its queue as tcpi_sacked.
    (length,) = struct.unpack_from("=I", told, 8 + 5 * 4)
    assert length >= 128


def test_a_request_that_names_another_object_is_refused(open_node: Node, study: str) -> None:
    payload = encode(slice_of(1, study=study), ImplicitVRLittleEndian)
    assert raw_store(open_node, payload, instance="1.2.3.4.5") == 0xA900
    assert raw_store(open_node, payload, instance=f"{study}.1.1") == 0


@pytest.mark.parametrize(
    "uid", ["../../../../tmp/escape", "/etc/cron.d/x", "1.2.3/../../x", "1.2..3", "x" * 64]
)
def test_a_hostile_study_uid_never_becomes_a_path(open_node: Node, tmp_path: Path, uid: str) -> None:
    dataset = slice_of(1)
    del dataset.StudyInstanceUID
    dataset.add_new("StudyInstanceUID", "LO", uid)
    dataset.SOPInstanceUID = UID("1.2.3.4.5.6")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    root = open_node.configuration.storage.directory
    assert send(open_node.port, dataset) == [0xC000]
    assert not (tmp_path.parent / "escape").exists()
    folders = {path.name for path in root.iterdir()}
    assert folders <= {
        "incoming", "instances", "quarantine", "results", "lock",
        "osteonode.db", "osteonode.db-lock", "osteonode.db-wal", "osteonode.db-shm",
    }  # fmt: skip


def test_garbage_on_the_socket_harms_nobody_else(open_node: Node, study: str) -> None:
    random = Random(5)
    for length in (1, 5, 6, 74, 1000, 70000):
        with socket.create_connection(("127.0.0.1", open_node.port)) as stranger:
            stranger.sendall(random.randbytes(length))
    assert send(open_node.port, slice_of(1, study=study)) == [0]


def test_a_silent_connection_delays_nobody(open_node: Node, study: str) -> None:
    with socket.create_connection(("127.0.0.1", open_node.port)):
        assert send(open_node.port, slice_of(1, study=study)) == [0]


def test_a_sender_that_breaks_off_in_the_middle_of_an_image_leaves_nothing(
    open_node: Node, study: str
) -> None:
    ae = application_entity("SENDER")
    ae.add_requested_context(MRImageStorage, "1.2.840.10008.1.2.1")
    association = ae.associate("127.0.0.1", open_node.port, ae_title="OSTEONODE")
    half = P_DATA()
    half.presentation_data_value_list = [[1, b"\x00" + b"\0" * 1000]]
    association.dul.send_pdu(half)
    association.abort()
    assert send(open_node.port, slice_of(1, study=study)) == [0]
    assert len(open_node.store.instances(study)) == 1


def test_a_full_disk_is_told_to_the_sender_and_passes(tmp_path: Path, study: str) -> None:
    base = quick(tmp_path)
    thirsty = replace(base, storage=replace(base.storage, watermark_mb=2**40))
    with quick_node(thirsty) as node:
        assert send(node.port, slice_of(1, study=study)) == [0xA700]
        assert not node.store.instances(study)
        assert not list((node.configuration.storage.directory / "incoming").iterdir())
    with quick_node(base) as node:
        assert send(node.port, slice_of(1, study=study)) == [0]


def test_contexts_are_not_copied_for_each_association() -> None:
    contexts = storage_contexts()
    assert deepcopy(contexts) is contexts
    assert len(contexts) > 100


def test_the_listener_never_decodes_a_dataset(
    open_node: Node, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = store_pdu(study, 1)
    with wire_to(open_node.port) as wire:
        request_association(wire)
        decoder = "pydicom.filereader.data_element_generator"
        monkeypatch.setattr(decoder, lambda *_, **__: pytest.fail("decoded"))
        wire.send(image)
        assert wire.status() == 0


@pytest.mark.peers
def test_dcmtk_sends_and_is_answered(open_node: Node, study: str, tmp_path: Path) -> None:
    storescu = program("storescu", "dcmtk")
    for number in range(3):
        slice_of(number, study=study).save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    run([storescu, "-aec", "OSTEONODE", "127.0.0.1", str(open_node.port), "--scan-directories", tmp_path])
    assert len(open_node.store.instances(study)) == 3


REJECTED = 3


@pytest.mark.parametrize(
    ("called", "calling", "diagnostic"),
    [
        (b"OSTEONODE\0\0\0\0\0\0\0", b"SENDER\0\0\0\0\0\0\0\0\0\0", None),
        (b"  OSTEONODE     ", b" SENDER\0        ", None),
        ("OSTEONÖDE".encode("latin-1"), b"SENDER", 7),
        ("OSTEONÖDE".encode(), b"SENDER", 7),
        (b" " * 16, b"SENDER", 7),
        (b"\0" * 16, b"SENDER", 7),
        (b"OSTEO\0NODE", b"SENDER", 7),
        (b"OSTEO\\NODE", b"SENDER", 7),
        (b"OSTEONODE", "SÉNDER".encode("latin-1"), 3),
        (b"OSTEONODE", "SÉNDER".encode(), 3),
        (b"OSTEONODE", b" " * 16, 3),
        (b"OSTEONODE", b"\x1b[2J", 3),
        (b"OSTEONODE", b"SENDER\\", 3),
    ],
)
def test_titles_of_any_bytes_are_judged_and_answered(
    tmp_path: Path, called: bytes, calling: bytes, diagnostic: int | None
) -> None:
    request = bytearray(associate())
    request[10:26], request[26:42] = called.ljust(16), calling.ljust(16)
    sources = (Source(ae_title="SENDER"),)
    with quick_node(replace(quick(tmp_path), sources=sources)) as node, wire_to(node.port) as wire:
        wire.send(bytes(request))
        kind, content = wire.receive()
    assert kind == (ASSOCIATE_AC if diagnostic is None else REJECTED)
    assert diagnostic is None or content[-1] == diagnostic
