"""A study is named by UID, its beginning, accession number or Patient ID; in doubt the command asks."""

import json
import unicodedata

import pytest

from node.domain.study import StudyEvent, StudyState
from tests.node.storages import START, Storage

FIRST, SECOND, THIRD = "1.2.826.0.1.1", "1.2.826.0.1.12", "1.3.6.1.5"


@pytest.fixture
def three(storage: Storage) -> Storage:
    storage.take(FIRST, PatientID="PAT-1", AccessionNumber="ACC-1")
    storage.take(SECOND, PatientID="PAT-1", AccessionNumber="ACC-2")
    storage.take(THIRD, PatientID="PAT-3", AccessionNumber="12")
    return storage


@pytest.mark.parametrize(
    ("name", "study"),
    [(FIRST, FIRST), (SECOND, SECOND), ("1.3", THIRD), (f" {THIRD} ", THIRD),
     ("ACC-1", FIRST), ("ACC-2", SECOND), ("PAT-3", THIRD), ("12", THIRD)],
)  # fmt: skip
def test_why_takes_every_name_of_a_study(three: Storage, name: str, study: str) -> None:
    told = three.run("why", name)
    assert told.exit_code == 0
    assert f"Study {study} is receiving" in " ".join(told.stdout.split())


@pytest.mark.parametrize("name", ["9.9", "PAT-", "pat-1", "CC-1", " ", "%", "1_3"])
def test_an_unknown_name_is_told_as_such_and_not_repeated(three: Storage, name: str) -> None:
    told = three.run("why", name)
    assert told.exit_code == 4
    assert not told.stdout
    assert told.stderr.startswith("No study here has this UID, accession number or Patient ID.")
    assert not name.strip() or name not in told.stderr


def test_a_name_of_several_studies_lists_them_with_state_and_day(three: Storage) -> None:
    three.move(SECOND, StudyEvent.FELL_QUIET)
    told = three.run("why", "PAT-1")
    assert told.exit_code == 4
    first, *rest = told.stderr.splitlines()
    assert first.startswith("2 studies match.")
    assert sorted(line.split() for line in rest) == [
        [FIRST, "receiving", "2026-01-05"],
        [SECOND, "settled", "2026-01-05"],
    ]
    assert "PAT-1" not in told.stderr
    assert three.run("why", "1.2").exit_code == 4


def test_what_is_the_beginning_of_one_uid_and_the_number_of_another_study_is_a_question(
    three: Storage,
) -> None:
    three.take("2.25.7", PatientID="1.3")
    told = three.run("why", "1.3")
    assert told.exit_code == 4
    assert THIRD in told.stderr
    assert "2.25.7" in told.stderr


@pytest.mark.parametrize(
    ("character_set", "patient_id", "name", "typed"),
    [
        ("ISO_IR 100", "MÜ-17", "Müller^Jörg^^Dr", "MÜLLER, Jörg"),
        ("ISO_IR 192", "ŁÓDŹ-17", "Żak^Łucja", "łucja żak"),
        ("ISO_IR 144", "ИД-17", "Иванов^Анна", "иванов"),
        (["", "ISO 2022 IR 87"], "山田-17", "Yamada^Tarou=山田^太郎=やまだ^たろう", "山田 太郎"),
        ("GB18030", "王-17", "Wang^XiaoDong=王^小东=", "王"),
    ],
)
def test_numbers_and_names_are_found_in_every_alphabet(
    three: Storage, character_set: str | list[str], patient_id: str, name: str, typed: str
) -> None:
    three.take("2.25.17", SpecificCharacterSet=character_set, PatientID=patient_id, PatientName=name)
    for found in (patient_id, unicodedata.normalize("NFD", patient_id), typed, f" {name.split('=')[-2:][0]}"):
        assert three.run("why", found).exit_code == 0, found
    for lost in ("?-17", "\N{REPLACEMENT CHARACTER}", f"{typed}x", f"{patient_id}0"):
        assert three.run("why", lost).exit_code == 4, lost


def test_no_order_is_given_by_the_name_of_a_person(three: Storage) -> None:
    three.take("2.25.17", PatientName="Marple^Jane")
    three.move("2.25.17", StudyEvent.FELL_QUIET, StudyEvent.GAVE_UP)
    assert three.run("why", "marple").exit_code == 0
    for order in (("retry",), ("resend",), ("set-aside", "--yes"), ("purge", "--yes")):
        assert three.run(order[0], "marple", *order[1:]).exit_code == 4, order


def test_no_order_is_given_for_a_study_that_is_not_certain(three: Storage) -> None:
    for study in (FIRST, SECOND):
        three.move(study, StudyEvent.FELL_QUIET, StudyEvent.GAVE_UP)
    assert three.run("retry", "PAT-1").exit_code == 4
    assert {one.state for one in three.store.studies(9)} == {StudyState.FAILED, StudyState.RECEIVING}
    assert three.run("retry", "ACC-2").exit_code == 0
    settled = three.store.study(SECOND)
    assert settled is not None
    assert settled.state is StudyState.SETTLED


def test_a_study_of_two_patients_is_found_by_each(three: Storage) -> None:
    three.take(THIRD, number=2, PatientID="PAT-4")
    for name in ("PAT-3", "PAT-4"):
        assert THIRD in three.run("why", name).stdout


def test_a_study_whose_images_were_removed_is_found_by_its_uid(three: Storage) -> None:
    study = three.store.study(THIRD)
    assert study is not None
    assert three.store.forget_originals(study, lambda _images: None)
    assert three.run("why", THIRD).exit_code == 0
    assert three.run("why", "1.3").exit_code == 0
    assert "found by its UID only" in three.run("why", "PAT-3").stderr


def test_verify_takes_a_study_and_checks_its_current_report(three: Storage) -> None:
    assert "has no measurement report" in three.run("verify", "PAT-3").stderr
    three.report(THIRD, "pacs", at=START)
    told = three.run("verify", "PAT-3")
    assert told.exit_code == 1
    assert "sr.dcm is not a DICOM file" in told.stderr
    assert three.run("verify", "PAT-9").exit_code == 4
    for path in ("nowhere/sr", "sr.dcm"):
        assert three.run("verify", path).exit_code == 2
    (three.files.results / THIRD / "sr.dcm").unlink()
    assert "was removed" in three.run("verify", "PAT-3").stderr


def test_the_candidates_are_json_on_demand(three: Storage) -> None:
    told = three.run("verify", "PAT-1", "--json")
    assert told.exit_code == 4
    answer = json.loads(told.stdout)
    assert answer["error"] == "ambiguous"
    assert [one["study_uid"] for one in answer["candidates"]] == [FIRST, SECOND]
    assert json.loads(three.run("verify", "nobody", "--json").stdout)["error"] == "unknown"
