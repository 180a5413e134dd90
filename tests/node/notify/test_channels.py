"""What a real HTTP server and a real SMTP server get, and what becomes of what they do not take."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from node.clock import SystemClock
from node.config import Contact, Security, TlsSettings
from node.domain.delivery import Disposition
from node.domain.notice import OF_STUDIES, Notice, NoticeBatch, NoticeKind
from node.errors import TransientError
from node.notify.channels import Channel
from node.notify.channels.choice import channel_to
from node.notify.channels.mail import message_of
from node.notify.event import Event, Identify, event_of
from node.notify.words import body
from tests.certificates import Authority, Credentials
from tests.node.contacts import Hook, running_hook, running_postbox
from tests.peers import free_port

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
ANSWER = {"target": "osteoporosis", "verdict": "above", "probability": 0.62, "threshold": 0.34}
FACTS: dict[NoticeKind, dict[str, Any]] = {
    NoticeKind.SET_ASIDE: {"reason": "the analysis failed 3 times"},
    NoticeKind.RESULT: {"answers": [ANSWER], "model": "demonstration 1", "simulated": True},
    NoticeKind.DESTINATION_DOWN: {"destination": "pacs", "reason": "it cannot be reached"},
    NoticeKind.DESTINATION_UP: {"destination": "pacs", "since": NOON.isoformat()},
    NoticeKind.CERTIFICATE_ENDS: {
        "certificate": "ca of node.tls", "ends": NOON.isoformat(), "days_left": 3,
    },
    NoticeKind.DISK_FILLS: {"free_bytes": 2**31, "watermark_bytes": 2**30, "days_left": None},
    NoticeKind.DISK_FULL: {"free_bytes": 2**29, "watermark_bytes": 2**30, "days_left": 0.0},
    NoticeKind.SCANNER_LEFT: {
        "scanner": "Works, One, 1.5 T", "sequence": "T1", "far": 12, "latest_studies": 30,
    },
    NoticeKind.SCANNER_BACK: {
        "scanner": "Works, One, 1.5 T", "sequence": "T1", "far": 5, "latest_studies": 30,
        "since": NOON.isoformat(),
    },
    NoticeKind.TEST: {},
}  # fmt: skip


def event(kind: NoticeKind, *studies: str) -> Event:
    notices = tuple(Notice(f"id-{one}", "c", kind, NOON, FACTS[kind], one) for one in studies or ("",))
    return event_of(NoticeBatch(f"batch-of-{kind.value}", notices), "OSTEO NODE")


def channel(contact: Contact) -> Channel:
    return channel_to(contact, SystemClock(), 5.0)


def of_each_kind() -> list[Event]:
    about_studies = {NoticeKind.SET_ASIDE, NoticeKind.RESULT}
    return [event(kind, *(["1.2.3", "1.2.4"] if kind in about_studies else [])) for kind in NoticeKind]


def test_a_webhook_gets_every_kind_as_a_signed_cloud_event(credentials: Credentials) -> None:
    assert set(FACTS) == set(NoticeKind)
    with running_hook(credentials) as hook:
        through = channel(hook.contact(tls=TlsSettings(ca=credentials.ca), authorization="Bearer t"))
        through.reach()
        assert not hook.requests
        for one in of_each_kind():
            assert through.send(one).disposition is Disposition.ACCEPTED
    assert not hook.unsigned
    assert [one["type"] for one in hook.events] == [f"osteonode.{kind.value}" for kind in NoticeKind]
    assert {one["source"] for one in hook.events} == {"/osteonode/OSTEO%20NODE"}
    assert {one["authorization"] for one in hook.headers} == {"Bearer t"}
    told = hook.events[1]["data"]["studies"]
    assert [one["answers"] for one in told] == [[ANSWER]] * 2
    assert all(one["simulated"] for one in told)


def test_another_secret_is_found_out_by_the_receiver() -> None:
    with running_hook() as hook:
        wrong = channel(replace(hook.contact(), secret=b"another secret of many bytes"))
        with pytest.raises(TransientError, match="HTTP 401"):
            wrong.send(event(NoticeKind.TEST))
    assert "No matching signature" in hook.unsigned[0]


@pytest.mark.parametrize(
    ("status", "disposition"),
    [(200, "accepted"), (410, "give up"), (422, "retry a few times")],
)
def test_what_is_done_after_an_answer_about_the_event(status: int, disposition: str) -> None:
    with running_hook(status=lambda _: status) as hook:
        assert channel(hook.contact()).send(event(NoticeKind.TEST)).disposition == disposition


@pytest.mark.parametrize("status", [302, 401, 404, 429, 500, 503])
def test_what_is_wrong_with_every_event_is_waited_out(status: int) -> None:
    """A redirection is not followed: it leads to an address that nobody configured."""
    with running_hook(status=lambda _: status) as hook:
        with pytest.raises(TransientError, match=f"HTTP {status}"):
            channel(hook.contact()).send(event(NoticeKind.TEST))
        assert hook.requests == 1


def test_a_webhook_is_told_nothing_before_its_certificate_is_trusted(credentials: Credentials) -> None:
    with running_hook(credentials) as hook:
        for settings in (TlsSettings(), TlsSettings(ca=credentials.ca, server_name="elsewhere.example")):
            through = channel(hook.contact(tls=settings))
            with pytest.raises(TransientError, match=r"certificate|hostname"):
                through.reach()
            with pytest.raises(TransientError, match="certificate is not trusted"):
                through.send(event(NoticeKind.TEST))
        assert not hook.requests


def test_nobody_there_is_told_in_words() -> None:
    through = channel(Hook(url=f"http://127.0.0.1:{free_port()}/").contact())
    for act in (through.reach, lambda: through.send(event(NoticeKind.TEST))):
        with pytest.raises(TransientError, match="cannot be reached"):
            act()


@pytest.mark.parametrize("security", list(Security))
def test_people_get_every_kind_by_encrypted_mail(credentials: Credentials, security: Security) -> None:
    with running_postbox(credentials, security) as box:
        through = channel(box.contact())
        through.reach()
        assert box.users == ["osteo"]
        assert not box.messages
        for one in of_each_kind():
            answer = through.send(one)
            assert (answer.disposition, answer.reason) == (Disposition.ACCEPTED, "")
    assert all(box.encrypted)
    assert len(box.messages) == len(NoticeKind)
    assert [str(one["Message-ID"]) for one in box.messages[:1]] == [
        "<batch-of-study.set_aside@hospital.example>"
    ]
    result = box.messages[1]
    assert "SIMULATED MODEL" in result["Subject"]
    assert "2 studies have a result" in result["Subject"]
    assert "Osteoporosis: probability 62 %, above the decision threshold of 34 %" in result.get_content()
    assert all(one["Auto-Submitted"] == "auto-generated" for one in box.messages)


def test_mail_is_never_sent_in_the_clear_or_to_a_stranger(credentials: Credentials, tmp_path: Any) -> None:
    stranger = Authority(tmp_path / "elsewhere").certificate
    with running_postbox(credentials) as box:
        for settings in ({"tls": TlsSettings(ca=stranger)}, {"security": Security.TLS}):
            through = channel(box.contact(**settings))
            for act in (through.reach, lambda: through.send(event(NoticeKind.TEST))):  # noqa: B023 - called at once
                with pytest.raises(TransientError):
                    act()
        assert not box.messages
        assert not box.users


def test_a_wrong_password_is_told(credentials: Credentials) -> None:
    with running_postbox(credentials) as box:
        through = channel(box.contact(password="wrong"))  # noqa: S106 - of the test
        with pytest.raises(TransientError, match="does not accept user and password"):
            through.reach()


@pytest.mark.parametrize(
    ("reply", "disposition"), [("451 later", "retry"), ("554 spam", "retry a few times")]
)
def test_a_reply_decides_what_is_done(credentials: Credentials, reply: str, disposition: str) -> None:
    with running_postbox(credentials, reply=lambda _: reply) as box:
        answer = channel(box.contact()).send(event(NoticeKind.TEST))
    assert answer.disposition == disposition
    assert reply.split()[1] not in answer.reason


def test_one_wrong_address_does_not_keep_the_others_from_the_mail(credentials: Credentials) -> None:
    with running_postbox(credentials, unknown=frozenset({"gone@hospital.example"})) as box:
        both = box.contact(to=("team@hospital.example", "gone@hospital.example"))
        answer = channel(both).send(event(NoticeKind.TEST))
        nobody = channel(box.contact(to=("gone@hospital.example",))).send(event(NoticeKind.TEST))
    assert (answer.disposition, answer.reason) == (Disposition.ACCEPTED, "1 of 2 addresses are refused")
    assert nobody.disposition is Disposition.RETRY_A_FEW_TIMES
    assert len(box.messages) == 1


HOSTILE = "7\r\nReason: forged\r\nBcc: a@evil.example\x1b[2J\u202e\udcff"


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_no_word_from_outside_adds_a_line_or_a_header_to_a_mail(kind: NoticeKind) -> None:
    facts = {key: HOSTILE if isinstance(told, str) else told for key, told in FACTS[kind].items()}
    of = "1.2" if kind in OF_STUDIES else ""
    batch = NoticeBatch("id", (Notice("id", "c", kind, NOON, facts, of),))
    honest = event_of(
        NoticeBatch("id", (Notice("id", "c", kind, NOON, FACTS[kind], of),)), "N", identified("7")
    )
    contact = Contact(sender="a@hospital.example", to=("b@hospital.example",))
    made, expected = (message_of(one, contact) for one in (event_of(batch, "N", identified(HOSTILE)), honest))
    assert made.keys() == expected.keys()
    assert bytes(made)
    assert made.get_content().count("\n") == expected.get_content().count("\n")
    assert made.get_content().replace("\n", "").isprintable()


def identified(patient_id: str) -> Identify:
    return lambda study_uid: {"study_uid": study_uid, "patient_id": patient_id}


@pytest.mark.parametrize(("share", "told"), [(0.9999, "> 99 %"), (0.0001, "< 1 %")])
def test_no_mail_claims_certainty(share: float, told: str) -> None:
    facts = {**FACTS[NoticeKind.RESULT], "answers": [{**ANSWER, "probability": share}]}
    batch = NoticeBatch("id", (Notice("id", "c", NoticeKind.RESULT, NOON, facts, "1.2"),))
    assert f"probability {told}" in body(event_of(batch, "N"))


def test_the_content_of_an_event_is_json_that_anybody_reads() -> None:
    for one in of_each_kind():
        assert json.loads(json.dumps(one.cloud_event(), allow_nan=False)) == one.cloud_event()
