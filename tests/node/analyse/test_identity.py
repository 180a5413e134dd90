"""Offline, too, a study of two persons is refused, and another spelling of a name is told."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from analysis.domain.acquisition import AcquisitionFacts
from analysis.domain.volume import Grid, Volume
from dicom_templates.objects.mr_image import ImageIdentity, mr_images
from node.analyse.findings import identity_reasons, name_remarks
from node.analyse.refusal_report import write_refusal_report
from node.analyse.study import analyse_files
from node.config import default
from node.decode import decode, scan
from node.domain.results import Lineage
from tests.enhanced_mr import enhanced_mr

AXES = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
GRID = Grid((5, 50, 48), (4.4, 5.0, 5.0), (12.0, -60.0, 80.0), AXES)
VOLUME = Volume(np.random.default_rng(1).integers(0, 1000, GRID.shape).astype(np.float32), GRID)
MAN = {"PatientBirthDate": "19400229", "PatientSex": "M", "PatientName": "Müller^Jörg"}
TIMES = {"T1": (600, 10), "T2": (3500, 100)}

Write = Callable[..., list[Path]]


def images(contrast: str) -> list[Dataset]:
    repetition, echo = TIMES[contrast]
    facts = AcquisitionFacts(
        repetition_time_ms=repetition, echo_time_ms=echo, scanning_sequence=("SE",),
        series_description=f"{contrast} sag lumbar", image_type=("ORIGINAL", "PRIMARY"),
    )  # fmt: skip
    identity = ImageIdentity(
        patient_id="1", patient_name="", study_uid="1.2.3", series_uid=f"1.2.3.{echo}",
        frame_of_reference_uid="1.2.3.5", study_date="20260101", study_time="080000",
    )  # fmt: skip
    return list(mr_images(VOLUME, facts, identity))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a T1 of one patient, and a T2 with other values."""

    def write_study(*, enhanced: bool = False, first: dict[str, str] = MAN, **other: str) -> list[Path]:
        paths = []
        for contrast, told in (("T1", first), ("T2", first | other)):
            made = images(contrast)
            for image in made:
                for keyword, value in told.items():
                    setattr(image, keyword, value)
            if enhanced:
                made = [enhanced_mr(made, uid=f"1.2.3.9.{TIMES[contrast][1]}")]
            for number, image in enumerate(made):
                paths.append(tmp_path / f"{contrast}{number}.dcm")
                image.save_as(paths[-1], enforce_file_format=True)
        return paths

    return write_study


@pytest.mark.parametrize("enhanced", [False, True])
@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"PatientBirthDate": "19850101"}, ("different birth dates",)),
        ({"PatientSex": "F"}, ("different sexes",)),
        ({"PatientBirthDate": "19850101", "PatientSex": "F"}, ("different birth dates", "different sexes")),
        ({"PatientID": "2", "PatientSex": "F"}, ("different patients",)),
        ({"IssuerOfPatientID": "ELSEWHERE", "PatientName": ""}, ("do not name one issuer of it",)),
    ],
)
def test_a_study_of_two_persons_is_refused_and_not_reported(
    write: Write, tmp_path: Path, other: dict[str, str], told: tuple[str, ...], *, enhanced: bool
) -> None:
    paths = write(enhanced=enhanced, **other)
    outcome = analyse_files(paths, default(), tmp_path / "out")
    assert len(outcome.refusals) == len(told)
    assert all(what in reason for what, reason in zip(told, outcome.refusals, strict=True))
    assert not outcome.results
    report = write_refusal_report(paths, default(), tmp_path / "out", outcome.refusals, Lineage())
    assert not report.results, "it could be filed under the wrong patient"


@pytest.mark.parametrize(
    "other",
    [
        {"PatientBirthDate": ""},
        {"PatientSex": ""},
        {"PatientBirthDate": "", "PatientSex": "", "PatientName": ""},
        {"PatientSex": "m"},
        {"PatientName": "MUELLER^JOERG"},
        {"IssuerOfPatientID": "HOSPITAL"},
    ],
)
def test_a_missing_value_or_another_name_is_no_other_person(write: Write, other: dict[str, str]) -> None:
    assert identity_reasons(scan(write(**other))[0]) == ()


@pytest.mark.parametrize(
    ("name", "is_told"),
    [
        ("Müller^Jörg", False),
        ("MÜLLER^JÖRG", False),
        ("Muller^Jorg^^^", False),
        ("Müller^Jörg=Ideographic", False),
        ("", False),
        ("Mueller^Joerg", True),
        ("Maier^Jörg", True),
    ],
)
def test_another_name_is_told_without_the_names(write: Write, name: str, *, is_told: bool) -> None:
    series, _ = scan(write(PatientName=name))
    told = name_remarks({one.series_uid: one.objects for one in series})
    assert [one.code for one in told] == (["several_names"] if is_told else [])
    assert not any("ller" in one.lower() for one in told)


def test_the_day_of_a_series_is_that_of_its_acquisition(write: Write) -> None:
    series, _ = scan(write(AcquisitionDate="20260105"))
    days = {one.facts.echo_time_ms: decode(one)[0].acquired for one in series}
    assert [str(days[echo]) for _, echo in TIMES.values()] == ["2026-01-01", "2026-01-05"]
