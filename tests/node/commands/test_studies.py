"""The commands that list studies and give orders for them, on the storage of a stopped node."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from rich.console import Console

from node.clock import SystemClock
from node.commands import terminal
from node.domain.delivery import ORDERED, DeliveryState
from node.domain.study import StudyEvent, StudyState
from tests.node.analyses import CLASSES
from tests.node.storages import START, Storage
from tests.node.store.suite.analysing import an_examination

FIRST, SECOND, THIRD = "1.2.826.0.1.1", "1.2.826.0.1.12", "1.3.6.1.5"
A_LONG_ONE = "1.2.826.0.1.3680043.8.498.12345678901234567890123456789012345678"
DAY = timedelta(days=1)


@pytest.fixture
def delivered(storage: Storage) -> Storage:
    """Return a storage with a study whose results both destinations have."""
    storage.take(FIRST)
    storage.report(FIRST, "pacs", "archive")
    storage.end(FIRST, DeliveryState.SENT)
    assert state(storage) is StudyState.DELIVERED
    return storage


def state(storage: Storage, study: str = FIRST) -> StudyState:
    found = storage.store.study(study)
    assert found is not None
    return found.state


def states(storage: Storage, destination: str) -> set[DeliveryState]:
    return {one.state for one in storage.store.deliveries(FIRST) if one.destination == destination}


def test_results_that_were_sent_are_sent_again_to_all_and_nothing_is_analysed(delivered: Storage) -> None:
    told = delivered.run("resend", FIRST)
    assert told.exit_code == 0
    assert told.stdout == "Its results are in the outbox again, for pacs, archive.\n"
    assert state(delivered) is StudyState.DELIVERING
    assert states(delivered, "pacs") == states(delivered, "archive") == {DeliveryState.WAITING}
    last = delivered.store.history(FIRST)[-1]
    assert (last.event, last.reason) == (StudyEvent.RESENT, ORDERED)
    delivered.end(FIRST, DeliveryState.SENT, at=last.at)
    assert state(delivered) is StudyState.DELIVERED


def test_results_are_sent_again_to_one_destination(delivered: Storage) -> None:
    assert delivered.run("resend", FIRST, "--to", "archive").exit_code == 0
    assert states(delivered, "pacs") == {DeliveryState.SENT}
    assert states(delivered, "archive") == {DeliveryState.WAITING}


def test_a_new_destination_gets_the_kinds_that_it_wants(delivered: Storage) -> None:
    delivered.configure("pacs", "new")
    with delivered.config.open("a") as file:
        file.write('results = ["sr"]\n')
    assert delivered.run("resend", FIRST, "--to", "new").exit_code == 0
    kinds = [one.result.kind.value for one in delivered.store.deliveries(FIRST) if one.destination == "new"]
    assert kinds == ["sr"]
    delivered.configure("none")
    with delivered.config.open("a") as file:
        file.write('results = ["pdf"]\n')
    assert "of a kind that none wants" in delivered.run("resend", FIRST).stderr


def test_what_cannot_be_sent_again_is_refused_with_the_reason(delivered: Storage) -> None:
    def refusal(*words: str) -> str:
        told = delivered.run("resend", *words)
        assert told.exit_code == 1
        assert not told.stdout
        return " ".join(told.stderr.split())

    assert "no destination is called pax; there are: pacs, archive" in refusal(FIRST, "--to", "pax")
    delivered.take(SECOND)
    assert "is receiving; results can be sent again once" in refusal(SECOND)
    delivered.move(SECOND, StudyEvent.FELL_QUIET, StudyEvent.GAVE_UP)
    assert "is failed and has no results" in refusal(SECOND)
    (delivered.files.results / FIRST / "sr.dcm").unlink()
    assert f"1 of its {len(CLASSES)} result files were removed" in refusal(FIRST)
    delivered.configure()
    assert "no destination is configured" in refusal(FIRST)
    assert state(delivered) is StudyState.DELIVERED


def test_results_of_earlier_images_are_not_sent_again(delivered: Storage) -> None:
    delivered.take(FIRST, number=2)
    delivered.move(FIRST, StudyEvent.FELL_QUIET, StudyEvent.GAVE_UP)
    assert "are of earlier images" in delivered.run("resend", FIRST).stderr
    assert state(delivered) is StudyState.FAILED


def test_a_retry_ends_a_back_off(storage: Storage) -> None:
    storage.take(FIRST)
    storage.report(FIRST, "pacs")
    batch = storage.store.lease_deliveries("pacs", "c", START, START + DAY)
    assert batch is not None
    far = START + 100_000 * DAY
    storage.store.return_deliveries(batch, "it cannot be reached", far)
    told = storage.run("retry", FIRST)
    assert "in the outbox again" in told.stdout
    now = storage.store.history(FIRST)[-1].at
    assert storage.store.lease_deliveries("pacs", "c", now, now + DAY) is not None
    assert storage.run("retry", FIRST).exit_code == 1, "it is being sent"


@pytest.mark.parametrize("event", [StudyEvent.BROKE, StudyEvent.FOUND_READY])
def test_a_study_that_waits_for_another_attempt_gets_it_at_once(storage: Storage, event: StudyEvent) -> None:
    storage.take(FIRST)
    storage.move(FIRST, StudyEvent.FELL_QUIET)
    found = storage.store.study(FIRST)
    assert found is not None
    far = START + 100_000 * DAY
    found = storage.store.advance(found, event, START, deadline=far, attempts=2)
    assert found is not None
    assert "again" in storage.run("retry", FIRST).stdout
    moved = storage.store.study(FIRST)
    assert moved is not None
    assert moved.state is found.state
    assert moved.deadline is not None
    assert moved.deadline < far
    assert moved.attempts == 0
    told = storage.run("retry", FIRST)
    assert told.exit_code == 1
    assert "nothing to retry yet" in told.stderr


def test_all_failed_studies_are_retried_together(storage: Storage) -> None:
    for study in (FIRST, SECOND, THIRD):
        storage.take(study)
    for study in (FIRST, SECOND):
        storage.move(study, StudyEvent.FELL_QUIET, StudyEvent.GAVE_UP)
    gone = storage.store.study(SECOND)
    assert gone is not None
    assert storage.store.forget_originals(gone, lambda _images: None)
    told = storage.run("retry", "--failed")
    assert told.exit_code == 0
    assert told.stdout.splitlines()[1:] == [f"{FIRST}\tIt will be examined and analysed again."]
    assert state(storage) is StudyState.SETTLED
    assert state(storage, SECOND) is StudyState.FAILED, "its images were removed"
    assert storage.run("retry", "--failed", "--json").stdout.strip() == "[]"


def test_one_failed_study_that_cannot_be_retried_keeps_no_other(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from node.errors import PermanentError
    from node.operate import retry

    for study in (FIRST, SECOND):
        storage.take(study)
        storage.move(study, StudyEvent.FELL_QUIET, StudyEvent.GAVE_UP)
    restart = retry.restart_study

    def one_changed(*arguments: object) -> retry.Done:
        if SECOND in arguments:
            raise PermanentError("it changed")
        return restart(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(retry, "restart_study", one_changed)
    told = storage.run("retry", "--failed", "--json")
    assert told.exit_code == 4
    assert {(one["study_uid"], one["action"]) for one in json.loads(told.stdout)} == {
        (FIRST, "restarted"),
        (SECOND, None),
    }


@pytest.mark.parametrize("words", [[], [FIRST, "--failed"]])
def test_a_retry_is_of_one_study_or_of_all_that_failed(storage: Storage, words: list[str]) -> None:
    assert storage.run("retry", *words).exit_code == 2


def test_a_dry_run_lists_what_a_purge_removes_and_removes_nothing(delivered: Storage) -> None:
    delivered.take(SECOND)
    delivered.move(SECOND, StudyEvent.FELL_QUIET, StudyEvent.GAVE_UP)
    (instance,) = delivered.store.instances(FIRST)
    told = delivered.run("purge", "--dry-run")
    assert told.stdout.splitlines()[1:] == [f"{FIRST}\tdelivered\t2026-01-05"]
    assert "of 1 study and 0 files in quarantine would be" in told.stderr
    assert delivered.files.path(instance).exists()
    assert SECOND in delivered.run("purge", "--failed", "--dry-run").stdout
    assert json.loads(delivered.run("purge", "--json").stdout)["removed"] == 1
    assert not delivered.files.path(instance).exists()
    assert delivered.run("purge", "--dry-run").stdout.splitlines()[1:] == []


def test_a_dry_run_says_of_how_many_studies_the_scores_would_go(storage: Storage) -> None:
    for study, at in ((FIRST, START), (SECOND, SystemClock().now())):
        storage.take(study, at=at)
        storage.report(study, "pacs", at=at, scores=an_examination(study, 2024))

    def planned(*words: str) -> int | None:
        told: dict[str, int | None] = json.loads(storage.run("purge", *words, "--json").stdout)
        return told["scores"]

    assert planned("--dry-run") is None
    assert (
        "of 0 studies, the scores of 1 study and 0 files"
        in storage.run("purge", "--scores", "--dry-run").stderr
    )
    for words, count in (
        (("--dry-run",), 1), (("--days", "0", "--dry-run"), 2), ((), 1), (("--dry-run",), 0),
    ):  # fmt: skip
        assert planned("--scores", *words) == count
    assert "of 0 studies and the scores of 1 study." in storage.run("purge", "--scores", "--days", "0").stdout


def test_the_list_is_filtered(delivered: Storage) -> None:
    delivered.take(SECOND, at=START + DAY)
    delivered.take(THIRD, at=START + 2 * DAY)
    delivered.move(THIRD, StudyEvent.FELL_QUIET, reason="The table moved", at=START + 2 * DAY)

    def listed(*words: str) -> list[str]:
        told = delivered.run("studies", *words)
        assert told.exit_code == 0
        return [line.split("\t")[0] for line in told.stdout.splitlines()[1:]]

    assert listed() == [THIRD, SECOND, FIRST]
    assert listed("--state", "delivered", "--state", "settled") == [THIRD, FIRST]
    assert listed("--day", "2026-01-06") == [SECOND]
    assert listed("--since", "2026-01-06") == [THIRD, SECOND]
    assert listed("--until", "2026-01-06") == [SECOND, FIRST]
    assert listed("--destination", "archive") == [FIRST]
    assert listed("--text", "TABLE") == [THIRD]
    assert listed("--text", ".12") == [SECOND]
    assert listed("--limit", "1") == [THIRD]
    assert delivered.run("studies", "--day", "2026-01-06", "--since", "2026-01-06").exit_code == 2
    assert delivered.run("studies", "--state", "lost").exit_code == 2


def test_a_program_that_reads_the_list_gets_everything_in_one_line(storage: Storage) -> None:
    storage.take(A_LONG_ONE)
    storage.move(A_LONG_ONE, StudyEvent.FELL_QUIET, reason=f"a [reason] {'with words ' * 30}")
    _, line = storage.run("studies").stdout.splitlines()
    assert line.split("\t") == [
        A_LONG_ONE, "settled", "2026-01-05T08:00:00+00:00", f"a [reason] {'with words ' * 30}".strip(),
    ]  # fmt: skip


@pytest.mark.parametrize("width", [30, 64, 80, 120, 160])
def test_a_uid_is_whole_in_a_terminal_of_any_width(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    screen = StringIO()
    wide = Console(file=screen, force_terminal=True, width=width, color_system=None)
    monkeypatch.setattr(terminal, "console", wide)
    storage.take(A_LONG_ONE)
    storage.move(A_LONG_ONE, StudyEvent.FELL_QUIET, reason="because " * 20)
    assert storage.run("studies").exit_code == 0
    shown = screen.getvalue()
    assert A_LONG_ONE in shown
    assert shown.count("because") == 20
    assert ("│" in shown) == (width == 160)
