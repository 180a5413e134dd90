"""Every result set is a transaction of valid FHIR R4, and a later one replaces the earlier resources."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from fhirclient.models.bundle import Bundle

from analysis.domain.findings import Refusal, Verdict
from analysis.domain.reason import Reason
from dicom_templates.codes import concepts
from dicom_templates.fhir import fhir_refusal, fhir_report, withdraw_others
from dicom_templates.fhir.elements import CODES, REASONS
from dicom_templates.words.compose import compose, compose_refusal
from tests.dicom_templates.cases import STUDY, Case, make_case
from tests.dicom_templates.documents import every_case

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
ANSWERS = {"Osteoporosis", "Abnormal bone density"}
WHY = Refusal((Reason("no_body"), Reason("no_files")))


def header(case: Case) -> Any:
    return next(iter(case.sources.values()))[0]


def reported(case: Case, *, replaces: bool = False) -> dict[str, Any]:
    report = compose(case.findings, language=case.options.language)
    return fhir_report(case.findings, report, header(case), case.options, NOON, replaces=replaces)


def refused(case: Case, *, replaces: bool = False) -> dict[str, Any]:
    report = compose_refusal(WHY, "OsteoNode 1", language="en")
    return fhir_refusal(WHY, report, header(case), NOON, replaces=replaces)


def resources(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == kind]


def values_below(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object below a value."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from values_below(one)


def check(bundle: dict[str, Any]) -> None:
    """Check a transaction against R4's definitions, and what these leave to the codes."""
    told = json.loads(json.dumps(bundle, allow_nan=False))
    # Types, cardinalities and names of all elements; it raises for what R4 does not have.
    assert Bundle(told).as_json() == told
    urls = [one["fullUrl"] for one in bundle["entry"]]
    conditions = [one["request"]["url"] for one in bundle["entry"]]
    assert len(set(urls)) == len(set(conditions)) == len(urls)
    for one in values_below(told):
        if "reference" in one:
            assert one["reference"] in urls
        if {"value", "unit"} <= set(one):
            assert one["system"] == "http://unitsofmeasure.org"
        if "system" in one:
            assert re.fullmatch(r"(https?|urn):\S+", one["system"])
        assert "" not in one.values(), one
        assert [] not in one.values(), one


@pytest.mark.parametrize("number", range(len(every_case())))
def test_every_result_set_is_valid(number: int) -> None:
    case = every_case()[number]
    bundle = reported(case)
    check(bundle)
    (report,) = resources(bundle, "DiagnosticReport")
    assert len(report["result"]) == len(resources(bundle, "Observation"))
    bodies = sum(len(found.measurements) for found in case.findings.series)
    assert len(report["result"]) == bodies + len(case.findings.series) + len(case.findings.predictions)


def test_a_refusal_is_valid_and_has_its_reasons_as_codes() -> None:
    bundle = refused(make_case())
    check(bundle)
    (report,) = resources(bundle, "DiagnosticReport")
    assert report["status"] == "cancelled"
    assert [one["coding"] for one in report["conclusionCode"]] == [
        [{"system": REASONS, "code": code}] for code in ("no_body", "no_files")
    ]
    assert "result" not in report


def test_an_indeterminate_answer_gives_no_number_and_the_reasons() -> None:
    case = make_case()
    unsure = replace(
        case.findings.predictions[0], verdict=Verdict.INDETERMINATE, probability=None, interval=None,
        reasons=(Reason("no_body"),),
    )  # fmt: skip
    bundle = reported(replace(case, findings=replace(case.findings, predictions=(unsure,))))
    check(bundle)
    (answer,) = [one for one in resources(bundle, "Observation") if "meta" in one]
    assert answer["valueCodeableConcept"]["coding"][0]["display"] == "Indeterminate"
    assert not [part for part in answer["component"] if "valueQuantity" in part]
    assert answer["component"][0]["valueCodeableConcept"]["coding"] == [
        {"system": REASONS, "code": "no_body"}
    ]


def test_what_is_remarked_beside_an_answer_is_no_reason_against_it() -> None:
    case = make_case()
    given = case.findings.predictions[0]
    assert given.verdict is not Verdict.INDETERMINATE
    remarked = replace(given, reasons=(Reason("no_body"),))
    bundle = reported(replace(case, findings=replace(case.findings, predictions=(remarked,))))
    assert concepts.ABSTENTION.value not in json.dumps(bundle)
    assert REASONS in json.dumps(bundle)


@pytest.mark.parametrize("has_one", [False, True])
def test_no_answer_of_an_earlier_set_stays_valid_without_being_given_again(*, has_one: bool) -> None:
    case = make_case()
    first = reported(case)
    kept = case.findings.predictions[:has_one]
    later = replace(case, findings=replace(case.findings, predictions=kept))
    for bundle, known in ((reported(later, replaces=True), kept), (refused(case, replaces=True), ())):
        check(bundle)
        requests = {one["request"]["url"]: one["resource"] for one in bundle["entry"]}
        names = {concepts.TARGET_OF[answer.target].meaning for answer in known}
        for one in first["entry"]:
            if one["resource"].get("code", {}).get("text") not in ANSWERS:
                continue
            there = requests[one["request"]["url"]]
            is_given = there["code"]["text"] in names
            assert (there["status"] != "entered-in-error") is is_given
            assert ("valueCodeableConcept" in there) is is_given
            assert there["subject"] == one["resource"]["subject"]


def test_no_measurement_of_an_earlier_set_stays_valid_without_being_made_again() -> None:
    case = make_case()
    first = reported(case)
    fewer = replace(case.findings.series[0], measurements=case.findings.series[0].measurements[1:])
    changed = replace(case.findings, series=(fewer, *case.findings.series[1:]))
    image = header(case)
    second = withdraw_others(reported(replace(case, findings=changed), replaces=True), [first])
    image.PatientID = "corrected"
    third = withdraw_others(refused(case, replaces=True), [first, second])
    there = {one["request"]["url"]: one["resource"] for one in first["entry"]}
    for bundle, gone in ((second, 1), (third, len(resources(first, "Observation")))):
        check(bundle)
        told = {one["request"]["url"]: one["resource"] for one in bundle["entry"]}
        assert {url for url, one in there.items() if one["resourceType"] == "Observation"} <= set(told)
        withdrawn = [one for one in told.values() if one.get("status") == "entered-in-error"]
        assert len(withdrawn) == gone
        assert not any("component" in one or "valueQuantity" in one for one in withdrawn)
    assert {one["subject"]["identifier"]["value"] for one in resources(third, "Observation")} == {"corrected"}


def test_an_answer_says_what_it_is_based_on() -> None:
    case = make_case()
    given = replace(case.findings.predictions[0], age_and_sex=True)
    bundle = reported(replace(case, findings=replace(case.findings, predictions=(given,))))
    (answer,) = compose(replace(case.findings, predictions=(given,)), language="en").answers
    assert "age" in answer.basis
    assert answer.basis in resources(bundle, "DiagnosticReport")[0]["conclusion"]


def test_what_a_simulated_model_answers_is_marked_as_test_data_and_told() -> None:
    case = make_case()
    assert case.findings.model is not None
    assert case.findings.model.simulated
    bundle = reported(case)
    (report,) = resources(bundle, "DiagnosticReport")
    assert report["meta"]["security"][0]["code"] == "HTEST"
    warning = compose(case.findings, language="en").warning
    assert report["conclusion"].startswith(warning)
    assert f"<p>{warning.split('.')[0]}" in report["text"]["div"]
    answers = [one for one in resources(bundle, "Observation") if one["code"]["text"] in ANSWERS]
    assert answers
    assert all(one["note"] == [{"text": warning}] for one in answers)
    real = replace(case.findings, model=replace(case.findings.model, simulated=False))
    assert "HTEST" not in json.dumps(reported(replace(case, findings=real)))


def test_a_later_result_set_has_the_same_identifiers_and_says_so() -> None:
    case = make_case()
    corrected = replace(case, findings=replace(case.findings, remarks=(Reason("identity_corrected"),)))
    first, second = reported(case), reported(case, replaces=True)
    third = reported(corrected, replaces=True)
    statuses = [resources(one, "DiagnosticReport")[0]["status"] for one in (first, second, third)]
    assert statuses == ["preliminary", "amended", "corrected"]
    for one in (second, third):
        check(one)
        assert [there["request"] for there in one["entry"]] == [there["request"] for there in first["entry"]]
    withdrawn = refused(case, replaces=True)
    check(withdrawn)
    assert withdrawn["entry"][0]["request"] == first["entry"][0]["request"]
    assert resources(withdrawn, "DiagnosticReport")[0]["status"] == "amended"


def test_patient_order_and_study_are_named_as_the_images_do() -> None:
    case = make_case()
    image = header(case)
    image.PatientID, image.IssuerOfPatientID, image.AccessionNumber = "7 ", "HOSPITAL", "A<1"
    bundle = reported(case)
    check(bundle)
    (report,) = resources(bundle, "DiagnosticReport")
    assert report["subject"] == {
        "type": "Patient",
        "identifier": {"value": "7", "assigner": {"display": "HOSPITAL"}},
    }
    assert report["basedOn"][0]["identifier"]["value"] == "A<1"
    assert report["imagingStudy"][0]["identifier"]["value"] == f"urn:oid:{STUDY}"
    image.PatientID = image.AccessionNumber = ""
    check(reported(case))
    assert "subject" not in json.dumps(reported(case))


def test_the_systems_of_our_own_codes_stay_as_they_are() -> None:
    """Receivers keep them."""
    assert CODES == "urn:oid:2.25.265520154537777724896800459648735719706"
    assert REASONS == "urn:oid:2.25.333795686396455645831357623540526811439"
