"""A study whose patient is not certain is held until it is corrected, by its source or by an operator."""

from pathlib import Path

import pytest
from pydicom import Dataset

from node.app import Node
from node.domain.study import StudyState
from node.operate.retry import retry_study
from node.show.why import explain
from tests.node.analyses import CLASSES
from tests.node.nodes import (
    STUDY,
    quick,
    quick_node,
    running_pacs,
    send,
    slice_of,
    state_of,
)
from tests.patience import wait_until

CONFLICTING = 0xB111


def images(*patient_ids: str) -> list[Dataset]:
    return [slice_of(number, patient_id=patient_id) for number, patient_id in enumerate(patient_ids)]


def order(node: Node, study: str = STUDY) -> str:
    return retry_study(node.store, node.configuration, study, node._clock.now()).words


HELD = [
    pytest.param(("", "", ""), "its images have no PatientID", id="none has one"),
    pytest.param(("A", "", "A"), "some of its images have no PatientID", id="one has none"),
    pytest.param(
        ("A", "B", "A"), "its images do not all bear one Patient ID of one issuer", id="two patients"
    ),
    pytest.param((" ", "\0", ""), "its images have no PatientID", id="padding is no identity"),
]


@pytest.mark.parametrize(("patient_ids", "reason"), HELD)
def test_a_study_whose_patient_is_not_certain_is_held_and_goes_on_once_it_is_corrected(
    tmp_path: Path, patient_ids: tuple[str, ...], reason: str
) -> None:
    with running_pacs() as pacs, quick_node(quick(tmp_path, pacs.destination)) as node:
        assert send(node.port, *images(*patient_ids)) == [0, 0, 0]
        wait_until(lambda: state_of(node) is StudyState.FAILED)
        told = explain(node.store, STUDY)
        assert f"{reason}: a person must decide" in told
        assert "osteonode retry" in told
        assert not pacs.received

        order(node)  # without corrected images, it is held again
        wait_until(lambda: len(node.store.history(STUDY)) == 5)
        wait_until(lambda: state_of(node) is StudyState.FAILED)

        wrong = [number for number, patient_id in enumerate(patient_ids) if patient_id != "A"]
        corrected = [slice_of(number, patient_id="A") for number in wrong]
        assert send(node.port, *corrected) == [0] * len(wrong)
        assert f"{len(wrong)} of them came again under another identity" in explain(node.store, STUDY)
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        assert len(pacs.received) == len(CLASSES)
        assert {dataset.PatientID for dataset in pacs.received} == {"A"}
        assert len(node.store.instances(STUDY)) == len(patient_ids)
        assert len(list((tmp_path / "quarantine").iterdir())) == len(wrong), "replaced images are kept"


MAN = {"PatientBirthDate": "19400229", "PatientSex": "M"}
OTHERS = [
    pytest.param({"PatientBirthDate": "19850101"}, "more than one birth date", id="birth date"),
    pytest.param({"PatientSex": "F"}, "more than one sex", id="sex"),
    pytest.param(
        {"PatientBirthDate": "19850101", "PatientSex": "F"},
        "more than one birth date and more than one sex",
        id="both",
    ),
]


def of_person(number: int, told: dict[str, str]) -> Dataset:
    image = slice_of(number)
    for keyword, value in told.items():
        setattr(image, keyword, value)
    return image


@pytest.mark.parametrize(("other", "reason"), OTHERS)
def test_a_study_of_two_persons_under_one_patient_id_is_held_until_it_is_corrected(
    tmp_path: Path, other: dict[str, str], reason: str
) -> None:
    with running_pacs() as pacs, quick_node(quick(tmp_path, pacs.destination)) as node:
        send(node.port, of_person(0, MAN), of_person(1, {}), of_person(2, MAN | other))
        wait_until(lambda: state_of(node) is StudyState.FAILED)
        told = explain(node.store, STUDY)
        assert f"{reason} for one patient: a person must decide" in told
        assert "1940" not in told
        assert not pacs.received

        assert send(node.port, of_person(2, MAN)) == [0]
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        assert len(node.store.instances(STUDY)) == 3


def test_a_missing_birth_date_and_another_name_hold_nothing(tmp_path: Path) -> None:
    with running_pacs() as pacs, quick_node(quick(tmp_path, pacs.destination)) as node:
        send(node.port, of_person(0, MAN), of_person(1, {"PatientName": "ANOTHER^NAME"}))
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)


@pytest.mark.parametrize(
    ("other", "state"),
    [({}, StudyState.DELIVERED), ({"PatientName": "ANOTHER^NAME"}, StudyState.FAILED)],
    ids=["all else agrees", "another name"],
)
def test_an_issuer_on_one_image_only_holds_a_study_unless_all_else_agrees(
    tmp_path: Path, other: dict[str, str], state: StudyState
) -> None:
    with running_pacs() as pacs, quick_node(quick(tmp_path, pacs.destination)) as node:
        send(node.port, of_person(0, MAN), of_person(1, MAN | {"IssuerOfPatientID": "HOSPITAL"} | other))
        wait_until(lambda: state_of(node) is state)


def test_an_image_that_belongs_to_another_study_goes_there(tmp_path: Path) -> None:
    """An image of patient B was stored in the study of patient A by mistake."""
    with running_pacs() as pacs, quick_node(quick(tmp_path, pacs.destination)) as node:
        send(node.port, *images("A", "B", "A"))
        wait_until(lambda: state_of(node) is StudyState.FAILED)
        elsewhere = slice_of(1, patient_id="B")
        elsewhere.StudyInstanceUID = f"{STUDY}.2"
        elsewhere.PatientID = "B "
        elsewhere.IssuerOfPatientID = "HOSPITAL"
        send(node.port, elsewhere)
        order(node)
        wait_until(lambda: state_of(node, f"{STUDY}.2") is StudyState.DELIVERED)
        order(node)
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        assert len(node.store.instances(STUDY)) == 2


def with_other_pixels(patient_id: str) -> list[Dataset]:
    """Return images that are neither the same as those of `images` nor of the same patient."""
    made = images(patient_id, patient_id)
    for one in made:
        one.PixelData = b"\x07" + one.PixelData[1:]
    return made


def test_other_pixels_are_never_put_in_place_of_a_study_that_is_not_held(tmp_path: Path) -> None:
    with quick_node(quick(tmp_path)) as node:
        send(node.port, *images("A", "A"))
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        before = node.store.instances(STUDY)
        assert send(node.port, *with_other_pixels("B")) == [CONFLICTING] * 2
        order(node)
        wait_until(lambda: len(node.store.history(STUDY)) > 8)
        assert node.store.instances(STUDY) == before


def test_an_operator_puts_other_pixels_of_a_certain_patient_in_place_of_a_study_that_is_held(
    tmp_path: Path,
) -> None:
    with quick_node(quick(tmp_path)) as node:
        send(node.port, *images("", ""))
        wait_until(lambda: state_of(node) is StudyState.FAILED)
        assert send(node.port, *with_other_pixels("A")) == [CONFLICTING] * 2
        assert state_of(node) is StudyState.FAILED, "only an operator may replace pixels"
        assert "2 of them came again with other bytes" in explain(node.store, STUDY)
        assert "2 corrected images" in order(node)
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
