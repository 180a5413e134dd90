"""A whole node tells its contacts; it names no patient unless it is told to, and none is waited for."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from analysis.domain.target import Target
from node.app import Node
from node.cli import application
from node.config import Configuration, Contact, Destination, TlsSettings, WebSettings
from node.domain.notice import AT_THRESHOLD, Answer, Topic, study_key
from node.domain.results import Lineage, Outcome
from node.domain.study import StudyState
from node.errors import ConfigurationError
from node.operate.doctor import Severity, contacts
from node.operate.find import find_studies
from node.show.why import explain
from node.store import open_notices
from tests.node import analyses
from tests.node.analyses import STOPS
from tests.node.contacts import Hook, running_hook, secret_as_written
from tests.node.nodes import (
    STUDY,
    MovedClock,
    Pacs,
    quick,
    quick_node,
    running_pacs,
    send,
    slice_of,
    state_of,
)
from tests.node.show.test_web import ask
from tests.patience import wait_until
from tests.peers import free_port

BAD = f"{STUDY}.{STOPS}"
PATIENT_DATA = ("PLANTED", STUDY)


@pytest.fixture
def hook() -> Iterator[Hook]:
    with running_hook() as running:
        yield running


def by_study_with_answers(
    paths: Sequence[Path], configuration: object, out: Path, lineage: Lineage
) -> Outcome:
    """Report with an answer of a simulated model."""
    answer = Answer(Target.OSTEOPOROSIS, "above", 0.62, 0.34, "demonstration 1", simulated=True)
    return replace(analyses.by_study(paths, configuration, out, lineage), answers=(answer,))


def types(hook: Hook) -> list[str]:
    return [event["type"].removeprefix("osteonode.") for event in hook.events]


def told(configuration: Configuration, *contacts: Contact) -> Configuration:
    return replace(configuration, notify=contacts)


def test_a_study_set_aside_and_a_result_are_told_without_the_patient(
    tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analyses, "with_answers", by_study_with_answers, raising=False)
    wants = hook.contact(on=(Topic.SET_ASIDE, Topic.RESULT), above=((Target.OSTEOPOROSIS, AT_THRESHOLD),))
    configuration = told(quick(tmp_path), wants)
    with quick_node(configuration, analyse="with_answers") as node:
        send(node.port, slice_of(1, study=BAD))
        send(node.port, slice_of(1))
        wait_until(lambda: sorted(types(hook)) == ["result.condition_met", "study.set_aside"])
        by_type = {event["type"]: event["data"]["studies"] for event in hook.events}
        (aside,) = by_type["osteonode.study.set_aside"]
        (result,) = by_type["osteonode.result.condition_met"]
        assert aside["study"] == study_key(BAD)
        assert "checksum of the model" in aside["reason"]
        assert (result["study"], result["simulated"]) == (study_key(STUDY), True)
        assert result["answers"][0]["probability"] == 0.62
        assert not any(word in body.decode() for word in PATIENT_DATA for body in hook.bodies)
        # The same result again is no news; the key in the message finds the study.
        send(node.port, slice_of(1, study=f"{STUDY}.9"))
        wait_until(lambda: len(hook.events) == 3)
        (found,) = find_studies(node.store, lambda: node.instance_store, result["study"])
        assert found.study_uid == STUDY


def test_the_patient_is_told_to_a_contact_that_identifies(tmp_path: Path, hook: Hook) -> None:
    image = slice_of(1, study=BAD)
    image.AccessionNumber = "A-17"
    with quick_node(told(quick(tmp_path), hook.contact(identify=True)), analyse="by_study") as node:
        send(node.port, image)
        wait_until(lambda: hook.events)
    (study,) = hook.events[0]["data"]["studies"]
    assert (study["patient_id"], study["accession_number"], study["study_uid"]) == (
        "PLANTED-ID", "A-17", BAD,
    )  # fmt: skip
    assert "PLANTED^NAME" not in hook.bodies[0].decode()
    assert b"PLANTED-ID" not in b"".join(path.read_bytes() for path in tmp_path.glob("osteonode.db*"))


def test_a_contact_that_is_down_delays_no_study_and_is_shown_everywhere(tmp_path: Path) -> None:
    down = Hook(url=f"http://127.0.0.1:{free_port()}/").contact("nobody-there")
    with running_pacs() as pacs:
        settings = quick(tmp_path, pacs.destination, web=WebSettings(port=free_port()))
        with quick_node(told(settings, down), analyse="by_study") as node:
            send(node.port, slice_of(1, study=BAD))
            send(node.port, slice_of(1))
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
            wait_until(lambda: "nobody-there cannot be told" in ask(settings.web.port, "/").text)
            metrics = ask(settings.web.port, "/metrics").text
            assert 'osteonode_notices{contact="nobody-there",state="waiting"} 1.0' in metrics
            assert 'kind="contact",peer="nobody-there"' in metrics
            page = ask(settings.web.port, f"/studies/{BAD}").text
    with closing(open_notices(settings)) as box:
        words = explain(node.store, BAD, ["pacs"], box.notices(BAD))
    assert "The notification to nobody-there waits (it cannot be reached)." in words
    assert "The notification to nobody-there waits" in page


def test_a_destination_that_is_down_and_up_again_is_told_once_each_over_restarts(
    tmp_path: Path, hook: Hook
) -> None:
    port, clock = free_port(), MovedClock()
    there = Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=port)
    settings = told(quick(tmp_path, there), hook.contact(down_minutes=5.0))
    with quick_node(settings, clock=clock) as node:
        send(node.port, slice_of(1))
        wait_until(lambda: conditions(settings))
        clock.move(minutes=6)
        wait_until(lambda: types(hook) == ["destination.down"])
    clock.move(hours=3)
    with quick_node(settings, clock=clock) as node:
        wait_until(lambda: breaker_of(node).failures)
        pacs = Pacs(port=port)
        pacs.start()
        try:
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
            wait_until(lambda: types(hook) == ["destination.down", "destination.up"])
        finally:
            pacs.stop()
    assert not conditions(settings)
    assert {event["data"]["destination"] for event in hook.events} == {"pacs"}


def conditions(settings: Configuration) -> Any:
    with closing(open_notices(settings)) as box:
        return box.conditions("hook")


def breaker_of(node: Node) -> Any:
    return node._couriers.breakers()["pacs"]


def test_a_running_node_takes_other_contacts(tmp_path: Path, hook: Hook) -> None:
    before = quick(tmp_path)
    with quick_node(before, analyse="by_study") as node:
        broken = hook.contact(tls=TlsSettings(ca=tmp_path / "none.pem"))
        with pytest.raises(ConfigurationError, match=r"notify\.tls of hook"):
            node.apply(told(before, broken))
        assert node.configuration.notify == ()
        assert node.apply(told(before, hook.contact())).applied == ("notify",)
        send(node.port, slice_of(1, study=BAD))
        wait_until(lambda: types(hook) == ["study.set_aside"])
        node.apply(before)
        send(node.port, slice_of(1, study=f"{STUDY}.1.{STOPS}"))
        wait_until(lambda: state_of(node, f"{STUDY}.1.{STOPS}") is StudyState.FAILED)
        wait_until(lambda: not node._resources.notices.happenings(1))
    assert len(hook.events) == 1


def test_the_doctor_tries_a_contact_without_sending_and_the_command_sends(
    tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = told(quick(tmp_path), hook.contact())
    (well,) = contacts(settings)
    assert (well.severity, hook.requests) == (Severity.GOOD, 0)
    (ill,) = contacts(told(settings, replace(hook.contact(), webhook=f"http://127.0.0.1:{free_port()}/")))
    assert (ill.severity, ill.message) == (Severity.WARNING, "it cannot be reached")
    monkeypatch.setenv("SECRET", secret_as_written())
    file = tmp_path / "config.toml"
    file.write_text(f'[[notify]]\nname = "hook"\nwebhook = "{hook.url}"\nsecret = "env:SECRET"\n')
    run = CliRunner().invoke(application, ["notify", "test", "hook", "--config", str(file)])
    assert (run.exit_code, run.output) == (0, "hook took a test event.\n")
    assert types(hook) == ["test"]
    unknown = CliRunner().invoke(application, ["notify", "test", "nobody", "--config", str(file)])
    assert unknown.exit_code == 1
    assert len(hook.events) == 1
