"""Results carry the date of their images, or when these came; never one that nobody wrote."""

from datetime import datetime
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from analysis.domain.reason import Reason
from node.analyse.refusal_report import write_refusal_report
from node.analyse.result_files import latest_moment, moment_of_results
from node.config import default
from node.domain.results import Lineage
from tests.node.analyse.test_identity import images


def at(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 - local to the site


DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate")


@pytest.mark.parametrize(
    ("told", "moment"),
    [
        ({"StudyDate": "20050105", "StudyTime": "081500.25"}, at(2005, 1, 5, 8, 15)),
        ({"StudyDate": "2005.01.05", "StudyTime": "08:15:00"}, at(2005, 1, 5, 8, 15)),
        ({"StudyDate": "20050105", "StudyTime": "no time"}, at(2005, 1, 5)),
        ({"StudyDate": "20050105", "ContentDate": "20050106"}, at(2005, 1, 6)),
        ({"StudyDate": "20050105", "ContentDate": "nonsense"}, at(2005, 1, 5)),
        ({"AcquisitionDateTime": "20050105081500.5+0100"}, at(2005, 1, 5, 8, 15)),
        ({"InstanceCreationDate": "20050105"}, at(2005, 1, 5)),
        ({"StudyDate": "00010101"}, None),
        ({"StudyDate": "00000000"}, None),
        ({"StudyDate": "\xb2\xb3\xb9\xb20101"}, None),
        ({}, None),
    ],
)
def test_a_date_is_read_as_it_was_ever_written(told: dict[str, str], moment: datetime | None) -> None:
    header = Dataset()
    for keyword, value in told.items():
        setattr(header, keyword, value)
    assert latest_moment([header]) == moment


def test_a_study_without_a_date_carries_that_of_its_arrival(tmp_path: Path) -> None:
    paths = []
    for number, image in enumerate(images("T1")):
        for keyword in DATES:
            setattr(image, keyword, "")
        paths.append(tmp_path / f"{number}.dcm")
        image.save_as(paths[-1], enforce_file_format=True)
    came = datetime.fromtimestamp(int(max(path.stat().st_mtime for path in paths)))  # noqa: DTZ006 - local to the site
    assert moment_of_results([dcmread(path) for path in paths]) == came
    outcome = write_refusal_report(paths, default(), tmp_path / "out", (Reason("no_series"),), Lineage())
    (result,) = outcome.results
    document = dcmread(result.path)
    assert document.ContentDate == document.SeriesDate == f"{came:%Y%m%d}"
    assert document.StudyDate == ""
    assert b"19000101" not in result.path.read_bytes()
