"""`osteonode scanners` lists the scanners, and accepts one again."""

import json
from pathlib import Path

import pytest

from analysis.domain.remoteness import Departure, TrainingDistance
from analysis.prediction.checksums import digest_of
from node.clock import SystemClock
from node.config.tables.models import DEMONSTRATION_MODEL
from node.domain.drift import LEAST, Subject
from node.domain.results import Lineage
from node.show.scanners import scanner_id
from node.store.scanner_ranges import put_distances
from node.store.tables import open_engine, writing
from tests.node.storages import Storage
from tests.schemas import strict

NAME = "Scanner works, One, 1.5 T, no. 7"


@pytest.fixture
def left(storage: Storage) -> Storage:
    """Return a storage with a scanner that has left in T1."""
    engine = open_engine(f"sqlite:///{storage.folder / 'var' / 'osteonode.db'}")
    subject = Subject(NAME, digest_of(DEMONSTRATION_MODEL), "T1")
    there = {subject: TrainingDistance("T1", 4.5, 5.0, 4.0, in_protocol=True)}
    with writing(engine) as connection:
        for number in range(LEAST):
            put_distances(connection, f"1.{number}", there, SystemClock().now())
    engine.dispose()
    return storage


def test_a_scanner_is_listed_with_its_state_and_its_months(left: Storage) -> None:
    (told,) = json.loads(left.run("scanners", "--json").stdout)
    strict("scanners").validate([told])
    assert (told["id"], told["scanner"], told["sequence"]) == (scanner_id(NAME), NAME, "T1")
    assert (told["state"], told["left_with"]) == ("left", {"far": LEAST, "studies": LEAST})
    (month,) = told["months"]
    assert (month["studies"], month["far"], month["outside"], month["median_distance"]) == (
        LEAST,
        LEAST,
        0,
        0.9,
    )
    listed = left.run("scanners").stdout
    assert "left" in listed
    assert f"{LEAST} of {LEAST}" in listed


@pytest.mark.parametrize("drift", ["abstain", "tell", "off"])
def test_states_that_are_not_followed_any_more_are_listed_as_such(left: Storage, drift: str) -> None:
    left.config.write_text(f'{left.config.read_text()}\n[models]\nscanner_drift = "{drift}"\n')
    listed = " ".join(left.run("scanners").stdout.split())
    assert NAME in listed
    assert ("Nothing is counted" in listed) is (drift == "off")


@pytest.mark.parametrize("by_key", [False, True])
def test_a_scanner_is_accepted_by_its_short_or_its_whole_name_and_that_is_audited(
    left: Storage, tmp_path: Path, *, by_key: bool
) -> None:
    trail = tmp_path / "audit.xml"
    left.config.write_text(f'{left.config.read_text()}\n[audit]\nfile = "{trail}"\n')
    name = NAME if by_key else scanner_id(NAME)
    done = left.run("scanners", "--accept", name)
    assert done.exit_code == 0, done.output
    assert "accepted again" in done.output
    (told,) = json.loads(left.run("scanners", "--json").stdout)
    strict("scanners").validate([told])
    assert (told["state"], told["studies"], told["left_with"]) == ("unknown", 0, None)
    assert told["accepted_at"]
    assert 'csd-code="110131"' in trail.read_text()
    again = left.run("scanners", "--accept", name)
    assert again.exit_code == 1
    assert "has not left" in again.output


def test_a_scanner_that_is_not_known_is_not_accepted(left: Storage) -> None:
    result = left.run("scanners", "--accept", "M-00000000")
    assert result.exit_code == 1
    assert "no scanner is named M-00000000" in result.output
    strict("error").validate(json.loads(left.run("scanners", "--accept", "x", "--json").stdout))


@pytest.mark.parametrize("told", [["T3=1/2"], ["T1"], ["T1=3/2"], ["T1=2/3", "T1=2/3"]])
def test_what_is_told_of_a_scanner_offline_is_checked_before_anything_is_analysed(
    storage: Storage, told: list[str]
) -> None:
    options = [part for one in told for part in ("--scanner-left", one)]
    result = storage.run("analyse", str(storage.folder), "--out", str(storage.folder / "out"), *options)
    assert result.exit_code == 2
    assert "T1=12/30" in result.output
    assert not (storage.folder / "out").exists()


@pytest.mark.parametrize(
    ("models", "told", "why"),
    [
        ("", "T1+T2=9/20", "the model has no classifier of T1+T2"),
        ('scanner_drift = "tell"', "T1=9/20", '[models] scanner_drift is "tell"'),
        ('bundle = "none"', "T1=9/20", "no model is configured"),
    ],
)
def test_what_is_told_of_a_scanner_offline_and_would_change_nothing_is_refused(
    storage: Storage, models: str, told: str, why: str
) -> None:
    storage.config.write_text(f"{storage.config.read_text()}\n[models]\n{models}\n")
    out = storage.folder / "out"
    result = storage.run("analyse", str(storage.folder), "--out", str(out), "--scanner-left", told)
    assert result.exit_code == 2
    assert f"{told} would change nothing: {why}" in result.output
    assert not out.exists()


def test_what_is_told_of_a_scanner_offline_holds_for_every_scanner() -> None:
    left = Departure("T1", 12, 30)
    assert Lineage(departed=(left,)).departures_of("any", "model") == (left,)
