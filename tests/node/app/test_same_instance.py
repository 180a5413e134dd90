"""An instance that is sent again in other bytes: the same, under a corrected identity, or another image."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from analysis.domain.volume import Grid, Volume
from dicom_templates.objects.mr_image import ImageIdentity, mr_images
from node.decode.sameness import compare_instances
from node.domain.records import Sameness
from node.domain.study import StudyState
from node.show.why import explain
from tests.enhanced_mr import enhanced_mr
from tests.node.decode.test_decode import AXES, FACTS
from tests.node.nodes import STUDY, quick, quick_node, running_pacs, send, slice_of, state_of
from tests.patience import wait_until

CONFLICTING = 0xB111
Change = Callable[[Dataset], object]


def image() -> Dataset:
    grid = Grid((3, 40, 36), (4.4, 0.8, 0.7), (12.0, -60.0, 80.0), AXES)
    volume = Volume(np.random.default_rng(1).integers(0, 1000, grid.shape).astype(np.float32), grid)
    identity = ImageIdentity(
        patient_id="1", patient_name="Müller^Jörg", study_uid="1.2.3", series_uid="1.2.3.4",
        frame_of_reference_uid="1.2.3.5", study_date="20260101", study_time="080000",
    )  # fmt: skip
    return next(iter(mr_images(volume, FACTS, identity)))


def compress(syntax: str) -> Change:
    return lambda one: one.compress(syntax, generate_instance_uid=False)


def encode_as(syntax: str) -> Change:
    def change(one: Dataset) -> None:
        one.file_meta.TransferSyntaxUID = UID(syntax)
        if syntax == ExplicitVRBigEndian:
            one.PixelData = np.frombuffer(one.PixelData, "<u2").astype(">u2").tobytes()

    return change


def put(**values: object) -> Change:
    def change(one: Dataset) -> None:
        for keyword, value in values.items():
            setattr(one, keyword, value)

    return change


def both(*changes: Change) -> Change:
    def change(one: Dataset) -> None:
        for each in changes:
            each(one)

    return change


def in_utf_8(one: Dataset) -> None:
    one.SpecificCharacterSet = "ISO_IR 192"
    one.PatientName = "Müller^Jörg^^^"


def one_pixel(one: Dataset) -> None:
    one.PixelData = b"\x07" + one.PixelData[1:]


def compressed_pixel(one: Dataset) -> None:
    one_pixel(one)
    one.compress(RLELossless, generate_instance_uid=False)


SAME: dict[str, Change] = {
    "implicit": encode_as(ImplicitVRLittleEndian),
    "big endian": encode_as(ExplicitVRBigEndian),
    "deflated": encode_as(DeflatedExplicitVRLittleEndian),
    "JPEG 2000": compress(JPEG2000Lossless),
    "RLE": compress(RLELossless),
    "Retrieve AE Title": put(RetrieveAETitle="ARCHIVE"),
    "group length": lambda one: one.add_new(0x00080000, "UL", 400),
    "UTF-8": in_utf_8,
    "digits": put(PixelSpacing=["0.800000", "0.700000"]),
    "birth date with dots": put(PatientBirthDate="", PatientSex=""),
}
OTHER_PATIENT: dict[str, Change] = {
    "ID": put(PatientID="2"),
    "issuer": put(IssuerOfPatientID="HOSPITAL"),
    "name": put(PatientName="Meier^Jörg"),
    "birth date": put(PatientBirthDate="19400229"),
    "ID, and compressed": both(put(PatientID="2"), compress(RLELossless)),
}
OTHER: dict[str, Change] = {
    "pixel": one_pixel,
    "compressed pixel": compressed_pixel,
    "pixel and patient": both(put(PatientID="2"), one_pixel),
    "place": put(ImagePositionPatient=["0", "1", "2"]),
    "spacing": put(PixelSpacing=["0.9", "0.7"]),
    "series": put(SeriesInstanceUID="1.2.9"),
    "slope": put(RescaleSlope="2", RescaleIntercept="0"),
    "grey": put(PhotometricInterpretation="MONOCHROME1"),
    "no pixels": lambda one: one.pop("PixelData"),
}


def written(one: Dataset, path: Path) -> Path:
    dcmwrite(path, one, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        *(pytest.param(Sameness.SAME, change, id=name) for name, change in SAME.items()),
        *(pytest.param(Sameness.OTHER_PATIENT, change, id=name) for name, change in OTHER_PATIENT.items()),
        *(pytest.param(Sameness.OTHER, change, id=name) for name, change in OTHER.items()),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_counts_is_identity_geometry_and_pixels(
    tmp_path: Path, expected: Sameness, change: Change
) -> None:
    kept, arrived = image(), image()
    change(arrived)
    files = written(kept, tmp_path / "kept.dcm"), written(arrived, tmp_path / "arrived.dcm")
    assert compare_instances(*files) is expected


def test_a_frame_at_another_place_is_another_object(tmp_path: Path) -> None:
    frames = [image(), image(), image()]
    for number, frame in enumerate(frames):
        frame.ImagePositionPatient = [str(4.4 * number), "0", "0"]
    kept = enhanced_mr(frames, uid="1.2.3.9")
    again, moved = deepcopy(kept), deepcopy(kept)
    again.RetrieveAETitle = "ARCHIVE"
    groups = moved.PerFrameFunctionalGroupsSequence[1]
    groups.PlanePositionSequence[0].ImagePositionPatient = ["4.5", "0", "0"]
    path = written(kept, tmp_path / "kept.dcm")
    assert compare_instances(path, written(again, tmp_path / "again.dcm")) is Sameness.SAME
    assert compare_instances(path, written(moved, tmp_path / "moved.dcm")) is Sameness.OTHER


def test_damaged_bytes_are_not_the_same(tmp_path: Path) -> None:
    kept, arrived = written(image(), tmp_path / "kept.dcm"), tmp_path / "arrived.dcm"
    arrived.write_bytes(kept.read_bytes()[:1500])
    assert compare_instances(kept, arrived) is Sameness.OTHER


def by(patient_id: str, **values: object) -> list[Dataset]:
    images = [slice_of(number, patient_id=patient_id) for number in range(3)]
    for one in images:
        put(**values)(one)
    return images


def test_the_same_again_in_other_bytes_is_a_success_and_changes_nothing(tmp_path: Path) -> None:
    with quick_node(quick(tmp_path)) as node:
        assert send(node.port, *by("A")) == [0, 0, 0]
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        before, history = node.store.instances(STUDY), len(node.store.history(STUDY))
        assert send(node.port, *by("A", RetrieveAETitle="ARCHIVE")) == [0, 0, 0]
        assert node.store.instances(STUDY) == before
        assert len(node.store.history(STUDY)) == history
        for folder in ("quarantine", "incoming"):
            assert not list((tmp_path / folder).iterdir())


def test_a_corrected_identity_supersedes_the_report_and_is_told(tmp_path: Path) -> None:
    with running_pacs() as pacs, quick_node(quick(tmp_path, pacs.destination)) as node:
        assert send(node.port, *by("A")) == [0, 0, 0]
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        assert not node.store.lineage(STUDY).corrected
        first = {one.SOPInstanceUID for one in pacs.received}
        assert send(node.port, *by("B")) == [0, 0, 0]
        wait_until(lambda: len(pacs.received) == 2 * len(first))
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        second = pacs.received[len(first) :]
        assert {one.PatientID for one in second} == {"B"}
        assert node.store.lineage(STUDY).corrected
        named = {item.ReferencedSOPInstanceUID for one in second for item in one.PredecessorDocumentsSequence}
        assert named
        assert named <= first
        told = explain(node.store, STUDY)
        assert "3 of them came again under another identity of the patient, which counts now" in told
        assert len(list((tmp_path / "quarantine").iterdir())) == 3
        assert {dcmread(node.instance_store.path(one)).PatientID for one in node.store.instances(STUDY)} == {
            "B"
        }


def test_another_image_under_a_known_uid_is_a_warning_after_which_senders_go_on(tmp_path: Path) -> None:
    with quick_node(quick(tmp_path)) as node:
        first, other = slice_of(0), slice_of(0)
        one_pixel(other)
        assert send(node.port, first, other, slice_of(1)) == [0, CONFLICTING, 0]
        assert len(node.store.instances(STUDY)) == 2
        assert "1 of them came again with other bytes; the first stand" in explain(node.store, STUDY)
