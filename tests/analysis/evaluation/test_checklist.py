"""The checklists are whole, name only facts that some command tells, and stay empty where none does."""

import csv
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from analysis.cohort.who import Characteristic, Flow, WhoWasIn
from analysis.evaluation.checklist import items, write_checklists
from analysis.evaluation.facts import evaluation_facts, training_facts, validation_facts
from analysis.learning.train import TrainingSettings
from tests.analysis.evaluation.test_evaluate import quick_evaluation
from tests.analysis.evaluation.test_validate import validation
from tests.analysis.synthetic_model import QUICK, quick_model

pytestmark = pytest.mark.slow

WHO = WhoWasIn(Flow(100, 2, 3, 5, (), 4), ("all",), (Characteristic("patients", ("90",)),), ())


@cache
def facts() -> dict[str, dict[str, str]]:
    return {
        "evaluate": evaluation_facts(quick_evaluation(), WHO),
        "train": training_facts(QUICK, quick_model(), WHO),
        "validate": validation_facts(validation(), WHO),
    }


def test_every_item_of_every_list_is_there_once() -> None:
    counts = Counter(item.guideline for item in items())
    assert counts == {"TRIPOD+AI": 52, "CLEAR": 58, "METRICS": 30}
    assert len({(item.guideline, item.number) for item in items()}) == len(items())
    assert [item.number for item in items() if item.guideline == "CLEAR"] == [str(n) for n in range(1, 59)]
    assert [item.number for item in items() if item.guideline == "METRICS"] == [str(n) for n in range(1, 31)]


def test_facts_and_items_name_each_other() -> None:
    told = {name for one in facts().values() for name in one}
    asked = {item.fact for item in items() if item.fact}
    assert told <= asked
    # Updating is the author's to tell: `validate --recalibrate` writes a card of its own.
    assert asked - told == {"updating"}


def test_the_masks_of_readers_are_not_told_as_those_of_a_program() -> None:
    assert facts()["evaluate"]["masks"].startswith("Vertebral bodies outlined without a reader")
    drawn = replace(WHO, drawn=("T1",), second_reader=True)
    told = evaluation_facts(quick_evaluation(), drawn)["masks"]
    assert told.startswith("Vertebral bodies of T1 as outlined by a reader")
    assert "the other sequence outlined without a reader" in told
    assert "Masks of a second reader" in told
    both = evaluation_facts(quick_evaluation(), replace(WHO, drawn=("T1", "T2")))["masks"]
    assert "without a reader" not in both


def test_what_became_of_an_unknown_age_is_told_where_age_is_read() -> None:
    assert facts()["train"]["missing"] == "Patients without a label, left out: 2; with one sequence: 4."
    trained = training_facts(replace(QUICK, age_and_sex=True), quick_model(), WHO)["missing"]
    assert trained.endswith("Patients of unknown age or sex are left out.")
    found = quick_evaluation()
    with_age = replace(found, settings=replace(found.settings, age_and_sex=True))
    assert "replaced by the median" in evaluation_facts(with_age, WHO)["missing"]
    assert "get no answer" in validation_facts(replace(validation(), age_and_sex=True), WHO)["missing"]


def test_what_no_command_knows_is_left_to_the_author(tmp_path: Path) -> None:
    for name, own in facts().items():
        html, table = write_checklists(own, tmp_path / name, "OsteoNode 1")
        with table.open(encoding="utf-8") as file:
            rows = {(row["guideline"], row["item"]): row for row in csv.DictReader(file)}
        assert len(rows) == 140
        assert rows["TRIPOD+AI", "17"]["told"] == rows["CLEAR", "8"]["told"] == ""  # ethics
        assert rows["TRIPOD+AI", "20a"]["told"].startswith("100 rows, 2 without a label")
        assert all(row["by_the_author"] == "" for row in rows.values())
        assert "of 30 items are filled" in html.read_text(encoding="utf-8")
    page = (tmp_path / "validate" / "checklists.html").read_text(encoding="utf-8")
    assert "This validation." in page
    assert "<script" not in page


def test_the_rule_and_the_models_are_those_of_the_run() -> None:
    told = training_facts(TrainingSettings(kinds=("GNB",)), quick_model(), WHO)
    assert told["model"].startswith("GNB (var_smoothing")
    assert "80%" in told["threshold"]
