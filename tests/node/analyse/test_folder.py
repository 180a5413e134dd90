"""The studies of a folder are analysed side by side, and none of them costs another its result."""

from dataclasses import replace
from pathlib import Path

import pytest

from node.analyse.folder import analyse_folder
from node.config import Configuration, default
from node.decode import studies_below
from tests.node.nodes import slice_of

BY_STUDY = "tests.node.calls:by_study"


def write(folder: Path, *studies: str) -> None:
    for study in studies:
        for number in range(3):
            image = slice_of(number, study=study)
            image.save_as(folder / f"{study}-{number}.dcm", enforce_file_format=True)


@pytest.fixture
def configuration() -> Configuration:
    base = default()
    return replace(base, engine=replace(base.engine, time_limit_s=5.0, memory_limit_mb=4096))


def test_a_study_that_ends_its_process_costs_no_other_its_result(
    tmp_path: Path, configuration: Configuration
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    write(images, "1.1", "1.2.6", "1.3", "1.4", "1.2.5")
    (images / "letter.txt").write_text("Dear colleague")
    steps: list[str] = []
    outcomes = analyse_folder(
        [images], configuration, tmp_path / "out", analyse=BY_STUDY, report_progress=steps.append
    )
    assert [one.study_uid for one in outcomes] == ["1.1", "1.2.5", "1.2.6", "1.3", "1.4", ""]
    faults = {one.study_uid: one.fault for one in outcomes if one.fault}
    assert faults == {"1.2.6": "its process was ended by SIGABRT", "1.2.5": "it took longer than 5 s"}
    summaries = [dict(one.outcome.summary) for one in outcomes if not one.fault and one.study_uid]
    assert [one["folder"] for one in summaries] == ["study_1", "study_4", "study_5"]
    assert [one["files"] for one in summaries] == ["3", "3", "3"]
    assert outcomes[-1].outcome.refusals == ("letter.txt: not a DICOM file",)
    assert sorted(steps) == ["reading headers", *(f"study {number} of 5" for number in range(1, 6))]


def test_the_results_of_a_single_study_go_to_the_folder_itself(
    tmp_path: Path, configuration: Configuration
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    write(images, "1.1")
    (outcome,) = analyse_folder([images], configuration, tmp_path / "out", analyse=BY_STUDY)
    assert outcome.outcome.summary["folder"] == "out"


def test_a_damaged_instance_of_a_readable_series_belongs_to_its_study(tmp_path: Path) -> None:
    write(tmp_path, "1.1", "1.2")
    damaged = tmp_path / "1.2-1.dcm"
    damaged.write_bytes(damaged.read_bytes()[:-2])
    studies, unreadable = studies_below([tmp_path])
    assert [(study_uid, len(files)) for study_uid, files in studies] == [("1.1", 3), ("1.2", 3)]
    assert not unreadable
