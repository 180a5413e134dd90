"""Age and sex for a model come from the headers, and what these do not tell alike is unknown."""

from pathlib import Path

import pytest
from pydicom import Dataset, dcmwrite

from analysis.domain.basis import AgeAndSex
from analysis.domain.findings import Refusal
from node.analyse.findings import age_and_sex, analyse_series
from node.config import default
from node.decode import scan
from tests.node.by_hand import images_by_hand


def image(age: str = "", sex: str = "") -> Dataset:
    header = Dataset()
    header.PatientAge, header.PatientSex = age, sex
    return header


@pytest.mark.parametrize(
    ("images", "told"),
    [
        ([image("061Y", "F"), image("061Y", "F")], AgeAndSex(61, "F")),
        ([image("061Y", "m "), image()], AgeAndSex(61, "M")),
        ([image("061Y", "F"), image("062Y", "F")], AgeAndSex(None, "F")),
        ([image("061Y", "O")], AgeAndSex(61, None)),
        ([image("011M", "U")], AgeAndSex()),
        ([Dataset()], AgeAndSex()),
    ],
)
def test_age_and_sex_are_those_that_all_headers_tell(images: list[Dataset], told: AgeAndSex) -> None:
    assert age_and_sex({"1": images[:1], "2": images[1:]}) == told


def test_the_analysis_of_a_study_is_given_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, one in enumerate(images_by_hand(age="061Y", sex="F")):
        dcmwrite(tmp_path / f"{number}.dcm", one, enforce_file_format=True)
    given: list[object] = []

    def noted(*_series: object, person: AgeAndSex, **_options: object) -> Refusal:
        given.append(person)
        return Refusal(())

    monkeypatch.setattr("analysis.pipeline.analyse", noted)
    analyse_series(scan(sorted(tmp_path.iterdir()))[0], default().analysis, default().segmentation, None)
    assert given == [AgeAndSex(61, "F")]
