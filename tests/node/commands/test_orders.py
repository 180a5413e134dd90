"""Set aside and purge of one study as commands, and that every order is in the audit trail."""

import os
import pwd
import socket
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from node.cli import application
from node.domain.delivery import DeliveryState
from node.domain.study import StudyEvent, StudyState
from tests.node.storages import START, Storage

FIRST, SECOND = "1.2.826.0.1.1", "1.2.826.0.1.12"
PATIENT = "PAT-1"


@pytest.fixture
def two(storage: Storage) -> Storage:
    """Return a storage with a delivered study and one that is being received."""
    storage.take(FIRST, PatientID=PATIENT)
    storage.report(FIRST, "pacs")
    storage.end(FIRST, DeliveryState.SENT)
    storage.take(SECOND, PatientID="PAT-2")
    with storage.config.open("a") as file:
        file.write(f'[audit]\nfile = "{storage.folder / "trail.xml"}"\n')
    return storage


def answered(storage: Storage, answer: str, *words: str) -> Result:
    return CliRunner().invoke(application, [*words, "--config", str(storage.config)], input=answer)


def state(storage: Storage, study: str) -> StudyState:
    found = storage.store.study(study)
    assert found is not None
    return found.state


def trail(storage: Storage) -> list[tuple[str, str, str]]:
    """Return event, own code and outcome of each audit message, all of which name the user and a patient."""
    file = storage.folder / "trail.xml"
    found = []
    for line in file.read_bytes().splitlines() if file.exists() else ():
        message = ET.fromstring(line)  # noqa: S314 - our own
        person = message.find("ActiveParticipant")
        assert person is not None
        user = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
        assert (person.get("UserID"), person.get("NetworkAccessPointID")) == (user, socket.gethostname())
        assert "PAT-" in line.decode()
        event, kind = message.find("EventIdentification/EventID"), message.find(".//EventTypeCode")
        identification = message.find("EventIdentification")
        assert event is not None
        assert identification is not None
        what = "" if kind is None else str(kind.get("csd-code"))
        found.append((str(event.get("csd-code")), what, str(identification.get("EventOutcomeIndicator"))))
    return found


def test_a_study_is_set_aside_once_somebody_has_confirmed_it(two: Storage) -> None:
    told = answered(two, "n\n", "set-aside", "PAT-2")
    assert told.exit_code == 1
    assert f"Set aside study {SECOND} (receiving, last image on 2026-01-05)?" in told.stderr
    assert state(two, SECOND) is StudyState.RECEIVING
    assert not trail(two)
    told = answered(two, "y\n", "set-aside", "PAT-2")
    assert told.exit_code == 0
    assert "It is set aside." in told.stdout
    assert state(two, SECOND) is StudyState.FAILED
    assert trail(two) == [("110103", "SET-ASIDE", "0")]


def test_what_has_ended_is_not_set_aside(two: Storage) -> None:
    told = two.run("set-aside", FIRST, "--yes")
    assert told.exit_code == 1
    assert "there is nothing to set aside" in told.stderr
    assert trail(two) == [("110103", "SET-ASIDE", "4")], "an order that fails is audited, too"


def test_one_study_is_purged_whenever_it_was_finished(two: Storage) -> None:
    for answer, words, status in (("n\n", (), 1), ("", ("--dry-run",), 0)):
        assert answered(two, answer, "purge", PATIENT, *words).exit_code == status
        assert two.store.instances(FIRST)
    assert not trail(two)
    told = answered(two, "y\n", "purge", PATIENT)
    assert told.exit_code == 0
    assert f"Remove the images and results of study {FIRST} (delivered" in told.stderr
    assert "Removed the images and results of 1 study.\n" in told.stdout
    assert not two.store.instances(FIRST)
    assert trail(two) == [("110105", "", "0")]


@pytest.mark.parametrize("word", ["--yes", "--dry-run"])
def test_a_study_on_its_way_is_not_purged(two: Storage, word: str) -> None:
    told = two.run("purge", SECOND, word)
    assert told.exit_code == 1
    assert "only a study that has ended" in told.stderr
    assert two.store.instances(SECOND)


def test_a_study_that_was_set_aside_is_purged_alone(two: Storage) -> None:
    two.move(SECOND, StudyEvent.FELL_QUIET, StudyEvent.GAVE_UP)
    assert two.run("purge", SECOND, "--yes").exit_code == 0
    assert not two.store.instances(SECOND)
    assert two.store.instances(FIRST)


def test_every_order_is_audited(two: Storage) -> None:
    two.run("resend", FIRST)
    two.end(FIRST, DeliveryState.SENT, at=two.store.history(FIRST)[-1].at)
    two.move(SECOND, StudyEvent.FELL_QUIET, StudyEvent.GAVE_UP, at=START)
    two.run("retry", "--failed")
    two.run("retry", SECOND)
    assert two.run("purge", "--days", "0").exit_code == 0
    assert trail(two) == [
        ("110103", "RESEND", "0"), ("110103", "RETRY", "0"), ("110103", "RETRY", "4"), ("110105", "", "0"),
    ]  # fmt: skip


def test_an_audit_trail_that_cannot_be_written_is_told(two: Storage) -> None:
    (two.folder / "trail.xml").mkdir()
    told = two.run("resend", FIRST)
    assert told.exit_code == 0
    assert "audit_not_written" in told.stderr
    assert PATIENT not in told.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("purge", FIRST, "--days", "3", "--yes"), ("purge", FIRST, "--failed", "--yes"),
        ("purge", "", "--yes"), ("purge", ""), ("purge", "--yes", "--days", "0"), ("purge", FIRST, "--json"),
        ("set-aside", SECOND, "--json"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_wrong_usage(two: Storage, words: tuple[str, ...]) -> None:
    assert two.run(*words).exit_code == 2
    assert state(two, SECOND) is StudyState.RECEIVING
    assert two.store.instances(FIRST)
