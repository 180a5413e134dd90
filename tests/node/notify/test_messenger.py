"""Every notice gets to its contact once, whatever fails on the way; many at once become few events."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from analysis.domain.target import Target
from node.domain.notice import AT_THRESHOLD, Answer, NoticeKind, NoticeState, Topic, study_key
from node.store import tables as t
from node.store.notices import SqlNotices
from tests.node.contacts import Hook, running_hook
from tests.node.notify.boxes import Office
from tests.node.outboxes import START

LIKELY = Answer(Target.OSTEOPOROSIS, "above", 0.62, 0.34, "demonstration 1", simulated=True)
UNLIKELY = replace(LIKELY, verdict="below", probability=0.1)
UNKNOWN = replace(LIKELY, verdict="indeterminate", probability=0.5)


@contextmanager
def office(url: str, *hooks: Hook, **settings: Any) -> Iterator[Office]:
    contacts = [hook.contact(f"hook-{number}", **settings) for number, hook in enumerate(hooks)]
    opened = Office(url, contacts)
    try:
        yield opened
    finally:
        opened.close()


def told_of(hook: Hook) -> list[str]:
    """Return the keys of the studies that a receiver was told of, where it keeps the ids of events."""
    events = {event["id"]: event for event in hook.events}
    return sorted(study["study"] for event in events.values() for study in event["data"]["studies"])


def keys(*studies: str) -> list[str]:
    return sorted(map(study_key, studies))


def test_each_contact_is_told_once_of_what_it_wants(url: str) -> None:
    with running_hook() as one, running_hook() as other, office(url, one, other) as at:
        at.contacts[1] = replace(at.contacts[1], on=(Topic.DISK,))  # type: ignore[index]
        at.happen("1.1")
        at.happen("1.2")
        at.work_on(rounds=3, hours=1)
        assert told_of(one) == keys("1.1", "1.2")
        assert one.requests == 2
        assert not other.requests
        assert at.box.happenings(9) == ()


def test_what_happens_while_nobody_is_configured_is_told_to_nobody_later(url: str) -> None:
    with running_hook() as hook, office(url, hook) as at:
        contacts, at.contacts = at.contacts, ()
        at.open()
        at.happen("1.1")
        at.work()
        at.contacts = contacts
        at.open()
        at.work_on(rounds=2, hours=1)
        assert not hook.requests


@pytest.mark.parametrize(
    ("limit", "expected"), [(AT_THRESHOLD, ["1.1"]), (0.6, ["1.1"]), (0.7, []), (0.0, ["1.1", "1.2"])]
)
def test_a_result_is_told_if_it_meets_the_condition(url: str, limit: float, expected: list[str]) -> None:
    wants = {"on": (Topic.RESULT,), "above": ((Target.OSTEOPOROSIS, limit),)}
    with running_hook() as hook, office(url, hook, **wants) as at:
        for study, answer in (("1.1", LIKELY), ("1.2", UNLIKELY), ("1.3", UNKNOWN)):
            at.happen(study, kind=NoticeKind.RESULT, answers=[answer])
        at.work()
        assert told_of(hook) == keys(*expected)
        assert all(study["simulated"] for event in hook.events for study in event["data"]["studies"])


def test_a_receiver_that_is_down_gets_everything_once_it_is_back(url: str) -> None:
    with running_hook(status=lambda number: 503 if number < 4 else 200) as hook, office(url, hook) as at:
        at.happen("1.1")
        at.work()
        at.happen("1.2")
        at.work()
        assert hook.requests == 1, "the breaker is open, so the second waits for the first"
        (waiting, _) = (*at.box.notices("1.1"), *at.box.notices("1.2"))
        assert (waiting.state, waiting.reason) == (NoticeState.WAITING, "it answered HTTP 503")
        at.work_on(minutes=10)
        assert told_of(hook) == keys("1.1", "1.2")
        assert hook.requests == 6
        assert at.messengers[0].breaker.failures == 0


def test_a_notice_that_is_never_taken_is_given_up_and_holds_up_no_other(url: str) -> None:
    with running_hook(status=lambda number: 422 if number in {0, 2, 3} else 200) as hook:
        with office(url, hook) as at:
            at.happen("1.1")
            at.happen("1.2")
            at.work_on(rounds=10, minutes=30)
            (lost,) = at.box.notices("1.1")
            assert (lost.state, lost.attempts, lost.reason) == (NoticeState.FAILED, 3, "it answered HTTP 422")
            figures = at.box.figures(START)["hook-0"]
            assert (figures.failed, figures.waiting, figures.reason) == (1, 0, "it answered HTTP 422")
        assert told_of(hook) == keys("1.2")


def test_a_flood_is_told_in_few_events_and_loses_nothing(url: str) -> None:
    studies = [f"1.{number}" for number in range(450)]
    with running_hook() as hook, office(url, hook) as at:
        at.happen(*studies)
        at.work()
        assert hook.requests == 3
        assert told_of(hook) == keys(*studies)


def test_a_steady_flood_is_told_in_few_events_an_hour(url: str) -> None:
    """One study in two minutes for three hours: 20 events in each hour, and what gathers comes as one."""
    studies = [f"1.{number}" for number in range(90)]
    with running_hook() as hook, office(url, hook) as at:
        for study in studies:
            at.happen(study)
            at.work_on(rounds=1, minutes=2)
        assert hook.requests <= 3 * 20
        at.work_on(rounds=3, hours=1)
        assert told_of(hook) == keys(*studies)


TRANSACTIONS = ("queue", "lease_batch", "end_batch")


class KilledError(BaseException):
    """The process ends here; no handler of the program sees it."""


def crossings(monkeypatch: pytest.MonkeyPatch, die_at: int) -> list[str]:
    """Let the process die at one crossing of an edge of the work; return the edges that were crossed."""
    crossed: list[str] = []

    def cross(edge: str) -> None:
        crossed.append(edge)
        if len(crossed) == die_at:
            raise KilledError

    def around(name: str) -> Callable[..., Any]:
        original = getattr(SqlNotices, name)

        def crossing(*arguments: Any, **options: Any) -> Any:
            cross(f"{name} asked")
            found = original(*arguments, **options)
            cross(f"{name} committed")
            return found

        return crossing

    @contextmanager
    def writing(engine: Any) -> Iterator[Any]:
        with t.writing(engine) as connection:
            yield connection
            cross("written")

    take = Hook.take

    def taken(hook: Hook, *arguments: Any) -> int:
        answer = take(hook, *arguments)
        crossed.append("received")
        # The receiver has it, and the node dies before it reads the answer.
        return 599 if len(crossed) == die_at else answer

    for name in TRANSACTIONS:
        monkeypatch.setattr(SqlNotices, name, around(name))
    monkeypatch.setattr(Hook, "take", taken)
    monkeypatch.setattr("node.store.notices.t", _Tables(writing))
    return crossed


class _Tables:
    """`node.store.tables` with another `writing`."""

    def __init__(self, writing: Any) -> None:
        self.writing = writing

    def __getattr__(self, name: str) -> Any:
        return getattr(t, name)


def test_nothing_is_lost_or_told_twice_wherever_the_node_is_killed(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a receiver that keeps the ids of events: at each edge once, until the work has no more edges."""
    studies = ("1.1", "1.2")
    edges: set[str] = set()
    for die_at in range(1, 200):
        with running_hook() as hook, office(f"sqlite:///{tmp_path}/{die_at}.db", hook) as at:
            at.happen(*studies)
            with monkeypatch.context() as patched:
                crossed = crossings(patched, die_at)
                died = False
                try:
                    at.work()
                except KilledError:
                    died = True
            at.close()
            at.open()
            at.work_on(rounds=6, minutes=10)
            assert told_of(hook) == keys(*studies), crossed[-1:]
            assert hook.requests <= len(studies) + 1
        edges.update(crossed[:die_at])
        if not died and len(crossed) < die_at:
            break
    steps = [f"{name} {end}" for name in TRANSACTIONS for end in ("asked", "committed")]
    assert edges == {"received", "written", *steps}


def test_what_can_never_be_sent_is_given_up_and_what_ended_is_forgotten(url: str) -> None:
    with running_hook(status=lambda number: 200 if number == 0 else 503) as hook, office(url, hook) as at:
        at.happen("1.1")
        at.work()
        at.happen("1.2")
        at.work()
        at.clock.go_on(days=31)
        before = at.clock.now()
        assert at.box.forget(START, ["hook-0"], before) == 0
        assert at.box.forget(before, ["hook-0"], before) == 1
        assert at.box.notices("1.1") == ()
        (late,) = at.box.notices("1.2")
        assert (late.state, late.reason) == (
            NoticeState.FAILED, "it could not be sent in all the time that it was kept",
        )  # fmt: skip
        at.happen("1.3")
        at.announcer.sweep()
        assert at.box.forget(START, [], before) == 1
        (stranded,) = at.box.notices("1.3")
        assert "no block of [[notify]]" in stranded.reason
