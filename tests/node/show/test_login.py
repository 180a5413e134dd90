"""Nobody sees a picture or gives an order who is not logged in, and every order is in the audit trail."""

import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from http.client import HTTPException
from io import StringIO
from ipaddress import ip_network
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from node.app import Node
from node.cli import application
from node.config import AuditSettings, Configuration, User, WebSettings, parse
from node.config.password import hash_of, is_right
from node.domain.delivery import DeliveryState
from node.domain.study import StudyState
from node.errors import ConfigurationError
from node.operate.doctor import Severity, web
from node.show.web.sessions import LONGEST
from tests.certificates import Authority
from tests.node.analyses import CLASSES, REFUSES, STOPS
from tests.node.nodes import (
    MovedClock,
    Pacs,
    quick,
    quick_node,
    send,
    slice_of,
    state_of,
)
from tests.node.show.browsers import Browser
from tests.patience import wait_until
from tests.peers import free_port

PASSWORD = "correct horse"  # noqa: S105 - of nobody
ANNA, EVE = User("anna", hash_of(PASSWORD)), User("eve", hash_of(PASSWORD[::-1]))
PICTURE = b"\x89PNG of a patient"
SESSION = "__Host-osteonode"


def with_users(directory: Path, pacs: Pacs, **settings: object) -> Configuration:
    values = {"port": free_port(), "users": (ANNA, EVE)} | settings
    return replace(
        quick(directory / "var", pacs.destination),
        web=WebSettings(**values),  # type: ignore[arg-type]
        audit=AuditSettings(file=directory / "trail.xml"),
    )


@pytest.fixture(scope="module")
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, pacs: Pacs, clock: MovedClock) -> Iterator[Node]:
    """Return a node with users, for tests that leave the studies of others alone."""
    configuration = with_users(tmp_path_factory.mktemp("users"), pacs)
    with quick_node(configuration, analyse="by_study", clock=clock) as node:
        yield node


@pytest.fixture
def stranger(shown: Node) -> Browser:
    return Browser(shown.configuration.web.port)


@pytest.fixture
def anna(shown: Node, clock: MovedClock) -> Browser:
    clock.move(minutes=2)  # whatever an earlier test did wrong is no longer waited for
    browser = Browser(shown.configuration.web.port)
    assert browser.log_in("anna", PASSWORD).goes_to == "/"
    return browser


@pytest.fixture
def delivered(shown: Node, study: str) -> str:
    """Return a study with results and a picture."""
    send(shown.port, slice_of(1, study=study))
    wait_until(lambda: state_of(shown, study) is StudyState.DELIVERED)
    folder = shown.instance_store.results / Path(shown.store.results(study)[0].name).parent
    (folder / "overlay_t1.png").write_bytes(PICTURE)
    return study


def trail(node: Node, kind: str) -> list[ET.Element]:
    """Return the audit messages of a kind of event."""
    file = node.configuration.audit.file
    assert file is not None
    lines = file.read_bytes().splitlines() if file.exists() else []
    found = [ET.fromstring(line) for line in lines]  # noqa: S314 - our own
    return [one for one in found if one.find(f"EventIdentification/EventID[@csd-code='{kind}']") is not None]


def is_in(node: Node, study: str, state: StudyState) -> bool:
    return state_of(node, study) is state


def who(message: ET.Element) -> tuple[str | None, str | None]:
    person = message.find("ActiveParticipant")
    assert person is not None
    return person.get("UserID"), person.get("NetworkAccessPointID")


def test_without_login_there_is_only_the_way_to_it(delivered: str, stranger: Browser) -> None:
    behind = (
        "/", "/find", "/models", f"/studies/{delivered}", f"/studies/{delivered}/pictures/overlay_t1.png",
        f"/studies/{delivered}/pictures/summary.png", f"/studies/{delivered}/confirm/purge",
    )  # fmt: skip
    for path in behind:
        page = stranger.get(path)
        assert page.goes_to.startswith("/login")
        assert not page.body
    login = stranger.get("/login").text
    assert "OSTEONODE" not in login
    assert delivered not in login


def test_what_programs_ask_for_has_no_login_and_no_study(delivered: str, stranger: Browser) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/style.css", "/icon.svg"):
        page = stranger.get(path)
        assert page.status == 200
        assert delivered not in page.text
        assert "PLANTED" not in page.text


def test_who_is_logged_in_sees_a_study_with_pictures_series_deliveries_and_steps(
    delivered: str, anna: Browser
) -> None:
    assert f'href="/studies/{delivered}"' in anna.get("/").text
    page = anna.get(f"/studies/{delivered}").text
    for words in (
        f"Study {delivered} is delivered", f"{delivered}.1", "not analysed: ", "neither its timing nor its",
        "Structured report", 'class="state d-sent"', "Its steps", "found ready", ">anna<",
    ):  # fmt: skip
        assert words in page
    assert "PLANTED" not in page
    assert page.count("<img ") == 1
    picture = anna.get(f"/studies/{delivered}/pictures/overlay_t1.png")
    assert (picture.status, picture.body, picture.headers["content-type"]) == (200, PICTURE, "image/png")


def test_who_saw_whose_picture_is_audited(
    delivered: str, anna: Browser, stranger: Browser, shown: Node
) -> None:
    path = f"/studies/{delivered}/pictures/overlay_t1.png"
    stranger.get(path)
    anna.get(f"/studies/{delivered}/pictures/overlay_t2.png")  # there is none
    assert anna.get(path).status == 200
    wait_until(lambda: bool(about(shown, delivered)))
    (message,) = about(shown, delivered)
    event = message.find("EventIdentification")
    assert event is not None
    assert (event.get("EventActionCode"), event.get("EventOutcomeIndicator")) == ("R", "0")
    assert who(message) == ("anna", "127.0.0.1")
    assert message.find("ParticipantObjectIdentification[@ParticipantObjectID='PLANTED-ID']") is not None


def test_no_trick_with_a_path_gets_a_file(delivered: str, anna: Browser, shown: Node) -> None:
    results = shown.instance_store.results
    (results / "summary.png").write_bytes(PICTURE)
    (results / Path(shown.store.results(delivered)[0].name).parent / "other.png").write_bytes(PICTURE)
    for path in (
        f"/studies/{delivered}/pictures/summary.png",
        f"/studies/{delivered}/pictures/overlay_t2.png",
        f"/studies/{delivered}/pictures/other.png",
        f"/studies/{delivered}/pictures/..%2fsummary.png",
        f"/studies/{delivered}/pictures/../../../summary.png",
        f"/studies/{delivered}/pictures/%2e%2e%2fsummary.png",
        f"/studies/..%2f{delivered}/pictures/overlay_t1.png",
        "/studies/../pictures/summary.png",
        "/studies/1.2.3.4/pictures/overlay_t1.png",
        "/studies/x",
        f"/studies/{delivered}/confirm/retry",
        f"/studies/{delivered}/confirm/delete",
        "/style.css/../config.toml",
    ):
        assert anna.get(path).status == 404, path


@pytest.mark.parametrize(
    "path", ["/", "/login", "/find", "/models", "/studies/1.2.3", "/nothing", "/healthz"]
)
def test_every_answer_forbids_scripts_frames_and_caches_and_sends_forms_to_itself_only(
    anna: Browser, stranger: Browser, path: str
) -> None:
    for browser in (anna, stranger):
        page = browser.get(path)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "form-action 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["cache-control"] == "no-store"
        assert "<script" not in page.text


def test_cookies_are_of_this_host_over_tls_and_of_no_script(stranger: Browser, clock: MovedClock) -> None:
    clock.move(minutes=2)
    for page, name in (
        (stranger.get("/login"), "__Host-osteonode-form"),
        (stranger.log_in("anna", PASSWORD), SESSION),
    ):
        cookie = page.cookies[name]
        assert cookie["secure"]
        assert cookie["httponly"]
        assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("strict", "/", "")


def orders(study: str) -> list[str]:
    return [f"/studies/{study}/orders/{order}" for order in ("retry", "resend", "set-aside", "purge")]


def untouched(node: Node, study: str) -> bool:
    steps = node.store.history(study)
    return state_of(node, study) is StudyState.DELIVERED and "retried" not in {one.event for one in steps}


def test_no_order_is_taken_without_a_session(shown: Node, delivered: str, stranger: Browser) -> None:
    for path in orders(delivered):
        form = {"token": "", "confirmed": "yes"}
        assert stranger.post(path, form).goes_to == "/login"
        stranger.cookies[SESSION] = "guessed"
        assert stranger.post(path, form).goes_to == "/login"
    assert stranger.post("/find", {"name": delivered}).goes_to == "/login"
    assert untouched(shown, delivered)
    assert not trail(shown, "110105")


def test_no_order_is_taken_without_the_token_of_its_session(
    shown: Node, delivered: str, anna: Browser, written: StringIO
) -> None:
    eve = Browser(anna.port)
    assert eve.log_in("eve", PASSWORD[::-1]).goes_to == "/"
    foreign = eve.get("/find").token
    own = anna.get("/find").token
    assert own
    assert foreign != own
    for path in [*orders(delivered), "/logout", "/find"]:
        for token in ({}, {"token": ""}, {"token": "guessed"}, {"token": foreign}):
            assert anna.post(path, {"confirmed": "yes", **token}).status == 403
        # Not even with the right one, if the browser says that another site sends it.
        for site in ("cross-site", "same-site", "none"):
            sent = {"confirmed": "yes", "token": own}
            assert anna.post(path, sent, Sec_Fetch_Site=site).status == 403
        assert anna.get(path).status in {200, 405}
    assert untouched(shown, delivered)
    assert "form_refused" in written.getvalue()
    assert anna.get("/").status == 200, "and the session goes on"


def test_a_login_from_elsewhere_is_not_taken(stranger: Browser) -> None:
    form = {"name": "anna", "password": PASSWORD}
    assert stranger.post("/login", form).status == 403
    assert stranger.post("/login", form | {"token": ""}).status == 403
    token = stranger.get("/login").token
    stranger.cookies.clear()
    assert stranger.post("/login", form | {"token": token}).status == 403
    assert SESSION not in stranger.cookies


def test_no_order_is_taken_from_a_session_that_has_ended(
    shown: Node, delivered: str, anna: Browser, clock: MovedClock
) -> None:
    token = anna.get("/find").token
    idle = timedelta(minutes=shown.configuration.web.session_minutes)
    clock.move(minutes=idle.total_seconds() / 60)
    for path in orders(delivered):
        assert anna.post(path, {"token": token, "confirmed": "yes"}).goes_to == "/login"
    assert anna.get(f"/studies/{delivered}").goes_to == f"/login?to=/studies/{delivered}"
    assert untouched(shown, delivered)


def test_a_page_that_renews_itself_does_not_keep_a_session(anna: Browser, clock: MovedClock) -> None:
    assert 'content="15;url=/?renewed"' in anna.get("/").text
    clock.move(minutes=20)
    assert anna.get("/?renewed").status == 200
    clock.move(minutes=20)
    assert anna.get("/?renewed").goes_to == "/login"
    assert timedelta(minutes=40) < LONGEST


def test_after_logging_out_the_cookie_is_worth_nothing(anna: Browser, shown: Node) -> None:
    before = dict(anna.cookies)
    assert anna.submit("/find", "/logout").goes_to == "/login"
    assert SESSION not in anna.cookies
    anna.cookies = before
    assert anna.get("/").goes_to == "/login"
    wait_until(lambda: [who(one)[0] for one in trail(shown, "110114")][-1:] == ["anna"])
    assert (
        trail(shown, "110114")[-1].find("EventIdentification/EventTypeCode[@csd-code='110123']") is not None
    )


def test_guessing_is_slowed_down_even_for_the_right_password_and_audited(
    shown: Node, stranger: Browser, clock: MovedClock, written: StringIO
) -> None:
    clock.move(hours=2)
    with clock.standing_still():
        for number in range(5):
            page = stranger.log_in("anna", f"guess {number}")
            assert page.status == 403
            assert "Name or password is wrong" in page.text
        answers = [stranger.log_in("anna", "guess").status for _ in range(12)]
        assert answers.count(429) >= 8
        page = stranger.log_in("anna", PASSWORD)
        assert page.status == 429
        assert int(page.headers["retry-after"]) >= 1
        assert "Too many attempts" in page.text
        assert stranger.log_in("eve", PASSWORD[::-1]).status == 429, "whoever is tried from there"
    clock.move(minutes=1)
    assert stranger.log_in("anna", PASSWORD).goes_to == "/"
    failures = [one for one in trail(shown, "110114") if 'OutcomeIndicator="4"' in ET.tostring(one).decode()]
    assert len(failures) >= 5
    assert who(failures[-1]) == ("anna", "127.0.0.1")
    assert "guess" not in written.getvalue()
    assert "guess" not in "".join(ET.tostring(one).decode() for one in failures)


def test_a_name_that_nobody_has_is_answered_as_a_wrong_password(stranger: Browser, clock: MovedClock) -> None:
    clock.move(hours=2)
    pages = [stranger.log_in(name, "guess") for name in ("anna", "nobody", "", "<b>&\"'")]
    assert {page.status for page in pages} == {403}
    assert len({page.text.replace(page.token, "") for page in pages}) == 1


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "/logout", ""]
)
def test_the_login_leads_to_a_page_of_this_node_only(
    stranger: Browser, clock: MovedClock, target: str
) -> None:
    clock.move(minutes=2)
    token = stranger.get("/login").token
    form = {"token": token, "name": "anna", "password": PASSWORD, "to": target}
    assert stranger.post("/login", form).goes_to == "/"
    stranger.cookies.clear()
    form = {"token": stranger.get("/login").token, "name": "anna", "password": PASSWORD, "to": "/studies/1.2"}
    assert stranger.post("/login", form).goes_to == "/studies/1.2"


def test_what_is_no_small_form_is_not_read(anna: Browser) -> None:
    token = anna.get("/find").token
    assert anna.post("/find", {"token": token, "name": "x" * 9000}).status == 413
    assert anna.post("/find", {"token": token} | {str(number): "" for number in range(20)}).status == 400
    assert anna.post("/find", {"token": token, "name": ""}).status == 200


def test_a_study_is_found_by_its_numbers_which_get_into_no_address_and_no_page(
    shown: Node, anna: Browser, study: str
) -> None:
    image = slice_of(1, study=study, patient_id="PLANTED-8")
    image.AccessionNumber = "PLANTED-A9"
    send(shown.port, image, slice_of(1, study=f"{study}.7", patient_id="PLANTED-8"))
    wait_until(lambda: state_of(shown, study) is StudyState.DELIVERED)
    assert anna.submit("/find", "/find", name="PLANTED-A9").goes_to == f"/studies/{study}"
    both = anna.submit("/find", "/find", name="PLANTED-8")
    assert (both.status, both.goes_to) == (200, "")
    assert "2 studies match" in both.text
    assert f'href="/studies/{study}"' in both.text
    assert "PLANTED" not in both.text
    other = slice_of(2, study=f"{study}.9", patient_id="PLANTED-Ü")
    other.SpecificCharacterSet, other.PatientName = "ISO_IR 100", "PLANTED Müller^Jörg"
    send(shown.port, other)
    for name in ("PLANTED-Ü", "planted müller, jörg"):
        assert anna.submit("/find", "/find", name=name).goes_to == f"/studies/{study}.9"
    none = anna.submit("/find", "/find", name="PLANTED-0")
    assert "No study here" in none.text
    assert "PLANTED" not in none.text


def test_orders_are_carried_out_told_once_and_audited(shown: Node, delivered: str, anna: Browser) -> None:
    path = f"/studies/{delivered}"
    assert anna.submit(path, f"{path}/orders/resend", to="pacs").goes_to == path
    assert "Its results are in the outbox again, for pacs." in anna.get(path).text
    assert "in the outbox again, for" not in anna.get(path).text
    wait_until(lambda: state_of(shown, delivered) is StudyState.DELIVERED)
    anna.submit(path, f"{path}/orders/retry")
    assert "It will be examined and analysed again." in anna.get(path).text
    wait_until(lambda: state_of(shown, delivered) is StudyState.DELIVERED)
    events = [one.event.value for one in shown.store.history(delivered)]
    assert "resent" in events
    assert "retried" in events
    anna.submit(path, f"{path}/orders/resend", to="nowhere")
    assert "Not done: no destination is called nowhere" in anna.get(path).text
    wait_until(lambda: len(about(shown, delivered)) == 3)
    first, second, third = about(shown, delivered)
    for message, order, outcome in ((first, "RESEND", "0"), (second, "RETRY", "0"), (third, "RESEND", "4")):
        assert who(message) == ("anna", "127.0.0.1")
        event = message.find("EventIdentification")
        assert event is not None
        assert (event.get("EventActionCode"), event.get("EventOutcomeIndicator")) == ("U", outcome)
        assert event.find(f"EventTypeCode[@csd-code='{order}'][@codeSystemName='99OSTEONODE']") is not None
        assert message.find("ParticipantObjectIdentification[@ParticipantObjectID='PLANTED-ID']") is not None


def about(node: Node, study: str) -> list[ET.Element]:
    """Return the audit messages of what people saw of a study and ordered for it."""
    named = f"ParticipantObjectIdentification[@ParticipantObjectID='{study}']"
    return [one for kind in ("110103", "110105") for one in trail(node, kind) if one.find(named) is not None]


def test_a_purge_is_confirmed_removes_and_is_audited_with_the_patient(
    shown: Node, delivered: str, anna: Browser
) -> None:
    path = f"/studies/{delivered}"
    images, results = shown.store.instances(delivered), shown.store.results(delivered)
    files = [shown.instance_store.path(image) for image in images]
    files += [shown.instance_store.results / one.name for one in results]
    assert anna.submit(path, f"{path}/orders/purge").goes_to == f"{path}/confirm/purge"
    assert all(file.exists() for file in files)
    assert "Purge this study?" in anna.get(f"{path}/confirm/purge").text
    assert anna.submit(f"{path}/confirm/purge", f"{path}/orders/purge", confirmed="yes").goes_to == path
    assert not any(file.exists() for file in files)
    page = anna.get(path).text
    assert "Its images, results and scores were removed." in page
    assert "<img" not in page
    assert "orders/" not in page
    wait_until(lambda: len(about(shown, delivered)) == 1)
    (message,) = about(shown, delivered)
    event = message.find("EventIdentification")
    assert event is not None
    assert event.get("EventActionCode") == "D"
    assert who(message) == ("anna", "127.0.0.1")
    assert message.find("ParticipantObjectIdentification[@ParticipantObjectID='PLANTED-ID']") is not None
    anna.submit("/find", f"{path}/orders/purge", confirmed="yes")
    assert "Not done: only a study that has ended" in anna.get(path).text


def test_a_study_that_stopped_or_was_refused_can_be_purged_and_one_in_work_cannot(
    shown: Node, anna: Browser, study: str
) -> None:
    for ending, state in ((STOPS, StudyState.FAILED), (REFUSES, StudyState.REFUSED)):
        uid = f"{study}.{ending}"
        send(shown.port, slice_of(1, study=uid))
        wait_until(partial(is_in, shown, uid, state))
        page = anna.get(f"/studies/{uid}").text
        assert f"/studies/{uid}/confirm/purge" in page
        assert f"/studies/{uid}/orders/retry" in page
        assert "orders/resend" not in page
    anna.submit(f"/studies/{uid}", f"/studies/{uid}/orders/set-aside", confirmed="yes")
    assert "Not done: the study is refused; there is nothing to set aside" in anna.get("/").text


def test_what_is_set_aside_is_not_sent_until_it_is_retried(tmp_path: Path, study: str) -> None:
    away = Pacs(port=free_port())
    configuration = with_users(tmp_path, away)
    with quick_node(configuration) as node:
        anna = Browser(configuration.web.port)
        anna.log_in("anna", PASSWORD)
        send(node.port, slice_of(1, study=study))
        wait_until(lambda: state_of(node, study) is StudyState.DELIVERING)
        path = f"/studies/{study}"
        assert f"{path}/confirm/set-aside" in anna.get(path).text
        assert anna.submit(path, f"{path}/orders/set-aside").goes_to == f"{path}/confirm/set-aside"
        assert state_of(node, study) is StudyState.DELIVERING
        anna.submit(f"{path}/confirm/set-aside", f"{path}/orders/set-aside", confirmed="yes")
        assert "It is set aside." in anna.get(path).text
        assert state_of(node, study) is StudyState.FAILED
        assert {one.state for one in node.store.deliveries(study)} == {DeliveryState.FAILED}
        assert "an operator set it aside" in anna.get(path).text
        away.start()
        try:
            other = f"{study}.1"
            send(node.port, slice_of(1, study=other))
            wait_until(lambda: state_of(node, other) is StudyState.DELIVERED)
            assert len(away.received) == len(CLASSES), "of the other study only"
            anna.submit(path, f"{path}/orders/retry")
            wait_until(lambda: state_of(node, study) is StudyState.DELIVERED)
            assert len(away.received) == 2 * len(CLASSES)
        finally:
            away.stop()


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory, pacs: Pacs) -> Iterator[Node]:
    """Return a node that believes a header of a proxy at 127.0.0.1, and has no users of its own."""
    trusted = {"user_header": "X-Remote-User", "proxies": (ip_network("127.0.0.1"),), "users": ()}
    configuration = with_users(tmp_path_factory.mktemp("proxied"), pacs, **trusted)
    with quick_node(configuration) as node:
        yield node


def test_a_user_whom_the_proxy_names_is_logged_in_and_gives_orders(proxied: Node, study: str) -> None:
    send(proxied.port, slice_of(1, study=study))
    wait_until(lambda: state_of(proxied, study) is StudyState.DELIVERED)
    browser = Browser(proxied.configuration.web.port, headers={"X-Remote-User": "Dr. Berta <b>"})
    path = f"/studies/{study}"
    page = browser.get(path)
    assert page.status == 200
    assert "Dr. Berta &lt;b&gt;" in page.text
    assert "Log out" not in page.text
    assert browser.post(f"{path}/orders/retry", {}).status == 403
    assert browser.submit(path, f"{path}/orders/retry").goes_to == path
    wait_until(lambda: len(about(proxied, study)) == 1)
    assert who(about(proxied, study)[0]) == ("Dr. Berta <b>", "127.0.0.1")


def test_a_session_by_the_proxy_is_of_the_user_whom_it_names(proxied: Node) -> None:
    browser = Browser(proxied.configuration.web.port, headers={"X-Remote-User": "berta"})
    token = browser.get("/find").token
    cookies = dict(browser.cookies)
    browser.headers = {}
    page = browser.get("/")
    assert page.goes_to == "/login"
    assert "<form" not in browser.get("/login").text
    browser.cookies, browser.headers = cookies, {"X-Remote-User": "carl"}
    assert browser.post("/find", {"token": token, "name": "1"}).status == 403
    assert ">carl<" in browser.get("/").text
    for name in ("", " ", "x" * 200, "a\tb"):
        assert Browser(browser.port, headers={"X-Remote-User": name}).get("/").goes_to == "/login"


def test_the_header_is_ignored_from_anywhere_else(tmp_path: Path, pacs: Pacs) -> None:
    trusted = {"user_header": "X-Remote-User", "proxies": (ip_network("10.1.2.3"),)}
    configuration = with_users(tmp_path, pacs, **trusted)
    with quick_node(configuration):
        forged = Browser(configuration.web.port, headers={"X-Remote-User": "anna"})
        assert forged.get("/").goes_to == "/login"
        assert forged.log_in("anna", PASSWORD).goes_to == "/", "and a password still opens"


def test_https_with_the_certificate_of_the_node_which_may_be_renewed(tmp_path: Path, pacs: Pacs) -> None:
    authority = Authority(tmp_path / "ca")
    ours = authority.issue("node")
    base = with_users(tmp_path, pacs, https=True)
    configuration = replace(base, node=replace(base.node, tls=ours.settings))
    trusting = ssl.create_default_context(cafile=str(authority.certificate))
    with quick_node(configuration):
        anna = Browser(configuration.web.port, trusting)
        assert anna.log_in("anna", PASSWORD).goes_to == "/"
        assert anna.get("/").status == 200
        with pytest.raises((OSError, HTTPException)):
            Browser(configuration.web.port).get("/healthz")
        assert [one.severity for one in web(configuration)] == [Severity.GOOD]
        others = Authority(tmp_path / "other").issue("node")
        for new, old in ((others.certificate, ours.certificate), (others.key, ours.key)):
            old.write_bytes(new.read_bytes())
        with pytest.raises(ssl.SSLCertVerificationError):
            Browser(configuration.web.port, trusting).get("/healthz")
        renewed = ssl.create_default_context(cafile=str(others.ca))
        assert Browser(configuration.web.port, renewed).get("/healthz").status == 200


TLS = '[node.tls]\ncertificate = "c"\nkey = "k"\nca = "a"\n'
HASH = ANNA.password_hash


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('users = ["anna:secret"]', "web.users must hold lines as `osteonode password NAME` prints them"),
        (f'users = ["an na:{HASH}"]', "web.users must hold lines as"),
        (f'users = ["anna:{HASH}", "anna:{HASH}"]', "web.users must name each user once"),
        (f'host = "10.1.2.3"\nusers = ["anna:{HASH}"]', "web.https must be true where host is not loopback"),
        ("https = true", "web.https needs certificate, key and ca in [node.tls]"),
        ('user_header = "X-User"', "web.proxies must name the addresses of the reverse proxy"),
        ('user_header = "X User:"\nproxies = ["10.1.2.3"]', "web.user_header must be the name of an HTTP"),
        ('proxies = ["proxy.example"]', "web.proxies must hold addresses or networks"),
        ("session_minutes = 0", "web.session_minutes must be between 1 and 720"),
    ],
)
def test_what_would_let_in_the_wrong_ones_is_a_fault(text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(f"[web]\n{text}\n")
    (told,) = caught.value.faults
    assert fault in told
    assert "secret" not in told


def test_users_and_https_open_the_page_to_the_network() -> None:
    text = f'{TLS}[web]\nhost = "10.1.2.3"\nhttps = true\nusers = ["anna:{HASH}"]\nproxies = ["10.0.0.0/8"]\n'
    settings = parse(text).web
    assert settings.users == (ANNA,)
    assert settings.proxies == (ip_network("10.0.0.0/8"),)
    assert settings.has_login


def test_doctor_wants_an_audit_trail_where_orders_are_given(shown: Node) -> None:
    (fine,) = web(shown.configuration)
    assert fine.severity is Severity.GOOD
    _, warned = web(replace(shown.configuration, audit=AuditSettings()))
    assert warned.severity is Severity.WARNING
    assert "audit" in warned.message


def test_the_command_asks_for_a_password_and_prints_the_line() -> None:
    told = CliRunner().invoke(application, ["password", "anna"], input=f"{PASSWORD}\n{PASSWORD}\n")
    assert told.exit_code == 0
    assert PASSWORD not in told.output
    (user,) = parse(f"[web]\nusers = [{told.stdout.strip()}]\n").web.users
    assert user.name == "anna"
    assert is_right(PASSWORD, user.password_hash)
    assert CliRunner().invoke(application, ["password", "anna"], input="short\nshort\n").exit_code == 2
    assert CliRunner().invoke(application, ["password", "an:na"]).exit_code == 2
