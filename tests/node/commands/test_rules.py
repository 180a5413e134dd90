"""`osteonode rules`, and `osteonode why` for a study of which nothing was kept."""

import json
from pathlib import Path

from tests.node.nodes import slice_of
from tests.node.storages import START, Storage
from tests.schemas import strict

RULES = """
[[rules]]
name = "brain"
take = false
description = "*brain*"
[[rules]]
name = "mr"
take = true
"""
STUDY = "1.2.826.0.1.1"


def with_rules(storage: Storage) -> Storage:
    storage.config.write_text(storage.config.read_text() + RULES)
    return storage


def test_files_are_tried_series_by_series(storage: Storage, tmp_path: Path) -> None:
    for series, description in (("1", "Brain AX"), ("2", "Sag")):
        image = slice_of(1, series=series)
        image.SeriesDescription = description
        image.save_as(tmp_path / f"{series}.dcm", enforce_file_format=True)
    done = with_rules(storage).run("rules", "test", str(tmp_path / "1.dcm"), str(tmp_path / "2.dcm"))
    assert done.exit_code == 0, done.output
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows[1][:3] == [f"{STUDY}.1", "1", "discarded"]
    assert rows[1][3] == 'rule "brain": description is planted description / brain ax'
    assert rows[2][:4] == [f"{STUDY}.2", "1", "taken", 'rule "mr" applies to every series']
    assert "1 taken, 1 discarded." in done.stderr
    answer = storage.run("rules", "test", str(tmp_path), "--json")
    told = json.loads(answer.stdout)
    strict("rules-test").validate(told)
    assert {one["series_uid"]: (one["taken"], one["rule"]) for one in told["series"]} == {
        f"{STUDY}.1": (False, "brain"),
        f"{STUDY}.2": (True, "mr"),
    }
    assert "planted" not in answer.stdout.lower()
    assert storage.run("rules", "test", str(tmp_path / "nothing")).exit_code == 2


def test_rules_are_listed_with_what_they_discarded(storage: Storage) -> None:
    assert "There are no rules" in storage.run("rules", "show").stdout
    storage.store.record_discards({(STUDY, "brain"): 3, ("1.2", "brain"): 1, (STUDY, "old"): 2}, START)
    rows = [line.split("\t") for line in with_rules(storage).run("rules", "show").stdout.splitlines()]
    assert rows[1:] == [
        ["brain", "discard", "4", "2", "description = *brain*"],
        ["mr", "take", "", "", "every series"],
        ["old", "discard", "2", "1", "no longer configured"],
    ]
    told = json.loads(storage.run("rules", "show", "--json").stdout)
    strict("rules-show").validate(told)
    fields = ("rule", "configured", "take", "objects", "studies")
    assert [tuple(one[field] for field in fields) for one in told] == [
        ("brain", True, False, 4, 2),
        ("mr", True, True, 0, 0),
        ("old", False, False, 2, 1),
    ]


def test_why_tells_of_a_study_of_which_nothing_was_kept(storage: Storage) -> None:
    storage.store.record_discards({(STUDY, "brain"): 3}, START)
    told = storage.run("why", STUDY)
    assert told.exit_code == 4
    assert 'objects were discarded: 3 by the rule "brain"' in " ".join(told.stdout.split())
