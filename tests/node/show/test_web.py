"""The status page, health checks and metrics of a running node, over HTTP."""

import http.client
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from node.app import Node
from node.config import (
    ArchiveSettings,
    AssemblySettings,
    Configuration,
    Method,
    ModelSettings,
    WebSettings,
    parse,
)
from node.config.tables.models import DEMONSTRATION_MODEL
from node.domain.records import QuarantineEntry
from node.domain.status import Condition, StoreFigures
from node.domain.study import StudyState
from node.domain.wish import Batch, NewWish
from node.errors import ConfigurationError, PermanentError, TransientError
from node.operate.doctor import Severity, database, web
from node.operate.purge import purge_studies
from node.show.why import explain
from tests.node.analyses import CLASSES, REFUSES, STOPS
from tests.node.nodes import (
    MovedClock,
    Pacs,
    open_association,
    quick,
    quick_node,
    running_pacs,
    send,
    slice_of,
    state_of,
)
from tests.node.store.suite.studies import START
from tests.patience import PATIENCE_S, wait_until
from tests.peers import free_port

MARKUP = "<b>&\"'"
PAGES = ("/", "/models", "/healthz", "/readyz", "/metrics", "/style.css", "/icon.svg")


@dataclass(frozen=True, slots=True)
class Reply:
    """A response."""

    status: int
    headers: dict[str, str]
    text: str


def ask(port: int, path: str, *, method: str = "GET", host: str | None = None) -> Reply:
    """Send a request, with any Host header."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
        connection.request(method, path, headers={"Host": host} if host is not None else {})
        reply = connection.getresponse()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        return Reply(reply.status, headers, reply.read().decode())


def metrics(port: int) -> dict[str, float]:
    """Return the value of every sample by its name and labels."""
    return {
        "".join([sample.name, *(f" {name}={value}" for name, value in sorted(sample.labels.items()))]): (
            sample.value
        )
        for family in text_string_to_metric_families(ask(port, "/metrics").text)
        for sample in family.samples
    }


def with_page(configuration: Configuration) -> Configuration:
    return replace(configuration, web=WebSettings(port=free_port()))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, pacs: Pacs) -> Iterator[Node]:
    """Return a node with a page, for tests that do not change the node."""
    configuration = quick(tmp_path_factory.mktemp("shown"), pacs.destination)
    with quick_node(with_page(configuration), analyse="by_study") as node:
        yield node


def web_port(node: Node) -> int:
    return node.configuration.web.port


def test_the_page_tells_of_a_study_what_why_tells(shown: Node, study: str) -> None:
    refused = f"{study}.{REFUSES}"
    send(shown.port, slice_of(1, study=study), slice_of(1, study=refused))
    wait_until(lambda: state_of(shown, study) is StudyState.DELIVERED)
    wait_until(lambda: state_of(shown, refused) is StudyState.REFUSED)
    time.sleep(1.1)  # the status that is shown may be one second old
    page = ask(web_port(shown), "/")
    assert page.status == 200
    assert f'href="/studies/{refused}"' in page.text
    assert "only two usable vertebrae; levels are uncertain" in page.text
    assert "The node is well." in page.text
    assert "trained on simulated patients" in page.text
    why = ask(web_port(shown), f"/studies/{refused}")
    assert explain(shown.store, refused) in why.text
    assert "found ready" in why.text


def test_an_archive_that_is_down_is_told_with_what_waits_for_it(tmp_path: Path) -> None:
    down = ArchiveSettings(name="old-pacs", method=Method.GET, port=1)
    with quick_node(with_page(replace(quick(tmp_path), archives=(down,)))) as node:
        batch = Batch("b", "old-pacs", "all", START)
        node.store.put_wishes(batch, [NewWish("1.2.3"), NewWish("1.2.4")], START, renew=True)
        wait_until(lambda: "2 studies are still to be fetched" in ask(web_port(node), "/").text)
        wait_until(
            lambda: (
                metrics(web_port(node)).get("osteonode_fetched_studies archive=old-pacs state=waiting", 0)
                >= 1
            )
        )
        wait_until(lambda: any("kind=archive" in name for name in metrics(web_port(node))))
        page = ask(web_port(node), "/").text
        assert "nothing is lost" in page
        assert "ARCHIVE at 127.0.0.1" in page
        told = explain(node.store, "1.2.3")
        assert told.startswith("Study 1.2.3 is to be fetched from old-pacs")


def test_what_never_came_and_what_is_no_uid_are_not_found(shown: Node) -> None:
    for path in (
        "/studies/1.2.3.4",
        "/studies/..%2f..%2fetc",
        "/studies/x",
        "/nothing",
        "/style.css/../config.toml",
    ):
        assert ask(web_port(shown), path).status == 404


@pytest.mark.parametrize("path", [*PAGES, "/nothing"])
def test_every_answer_forbids_scripts_frames_forms_and_caches(shown: Node, path: str) -> None:
    reply = ask(web_port(shown), path)
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-store"
    assert "server" not in reply.headers


@pytest.mark.parametrize("path", ["/", "/models", "/studies/1.2.3"])
def test_no_page_names_a_script_a_form_or_anything_from_elsewhere(shown: Node, path: str) -> None:
    send(shown.port, slice_of(1, study="1.2.3"))
    text = ask(web_port(shown), path).text
    assert not re.search(r"<script|<form|<iframe|\son\w+=|style=|javascript:", text)
    assert all(link.startswith("/") for link in re.findall(r"(?:href|src)=\"([^\"]*)\"", text))
    assert "url(" not in ask(web_port(shown), "/style.css").text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_ordered(shown: Node, method: str) -> None:
    for path in (*PAGES, "/studies/1.2.3"):
        assert ask(web_port(shown), path, method=method).status == 405


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "evil.example:8080", "10.1.2.3"]
)
def test_whoever_was_sent_here_under_another_name_gets_nothing(shown: Node, host: str) -> None:
    for path in PAGES:
        reply = ask(web_port(shown), path, host=host)
        assert reply.status == 400
        assert "osteonode" not in reply.text.lower()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "[::1]:8080"])
def test_names_of_loopback_are_answered(shown: Node, host: str) -> None:
    assert ask(web_port(shown), "/healthz", host=host).status == 200


def test_a_name_of_the_sites_own_is_answered(tmp_path: Path) -> None:
    base = with_page(quick(tmp_path))
    with quick_node(replace(base, web=replace(base.web, names=("osteonode.example",)))) as node:
        assert ask(web_port(node), "/", host="osteonode.example").status == 200


def test_what_strangers_write_is_text_and_not_markup(shown: Node, study: str) -> None:
    send(shown.port, slice_of(1, study=study), calling="<b>&\"'")
    entry = QuarantineEntry("name", "", MARKUP, MARKUP, MARKUP, shown.store.study(study).changed_at)  # type: ignore[union-attr]
    shown.store.record_quarantine(entry)
    time.sleep(1.1)
    page = ask(web_port(shown), "/").text
    assert page.count("&lt;b&gt;&amp;&#34;&#39;") == 3
    assert "<b>&" not in page
    assert metrics(web_port(shown))[f"osteonode_instances_quarantined_total reason={MARKUP}"] == 1


def test_it_is_ready_until_the_disk_is_full(tmp_path: Path) -> None:
    full = with_page(quick(tmp_path))
    with quick_node(replace(full, storage=replace(full.storage, watermark_mb=2**30))) as node:
        assert send(node.port, slice_of(1)) == [0xA700]
        reply = ask(web_port(node), "/readyz")
        assert reply.status == 503
        assert reply.text.startswith("Disk: ")
        assert "less than the watermark" in reply.text
        assert "No images can be received." in ask(web_port(node), "/").text
        assert ask(web_port(node), "/healthz").status == 200
        found = metrics(web_port(node))
        assert found["osteonode_ready"] == 0
        assert found["osteonode_condition"] == 2
        assert found["osteonode_instances_answered_total answer=out of resources"] == 1


def test_a_database_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with quick_node(with_page(quick(tmp_path))) as node:

        def silent(*_: object) -> None:
            raise TransientError("it does not answer (OperationalError)")

        for name in ("figures", "study"):
            monkeypatch.setattr(node.store, name, silent)
        reply = ask(web_port(node), "/readyz")
        assert (reply.status, reply.text) == (503, "Database: It does not answer (OperationalError).\n")
        assert ask(web_port(node), "/studies/1.2.3").status == 503
        assert ask(web_port(node), "/").status == 200
        monkeypatch.undo()


def test_a_study_that_was_set_aside_is_pointed_at_until_an_operator_acts(tmp_path: Path) -> None:
    clock = MovedClock()
    configuration = with_page(quick(tmp_path))
    with quick_node(configuration, analyse="by_study", clock=clock) as node:

        def shows(words: str) -> bool:
            return words in ask(web_port(node), "/").text

        lost = [f"1.2.826.0.{number}.{STOPS}" for number in range(2)]
        for study in lost:
            send(node.port, slice_of(1, study=study))
        wait_until(lambda: [state_of(node, study) for study in lost] == [StudyState.FAILED] * 2)
        wait_until(lambda: shows("2 studies wait for a person"))
        assert shows("The node works, and something needs a look.")
        assert all(shows(f'href="/studies/{study}"') for study in lost)
        # The node still receives images, so a supervisor must not take it out of service.
        assert ask(web_port(node), "/readyz").status == 200
        assert metrics(web_port(node))["osteonode_studies_set_aside"] == 2
        assert metrics(web_port(node))["osteonode_condition"] == Condition.CONCERN
        (finding,) = database(configuration)
        assert finding.severity is Severity.WARNING
        assert lost[0] in finding.message

        purge_studies(node.store, configuration, clock.now(), timedelta(), failed=True)
        wait_until(lambda: shows("The node is well."))
        (finding,) = database(configuration)
        assert finding.severity is Severity.GOOD

        send(node.port, slice_of(2, study=lost[0]))
        wait_until(lambda: shows("1 study has waited for a person"))
        clock.move(days=6)
        wait_until(lambda: shows("1 study has waited for a person for 6 d"))
        clock.move(days=1.1)
        wait_until(lambda: shows("No study waits for a person."))


def test_a_pacs_that_is_down_is_told_and_what_waits_for_it(tmp_path: Path) -> None:
    dead = Pacs(port=free_port()).destination
    with quick_node(with_page(quick(tmp_path, dead))) as node:
        send(node.port, slice_of(1))
        wait_until(lambda: metrics(web_port(node))["osteonode_connection_failures destination=pacs"] > 0)
        found = metrics(web_port(node))
        open_now = [
            found[f"osteonode_deliveries destination=pacs state={state}"] for state in ("waiting", "sending")
        ]
        assert sum(open_now) == len(CLASSES)
        assert found["osteonode_studies state=delivering"] == 1
        page = ask(web_port(node), "/").text
        assert "needs a look" in page
        assert f"{len(CLASSES)} objects wait" in page
        assert ask(web_port(node), "/readyz").status == 200, "images are received all the same"


def test_what_the_store_counts_goes_on_after_a_restart(tmp_path: Path) -> None:
    with running_pacs() as pacs:
        configuration = with_page(quick(tmp_path, pacs.destination))
        with quick_node(configuration) as node:
            send(node.port, slice_of(1))
            altered = slice_of(1)
            altered.Rows = 9
            send(node.port, altered)
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
            time.sleep(1.1)
            before = metrics(web_port(node))
        with quick_node(configuration) as node:
            after = metrics(web_port(node))
    same = (
        "osteonode_studies",
        "osteonode_deliveries",
        "osteonode_instances_stored",
        "osteonode_instances_quar",
    )
    kept = {name: value for name, value in after.items() if name.startswith(same)}
    assert kept == {name: value for name, value in before.items() if name.startswith(same)}
    assert kept["osteonode_deliveries destination=pacs state=sent"] == len(CLASSES)
    assert sum(value for name, value in kept.items() if "quarantined_total" in name) == 1
    assert before["osteonode_instances_answered_total answer=stored"] == 1
    assert before["osteonode_instances_answered_total answer=other bytes under a known UID"] == 1
    assert before["osteonode_analysis_seconds_count ending=reported"] == 1


def test_the_build_is_named_with_its_models(shown: Node) -> None:
    (info,) = [name for name in metrics(web_port(shown)) if name.startswith("osteonode_build_info")]
    assert "model=OsteoNode demonstration model_version=1 segmenter=embedded segmenter_version=0." in info


def test_a_node_without_a_model_says_so(tmp_path: Path) -> None:
    base = replace(with_page(quick(tmp_path)), models=ModelSettings(None))
    with quick_node(base):
        page = ask(base.web.port, "/").text
        (info,) = [name for name in metrics(base.web.port) if name.startswith("osteonode_build_info")]
    assert "No model is configured: results are measurements and outlines only." in page
    assert "simulated" not in page
    assert "model=none model_version= " in info


def test_a_model_that_is_damaged_while_the_node_runs_is_a_fault_on_the_page(tmp_path: Path) -> None:
    shutil.copytree(DEMONSTRATION_MODEL, tmp_path / "model")
    base = replace(with_page(quick(tmp_path / "var")), models=ModelSettings(tmp_path / "model"))
    with quick_node(base):
        assert "trained on simulated patients" in ask(base.web.port, "/").text
        (tmp_path / "model" / "card.md").write_text("another")
        told = "The model bundle model is damaged: wrong checksum of card.md: every study is set aside"
        wait_until(lambda: told in ask(base.web.port, "/").text)
    with pytest.raises(PermanentError, match=r"\[models\] bundle: .*wrong checksum of card.md"):
        quick_node(base)


def test_a_port_in_use_is_told_and_nothing_is_left_running(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        base = replace(quick(tmp_path), web=WebSettings(port=taken.getsockname()[1]))
        with pytest.raises(PermanentError, match=r"status page cannot listen .*\[web\] port"):
            quick_node(base).start()
    with quick_node(base):
        assert ask(base.web.port, "/healthz").status == 200


def test_doctor_tells_a_page_of_ours_from_another_programs(shown: Node) -> None:
    (there,) = web(shown.configuration)
    assert (there.severity, there.message) == (Severity.GOOD, "a node shows its page there already")
    (fine,) = web(replace(shown.configuration, web=WebSettings(port=free_port())))
    assert (fine.severity, fine.message) == (Severity.GOOD, "the address is free to listen on")
    stranger = replace(shown.configuration, web=WebSettings(port=shown.port))
    (fault,) = web(stranger)
    assert fault.severity is Severity.FAULT
    assert "change [web] port" in fault.remedy
    everybody = WebSettings("0.0.0.0", free_port(), ("n",), open_without_login=True)  # noqa: S104 - only judged
    assert [one.severity for one in web(replace(shown.configuration, web=everybody))] == [
        Severity.GOOD,
        Severity.WARNING,
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('host = "10.1.2.3"', "config.toml:2: web.host is not loopback, and the page has no login"),
        ('host = "0.0.0.0"\nopen_without_login = true', "config.toml:1: web.names must say by which names"),
        ("port = 70000", "config.toml:2: web.port must be between 0 and 65535"),
        ("enabled = true", "config.toml:2: web.enabled is unknown"),
    ],
)
def test_a_page_for_everybody_is_opened_in_so_many_words_only(text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(f"[web]\n{text}\n")
    assert caught.value.faults[0].startswith(fault)


def test_a_page_for_the_network_can_be_configured() -> None:
    text = '[web]\nhost = "10.1.2.3"\nnames = ["osteonode.example"]\nopen_without_login = true\n'
    assert parse(text).web == WebSettings("10.1.2.3", 8080, ("osteonode.example",), open_without_login=True)
    assert parse('[web]\nhost = "10.1.2.3"\nport = 0\n').web.port == 0


def test_the_page_ends_with_the_node(tmp_path: Path) -> None:
    configuration = with_page(quick(tmp_path))
    before = set(threading.enumerate())
    with quick_node(configuration):
        # An idle connection does not delay the stop.
        idle = socket.create_connection(("127.0.0.1", configuration.web.port))
    idle.close()
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "status-page"]
    with pytest.raises(ConnectionRefusedError):
        ask(configuration.web.port, "/")


def visit(node: Node, count: int) -> list[socket.socket]:
    """Open connections that send no request."""
    visitors = [socket.create_connection(("127.0.0.1", web_port(node))) for _ in range(count)]
    for visitor in visitors:
        visitor.settimeout(PATIENCE_S)
    return visitors


def test_silent_visitors_do_not_stay(shown: Node) -> None:
    for visitor in visit(shown, 40):
        with closing(visitor), suppress(ConnectionResetError):
            assert visitor.recv(1) == b""


def test_more_visitors_than_a_few_are_turned_away(shown: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.show.web.server._SILENCE_S", 600)
    visitors = visit(shown, 100)
    try:
        with suppress(ConnectionResetError):
            assert visitors[-1].recv(1) == b""
        visitors[0].setblocking(False)
        with pytest.raises(BlockingIOError):
            visitors[0].recv(1)
    finally:
        for visitor in visitors:
            visitor.close()
    wait_until(lambda: is_answered(shown))


def is_answered(node: Node) -> bool:
    try:
        return ask(web_port(node), "/healthz").status == 200
    except OSError:
        return False


def test_a_database_that_hangs_holds_up_nobody_who_needs_none(
    shown: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answers = threading.Event(), threading.Event()
    figures = shown.store.figures

    def slow(studies: int, latest: int, since: datetime) -> StoreFigures:
        asked.set()
        answers.wait(PATIENCE_S)
        return figures(studies, latest, since)

    monkeypatch.setattr(shown.store, "figures", slow)
    time.sleep(1.1)
    replies: list[Reply] = []
    viewers = [threading.Thread(target=lambda: replies.append(ask(web_port(shown), "/"))) for _ in range(50)]
    for viewer in viewers:
        viewer.start()
    try:
        assert asked.wait(PATIENCE_S)
        time.sleep(3)  # until all of them wait
        assert ask(web_port(shown), "/healthz").status == 200
        assert not replies
    finally:
        answers.set()
        for viewer in viewers:
            viewer.join()
    assert [reply.status for reply in replies] == [200] * 50


def test_a_fault_in_a_page_is_told_by_its_kind_only(
    shown: Node, written: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("PLANTED^NAME")

    monkeypatch.setattr("node.show.node_status.judge_disk", broken)
    time.sleep(1.1)
    reply = ask(web_port(shown), "/")
    assert reply.status == 500
    wait_until(lambda: "page_failed" in written.getvalue())
    assert "ValueError" in written.getvalue()
    assert "PLANTED" not in reply.text + written.getvalue()
    assert "default-src 'none'" in reply.headers["content-security-policy"]


def test_images_come_in_while_many_look_at_the_page(tmp_path: Path) -> None:
    patient = AssemblySettings(quiet_s=60.0)
    with quick_node(with_page(quick(tmp_path, assembly=patient))) as node:
        asked = [0]
        done = threading.Event()

        def look() -> None:
            while not done.is_set():
                asked[0] += ask(web_port(node), "/").status == 200

        viewers = [threading.Thread(target=look) for _ in range(8)]
        images = [slice_of(number) for number in range(100)]
        association = open_association(node.port, *images)
        for viewer in viewers:
            viewer.start()
        try:
            assert {association.send_c_store(image).Status for image in images} == {0}
            wait_until(lambda: asked[0] > 8)
        finally:
            done.set()
            association.release()
            for viewer in viewers:
                viewer.join()
        assert len(node.store.instances(images[0].StudyInstanceUID)) == len(images)
