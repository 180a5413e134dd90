"""Sessions end by themselves, and failed logins slow the next ones down."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.config.password import hash_of, is_hash, is_right
from node.domain.audit import Client
from node.show.web.attempts import Attempts
from node.show.web.sessions import LONGEST, Sessions

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
IDLE = timedelta(minutes=30)
MINUTE = timedelta(minutes=1)
ANNA = Client("anna", "10.1.2.3")


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(IDLE)


def test_a_session_that_is_used_goes_on_and_one_that_is_not_ends(sessions: Sessions) -> None:
    key = sessions.begin(ANNA, NOON)
    assert sessions.find(key, NOON + IDLE - MINUTE) is not None
    assert sessions.find(key, NOON + 2 * IDLE - 2 * MINUTE) is not None
    assert sessions.find(key, NOON + 3 * IDLE) is None
    assert sessions.find(key, NOON) is None, "what has ended is not there any more"


def test_a_page_that_renews_itself_keeps_no_session_alive(sessions: Sessions) -> None:
    key = sessions.begin(ANNA, NOON)
    assert sessions.find(key, NOON + IDLE - MINUTE, is_use=False) is not None
    assert sessions.find(key, NOON + IDLE) is None


def test_a_session_ends_however_busy_it_is(sessions: Sessions) -> None:
    key, now = sessions.begin(ANNA, NOON), NOON
    while now < NOON + LONGEST - MINUTE:
        now += MINUTE
        assert sessions.find(key, now) is not None
    assert sessions.find(key, now + MINUTE) is None


def test_keys_and_form_tokens_are_new_each_time_and_no_key_is_kept(sessions: Sessions) -> None:
    keys = [sessions.begin(ANNA, NOON) for _ in range(3)]
    found = [sessions.find(key, NOON) for key in keys]
    assert len(set(keys) | {one.form_token for one in found if one is not None}) == 6
    assert not any(key in repr(vars(sessions)) for key in keys)
    sessions.end(keys[0])
    assert [sessions.find(key, NOON) is None for key in keys] == [True, False, False]


def test_a_message_is_there_until_it_is_taken_away(sessions: Sessions) -> None:
    key = sessions.begin(ANNA, NOON)
    for message in ("done", ""):
        sessions.tell(key, message)
        found = sessions.find(key, NOON)
        assert found is not None
        assert found.message == message


def test_there_are_never_more_than_a_thousand_and_the_longest_unused_goes_first(sessions: Sessions) -> None:
    keys = [sessions.begin(ANNA, NOON + timedelta(seconds=number)) for number in range(1001)]
    end = NOON + timedelta(seconds=1001)
    assert [sessions.find(key, end) is None for key in keys] == [True] + [False] * 1000


def test_each_failure_after_the_fifth_doubles_the_pause_up_to_a_minute() -> None:
    attempts, pauses = Attempts(), []
    for _ in range(14):
        attempts.failed(["anna"], NOON)
        pauses.append(attempts.pause(["anna"], NOON).total_seconds())
    assert pauses == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert attempts.pause(["anna"], NOON + timedelta(seconds=59)) == timedelta(seconds=1)
    assert attempts.pause(["anna"], NOON + MINUTE) == timedelta()
    attempts.failed(["anna"], NOON + timedelta(hours=2))
    assert attempts.pause(["anna"], NOON + timedelta(hours=2)) == timedelta(), "after an hour it is forgotten"


def test_a_success_forgets_and_keys_are_counted_apart() -> None:
    attempts = Attempts()
    for _ in range(9):
        attempts.failed(["here", "anna"], NOON)
    assert attempts.pause(["here", "eve"], NOON) == attempts.pause(["there", "anna"], NOON) != timedelta()
    assert attempts.pause(["there", "eve"], NOON) == timedelta()
    attempts.succeeded(["here", "anna"])
    assert attempts.pause(["here", "anna"], NOON) == timedelta()


def test_what_is_kept_of_failures_is_limited() -> None:
    attempts = Attempts()
    attempts.failed(["anna"] * 9, NOON)
    for number in range(20_000):
        attempts.failed([str(number)], NOON)
    assert len(attempts._failures) == 10_000


@settings(max_examples=5, deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_a_hash_tells_the_password_from_others_and_does_not_hold_it(password: str) -> None:
    hashed = hash_of(password)
    assert is_hash(hashed)
    assert is_right(password, hashed)
    assert not is_right(password + "x", hashed)
    assert hash_of(password) != hashed, "each has a salt of its own"
