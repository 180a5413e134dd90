"""What a command prints with --json is as docs/json.md and docs/schema describe, without another field."""

import json
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from typer.testing import Result

from analysis.domain.acquisition import Plane
from analysis.domain.reason import Reason, coded
from dicom_templates.result_kinds import ResultKind
from node.analyse.folder import StudyOutcome
from node.cli import RULES_COMMANDS
from node.commands import answers
from node.domain.delivery import DeliveryState
from node.domain.results import Outcome, ResultFile
from node.domain.study import StudyEvent, StudyState
from node.operate.verify import CheckOutcome, ReportCheck
from tests.node.commands.test_help import COMMAND
from tests.node.storages import START, Storage
from tests.schemas import DOCS, SCHEMAS, parts, strict

STUDY, OTHER = "1.2.826.0.1.1", "1.2.826.0.1.2"


def answer(result: Result, name: str, status: int = 0) -> Any:
    """Return what a command printed, if it is as its schema says."""
    assert result.exit_code == status, result.output
    found = json.loads(result.stdout)
    strict(name).validate(found)
    return found


@pytest.fixture
def mixed(storage: Storage) -> Storage:
    """Return a storage with a delivered and a failed study."""
    storage.take(STUDY)
    storage.report(STUDY, "pacs", "archive")
    storage.end(STUDY, DeliveryState.SENT)
    storage.take(OTHER)
    storage.move(OTHER, StudyEvent.FELL_QUIET, StudyEvent.GAVE_UP, reason="its process died")
    return storage


def test_every_command_with_json_has_a_schema_and_a_line_in_the_document() -> None:
    with_json = {
        name for name, command in COMMAND.items() if any("--json" in one.opts for one in command.params)
    }
    with_json |= {
        f"rules-{name}" for name, call in RULES_COMMANDS.items() if "as_json" in signature(call).parameters
    }
    assert with_json >= {"studies", "why", "retry", "resend", "set-aside", "purge", "verify", "doctor"}
    assert set(SCHEMAS) == with_json | {"error", "findings"}
    told = (DOCS / "json.md").read_text()
    for name in with_json:
        assert f"(schema/{name}.json)" in told


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_field_is_described(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    fields = [field for part in parts(SCHEMAS[name]) for field in (part.get("properties") or {}).values()]
    assert fields
    assert all(len(field["description"].split()) > 1 for field in fields)


def test_the_states_in_the_schemas_are_all_states() -> None:
    study = SCHEMAS["studies"]["items"]["properties"]["state"]["enum"]
    delivery = SCHEMAS["why"]["properties"]["deliveries"]["items"]["properties"]["state"]["enum"]
    assert set(study) == set(StudyState)
    assert set(delivery) == set(DeliveryState)


def test_studies_and_why(mixed: Storage) -> None:
    listed = answer(mixed.run("studies", "--json"), "studies")
    assert {one["study_uid"]: one["reason"] for one in listed} == {STUDY: "", OTHER: "its process died"}
    told = answer(mixed.run("why", STUDY, "--json"), "why")
    assert {one["destination"] for one in told["deliveries"]} == {"pacs", "archive"}
    assert told["explanation"].startswith(f"Study {STUDY} is delivered")
    assert answer(mixed.run("studies", "--json", "--state", "ready"), "studies") == []


def test_the_reasons_of_a_refused_study_have_codes(storage: Storage) -> None:
    storage.take(STUDY)
    storage.move(STUDY, StudyEvent.FELL_QUIET)
    found = storage.store.study(STUDY)
    assert found is not None
    reason = Reason("slice_missing", from_mm=4.0, to_mm=12.5, spacing_mm=4.0)
    storage.store.advance(found, StudyEvent.REFUSED, START, reason=str(reason), reasons=[reason])
    (listed,) = answer(storage.run("studies", "--json"), "studies")
    assert [one["code"] for one in listed["reasons"]] == ["slice_missing"]
    assert listed["reasons"][0]["values"] == {"from_mm": 4.0, "to_mm": 12.5, "spacing_mm": 4.0}
    assert answer(storage.run("why", STUDY, "--json"), "why")["reasons"] == listed["reasons"]


def test_retry_and_resend(mixed: Storage) -> None:
    assert answer(mixed.run("resend", STUDY, "--json"), "resend")["destinations"] == ["pacs", "archive"]
    assert [one["action"] for one in answer(mixed.run("retry", STUDY, "--json"), "retry")] == ["resent"]
    (again,) = answer(mixed.run("retry", "--failed", "--json"), "retry")
    assert (again["study_uid"], again["action"]) == (OTHER, "restarted")


def test_purge(mixed: Storage) -> None:
    planned = answer(mixed.run("purge", "--dry-run", "--json"), "purge")
    assert (planned["dry_run"], planned["removed"]) == (True, 0)
    assert [one["study_uid"] for one in planned["studies"]] == [STUDY]
    assert answer(mixed.run("purge", OTHER, "--yes", "--json"), "purge")["studies"][0]["study_uid"] == OTHER
    assert answer(mixed.run("purge", "--failed", "--json"), "purge")["removed"] == 1


def test_set_aside(storage: Storage) -> None:
    storage.take(STUDY)
    assert answer(storage.run("set-aside", STUDY, "--yes", "--json"), "set-aside")["study_uid"] == STUDY
    told = answer(storage.run("set-aside", STUDY, "--yes", "--json"), "error", 1)
    assert "there is nothing to set aside" in told["message"]


def test_doctor(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    from node.operate import doctor

    def few(configuration: Any) -> Iterator[doctor.CheckResult]:
        yield from doctor.database(configuration)
        yield doctor.CheckResult(doctor.Severity.WARNING, "clock", "it is late", "Set it.")

    monkeypatch.setattr(doctor, "run_checks", few)
    found = answer(storage.run("doctor", "--json"), "doctor", status=4)
    assert [one["severity"] for one in found] == ["good", "warning"]


def test_errors(mixed: Storage) -> None:
    assert answer(mixed.run("why", "1.2.826", "--json"), "error", 4)["error"] == "ambiguous"
    for command in (["why"], ["retry"], ["resend"], ["verify"], ["set-aside", "--yes"], ["purge", "--yes"]):
        assert answer(mixed.run(*command, "nobody", "--json"), "error", 4)["error"] == "unknown"
    mixed.store.record_discards({("1.2.3", "brain"): 3}, START)
    assert "brain" in answer(mixed.run("why", "1.2.3", "--json"), "error", 4)["message"]
    told = answer(mixed.run("resend", STUDY, "--to", "pax", "--json"), "error", 1)
    assert (told["error"], "pax" in told["message"]) == ("fault", True)
    answer(mixed.run("verify", STUDY, "--json"), "error", 1)


NESTED = Reason("repeated", count=2, reason=Reason("of_series", series="T1", reason=Reason("no_body")))
REASONS = (Reason("few_above_sacrum", count=2), NESTED, "words without a code")


def test_reasons_are_codes_with_values() -> None:
    check = ReportCheck("input 1.2", CheckOutcome.DIFFERENT, REASONS)
    told = json.loads(json.dumps(answers.report_check(check)))
    strict("verify").validate([told])
    assert told["details"] == list(REASONS)
    assert told["reasons"][0] == {
        "code": "few_above_sacrum", "values": {"count": 2}, "text": str(REASONS[0]),
    }  # fmt: skip
    assert told["reasons"][1]["values"]["reason"]["values"]["reason"]["code"] == "no_body"
    assert coded([_with_plane()])[0]["values"] == {"plane": "AXIAL"}


def _with_plane() -> Reason:
    reason = Reason("no_body")
    reason.values = {"plane": Plane.AXIAL}
    return reason


def test_the_outcome_of_an_analysis() -> None:
    files = (ResultFile(ResultKind.SR, Path("sr.dcm"), "1.2.840", "2.25.1", "2.25.2"),)
    good = StudyOutcome("1.2", Outcome(files, (), {"Osteoporosis": "12 %"}))
    bad = StudyOutcome("", Outcome((), (Reason("no_files"),), {}))
    broken = StudyOutcome("1.3", Outcome((), (), {}), "its process was ended by SIGABRT")
    strict("analyse").validate([json.loads(json.dumps(answers.outcome(one))) for one in (good, bad, broken)])


def test_a_field_that_is_missing_wrong_or_not_described_is_noticed(mixed: Storage) -> None:
    (one, _) = answer(mixed.run("studies", "--json"), "studies")
    wrong = [one | {"state": "lost"}, one | {"patient_id": "17"}, one | {"changed_at": 5}]
    for entry in (*wrong, {name: value for name, value in one.items() if name != "reason"}):
        with pytest.raises(ValidationError):
            strict("studies").validate([entry])
