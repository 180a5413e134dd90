"""Age and sex for a model come from the headers, and what these do not tell alike is unknown."""

import pytest
from pydicom import Dataset

from analysis.domain.basis import AgeAndSex
from node.analyse.findings import age_and_sex


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
