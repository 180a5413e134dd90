"""Results say when they were made: the first time, in the local time of their images."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from analysis.domain.reason import Reason
from node.analyse.refusal_report import write_refusal_report
from node.analyse.result_files import local_time
from node.config import default
from node.domain.results import Lineage, Outcome
from tests.node.analyse.test_identity import images

NOW = datetime(2026, 3, 29, 2, 30, 15, 600_000, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("offset", "wall"),
    [
        ("+0530", datetime(2026, 3, 29, 8, 0, 15)),  # noqa: DTZ001
        ("-0800", datetime(2026, 3, 28, 18, 30, 15)),  # noqa: DTZ001
        ("+0000", datetime(2026, 3, 29, 2, 30, 15)),  # noqa: DTZ001
        ("", None),
        ("nonsense", None),
    ],
)
def test_times_are_those_of_the_zone_that_the_object_names(offset: str, wall: datetime | None) -> None:
    source = Dataset()
    source.TimezoneOffsetFromUTC = offset
    of_the_site = NOW.astimezone().replace(microsecond=0, tzinfo=None)
    assert local_time(NOW, source) == (of_the_site if wall is None else wall)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Write images without any date, as many anonymised ones are, from a scanner in India."""
    written = []
    for number, image in enumerate(images("T1")):
        for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate"):
            setattr(image, keyword, "")
        image.TimezoneOffsetFromUTC = "+0530"
        written.append(tmp_path / f"{number}.dcm")
        image.save_as(written[-1], enforce_file_format=True)
    return written


def explained(paths: list[Path], out: Path, lineage: Lineage, now: datetime) -> tuple[Outcome, bytes]:
    outcome = write_refusal_report(paths, default(), out, (Reason("no_series"),), lineage, now=now)
    (result,) = outcome.results
    return outcome, result.path.read_bytes()


def test_a_study_is_explained_with_the_time_of_the_first_making(paths: list[Path], tmp_path: Path) -> None:
    first, report = explained(paths, tmp_path / "first", Lineage(), NOW)
    document = dcmread(first.results[0].path)
    for prefix in ("Content", "InstanceCreation", "Series"):
        assert (document[f"{prefix}Date"].value, document[f"{prefix}Time"].value) == ("20260329", "080015")
    assert (document.TimezoneOffsetFromUTC, document.StudyDate) == ("+0530", "")
    assert b"Analysed on 2026-03-29 at 08:00 by OsteoNode" in report
    assert first.made == NOW

    lineage = Lineage(first.key, first.replaced, made=first.made)
    again, same = explained(paths, tmp_path / "again", lineage, NOW + HOUR)
    assert (again.made, same) == (NOW, report), "the same result once more"

    other, _ = explained(paths, tmp_path / "other", Lineage("another", made=NOW), NOW - HOUR)
    later = dcmread(other.results[0].path)
    assert (later.ContentDate, later.ContentTime) == ("20260329", "080016"), "though the clock was set back"
