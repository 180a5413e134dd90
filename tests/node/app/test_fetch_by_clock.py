"""The clock asks a real archive by its cron expression; what it finds is fetched outside the window, too."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from node.clock import SystemClock
from node.config import Fetching, FetchLimits, LookFor
from node.domain.study import StudyState
from node.domain.wish import Priority, WishState
from tests.node.analyses import CLASSES
from tests.node.app.test_fetching import ROOT, fetching, fill, study_of, were_reported_once, wish
from tests.node.nodes import quick_node, running_pacs, state_of
from tests.patience import wait_until
from tests.peers import Orthanc


def add_of_today(orthanc: Orthanc, folder: Path, number: int) -> str:
    """Put a study of today into an archive; return its UID."""
    folder.mkdir()
    for image in study_of(number):
        image.StudyDate = date.today().strftime("%Y%m%d")  # noqa: DTZ011 - the day where this machine is
        image.save_as(folder / f"{image.SOPInstanceUID}.dcm", enforce_file_format=True)
    orthanc.store(sorted(folder.iterdir()))
    return f"{ROOT}.{number}"


@pytest.mark.peers
@pytest.mark.timeout(1800)
def test_studies_of_today_are_fetched_by_the_minute_and_the_backlog_waits_for_its_window(
    tmp_path: Path,
) -> None:
    """The schedule itself runs, so this waits for the next minute."""
    with running_pacs() as pacs, Orthanc(tmp_path / "orthanc", {"DicomAlwaysAllowGet": True}) as orthanc:
        (old,) = fill(orthanc, tmp_path / "old", 1)
        today = add_of_today(orthanc, tmp_path / "today", 5001)
        configuration = fetching(tmp_path / "node", pacs.port, orthanc.dicom_port)
        (archive,) = configuration.archives
        begin = SystemClock().now().astimezone() + timedelta(hours=12)
        window = f"{begin:%H}:00 to {begin + timedelta(hours=1):%H}:00"
        by_clock = Fetching("* * * * *", LookFor(days=2), FetchLimits(window=window))
        configuration = replace(configuration, archives=(replace(archive, fetching=by_clock),))
        with quick_node(configuration, examine="examine_by_series") as node:
            wish(node.configuration, [old])
            wait_until(lambda: state_of(node, today) is StudyState.DELIVERED)
            (found,) = node.store.wishes(today)
            assert (found.state, found.priority) == (WishState.FETCHED, Priority.LIVE)
            assert {one.series_uid for one in node.store.instances(today)} == {f"{today}.1", f"{today}.2"}
            (waiting,) = node.store.wishes(old)
            assert waiting.state is WishState.WAITING
            assert state_of(node, old) is None
            # What is new is found the next time, and nothing is fetched or sent twice.
            later = add_of_today(orthanc, tmp_path / "later", 5002)
            node._schedule.soon("ask-archive")
            wait_until(lambda: state_of(node, later) is StudyState.DELIVERED)
            assert node.store.wishes(today) == (found,)
        were_reported_once(pacs, [today, later])
        assert len(pacs.received) == 2 * len(CLASSES)
