"""The page and the metrics of the scanners."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from analysis.domain.remoteness import TrainingDistance
from analysis.domain.target import Target
from analysis.prediction.checksums import digest_of
from node.clock import SystemClock
from node.config import Configuration, ScannerDrift
from node.config.tables.models import DEMONSTRATION_MODEL
from node.domain.drift import LEAST, Subject
from node.domain.model_answer import AnswerState, ModelAnswer, Role
from node.domain.scanner import scanner_key
from node.show.scanners import ScannerReader, scanner_id
from node.store import store_url
from node.store.answers import put_answers
from node.store.scanner_ranges import put_distances
from node.store.sql import SqlStore
from node.store.tables import open_engine, writing
from tests.node.nodes import quick, quick_node
from tests.node.show.test_web import ask, metrics, web_port, with_page
from tests.peers import program

MARKUP = "<b>Works</b>, One, 1.5 T"
OTHER = "Works, Two, 3 T"


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    """Return a node with a scanner that has left, and one with few studies."""
    found = with_page(quick(tmp_path))
    SqlStore(store_url(found)).close()
    engine = open_engine(store_url(found))
    now, digest = SystemClock().now(), digest_of(DEMONSTRATION_MODEL)
    with writing(engine) as connection:
        for number in range(LEAST):
            for name, distance in ((MARKUP, 4.5), (OTHER, 1.0))[: 1 if number else 2]:
                subject = Subject(name, digest, "T1")
                there = {subject: TrainingDistance("T1", distance, 5.0, 4.0, in_protocol=True)}
                at = now - timedelta(days=number)
                put_distances(connection, f"1.2.826.0.{len(name)}.{number}", there, at)
    engine.dispose()
    return found


def test_the_scanners_are_shown_with_their_states_and_told_as_metrics(configuration: Configuration) -> None:
    with quick_node(configuration) as node:
        page = ask(web_port(node), "/scanners")
        assert page.status == 200
        assert "has left the range" in page.text
        assert f"It left with {LEAST} of {LEAST}" in page.text
        assert "too few studies" in page.text
        assert "no answer from these images" in page.text
        # What a sender writes is never markup, and no study is named.
        assert "&lt;b&gt;Works&lt;/b&gt;" in page.text
        assert "<b>Works" not in page.text
        assert "1.2.826" not in page.text
        overview = ask(web_port(node), "/").text
        assert 'href="/scanners"' in overview
        assert "have left the training range of the model (1 of 2 scanners and sequences)" in overview
        found = metrics(web_port(node))
        left, few = (f"scanner={scanner_id(name)} sequence=T1" for name in (MARKUP, OTHER))
        assert found[f"osteonode_scanner_state {left}"] == 3
        assert found[f"osteonode_scanner_far_share {left}"] == 1
        assert found[f"osteonode_scanner_state {few}"] == 0
        assert found["osteonode_condition"] == 1


@pytest.mark.parametrize(
    ("drift", "words"),
    [(ScannerDrift.TELL, "only operators are told"), (ScannerDrift.OFF, "Nothing is counted")],
)
def test_the_page_says_what_is_done_about_a_scanner(
    configuration: Configuration, drift: ScannerDrift, words: str
) -> None:
    models = replace(configuration.models, scanner_drift=drift)
    with quick_node(replace(configuration, models=models)) as node:
        assert words in ask(web_port(node), "/scanners").text


def test_the_counts_are_read_again_at_once_when_a_state_has_changed(configuration: Configuration) -> None:
    store, now = SqlStore(store_url(configuration)), SystemClock().now()
    reader = ScannerReader(store, DEMONSTRATION_MODEL)
    assert [one.far for one in reader.read(now) if one.subject.scanner == MARKUP] == [LEAST]
    assert store.accept_scanner(MARKUP, now)
    (view,) = (one for one in reader.read(now) if one.subject.scanner == MARKUP)
    assert (view.range.accepted_at, view.far, view.studies) == (now, 0, 0), "those before it do not count"
    store.close()


FITS = "document.documentElement.scrollWidth <= innerWidth"
LONG = scanner_key("M" * 64, "<b>" + "W" * 61, 1.5, "S" * 64)


@pytest.mark.parametrize("width", [1280, 400])
def test_no_name_of_a_scanner_or_a_model_is_wider_than_the_page(
    configuration: Configuration, width: int
) -> None:
    executable = program("chromium", "chromium")
    engine, now = open_engine(store_url(configuration)), SystemClock().now()
    there = TrainingDistance("T1", 1.0, 5.0, 4.0, in_protocol=True)
    asked = [
        ModelAnswer(Target.OSTEOPOROSIS, role, "ab" * 32, name, scanner=LONG, state=AnswerState.ABSTAINED)
        for role, name in ((Role.CHOSEN, "C" * 64), (Role.SHADOW, "D" * 64))
    ]
    with writing(engine) as connection:
        put_distances(connection, "1.2.3", {Subject(LONG, digest_of(DEMONSTRATION_MODEL), "T1"): there}, now)
        put_answers(connection, "1.2.3", [asked[0], replace(asked[1], bundle="cd" * 32)], now)
    engine.dispose()
    with quick_node(configuration) as node, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 800})
        for path, name in (("/", ""), ("/scanners", LONG), ("/models", "D" * 64)):
            page.goto(f"http://127.0.0.1:{web_port(node)}{path}")
            assert name in page.inner_text("body")
            assert page.evaluate(FITS), path
        browser.close()
