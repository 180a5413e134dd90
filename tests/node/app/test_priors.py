"""A patient who comes back: the second report compares with the first, and stays as it is."""

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite

from dicom_templates import result_set
from dicom_templates.pictures import html_report, overlay
from node.analyse import study
from node.analyse.examinations import compared, examination, person_digest
from node.app import Node
from node.clock import SystemClock
from node.config import Configuration
from node.decode import scan
from node.domain.results import Lineage
from node.domain.study import StudyState
from node.errors import PermanentError
from node.operate import verify as verifying
from node.operate.purge import purge_study
from node.operate.retry import restart_study
from node.operate.verify import CheckOutcome, stored_report, verify
from tests.dicom_templates.cases import items
from tests.node.by_hand import images_by_hand, science
from tests.node.nodes import quick, quick_node, send
from tests.patience import wait_until

FIRST, SECOND, OLDEST = "1.2.826.0.1.1", "1.2.826.0.1.2", "1.2.826.0.1.3"
WHO = {"birth_date": "19640229", "sex": "M", "model": "Magnet 1"}


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (study, verifying):
        monkeypatch.setattr(module, "analyse_series", science)
    # These take most of the time, and are of no interest here.
    monkeypatch.setattr(html_report, "page_html", lambda *_: "")
    monkeypatch.setattr(overlay, "draw_overlay", lambda *_, **__: np.zeros((1, 1, 3), np.uint8))
    monkeypatch.setattr(result_set, "draw_summary", lambda *_: np.zeros((8, 8, 3), np.uint8))


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return quick(tmp_path)


def analysed(node: Node, study_uid: str, day: str, **identity: str) -> Path:
    """Have a study analysed, and return the file of its measurement report."""
    send(node.port, *images_by_hand(study_uid, day, **{**WHO, **identity}))
    return reported(node, study_uid)


def reported(node: Node, study_uid: str) -> Path:
    def done() -> bool:
        found = node.store.study(study_uid)
        return found is not None and found.state is StudyState.DELIVERED

    wait_until(done)
    return stored_report(node.store, node.instance_store, study_uid)


def compared_with(report: Path) -> list[str]:
    """Return the studies that a report compares with."""
    return [
        str(item.UID)
        for item in items(dcmread(report))
        if item.ValueType == "UIDREF" and item.ConceptNameCodeSequence[0].CodeMeaning == "Study Instance UID"
    ]


def test_the_second_report_compares_with_the_first_and_stays_as_it_is(configuration: Configuration) -> None:
    with quick_node(configuration, analyse="by_templates") as node:
        first = analysed(node, FIRST, "20240301")
        assert compared_with(first) == []
        second = analysed(node, SECOND, "20260105")
        assert compared_with(second) == [FIRST]
        beside = json.loads((second.parent / "findings.json").read_text())
        assert [one["comparable"] for one in beside["prior"]["scores"]] == [True, True]
        assert beside["prior"]["day"] == "2024-03-01"
        before = second.read_bytes()
        outcomes = {check.subject: check.outcome for check in verify(second, configuration)}
        assert outcomes["earlier examination"] is outcomes["result"] is CheckOutcome.EQUAL

        # An older examination that comes later changes nothing, not even if the second is analysed again.
        analysed(node, OLDEST, "20250601")
        restart_study(node.store, SECOND, SystemClock().now())
        again = reported(node, SECOND)
        assert again != second
        assert again.read_bytes() == before

        # What it compares with is its own, until it is purged, too.
        purge_study(node.store, node.instance_store, FIRST, SystemClock().now() + timedelta(days=1))
        assert [one.study_uid for one in node.store.lineage(SECOND).priors] == [OLDEST]
        own = node.store.lineage(SECOND).compared
        assert own is not None
        assert own.earlier is not None
        assert own.earlier.study_uid == FIRST
        with pytest.raises(PermanentError):
            purge_study(node.store, node.instance_store, FIRST, SystemClock().now())


def test_a_site_that_wants_no_comparison_gets_none_and_keeps_no_scores(
    configuration: Configuration, tmp_path: Path
) -> None:
    paths = []
    for number, image in enumerate(images_by_hand(SECOND, **WHO)):
        paths.append(tmp_path / f"{number}.dcm")
        dcmwrite(paths[-1], image, enforce_file_format=True)
    settings = configuration.analysis, configuration.segmentation
    found, sources = science(scan(paths)[0], *settings, configuration.models.bundle)
    now = examination(found, sources[f"{SECOND}.1"][0])
    lineage = Lineage(priors=(replace(now, study_uid=FIRST, day=date(2024, 3, 1)),))
    assert compared(found, now, lineage).prior is not None
    silent = replace(configuration, report=replace(configuration.report, priors=False))
    made = study.analyse_files(paths, silent, tmp_path / "results", lineage)
    assert made.results
    assert (made.examination, made.earlier) == (None, None)


@pytest.mark.parametrize(
    "identity",
    [{"sex": "F"}, {"birth_date": "19640228"}, {"birth_date": "1964"}, {"sex": ""}, {"patient_id": "4712"}],
    ids=str,
)
def test_somebody_else_or_somebody_unknown_is_another_person(identity: dict[str, str]) -> None:
    one, other = (images_by_hand(**who)[0] for who in (WHO, {**WHO, **identity}))
    assert person_digest(one)
    assert person_digest(one) != person_digest(other)


@pytest.mark.parametrize(("keyword", "value"), [("PatientIdentityRemoved", "YES"), ("PatientID", "")])
def test_a_patient_without_an_identity_is_nobody(keyword: str, value: str) -> None:
    header: Dataset = images_by_hand(**WHO)[0]
    setattr(header, keyword, value)
    assert person_digest(header) == ""


def test_issuers_are_told_apart_and_spelling_is_not() -> None:
    header, other = images_by_hand(**WHO)[0], images_by_hand(**WHO)[0]
    other.PatientBirthDate, other.PatientSex = "1964.02.29", "m"
    assert person_digest(header) == person_digest(other)
    other.IssuerOfPatientID = "CLINIC"
    assert person_digest(header) != person_digest(other)
