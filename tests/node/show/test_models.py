"""How models compare is on a page, in the metrics and in an answer of a command, without patient data."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from analysis.domain.target import Target
from analysis.prediction.bundle import save
from node.cli import application
from node.config import Configuration, ModelSettings
from node.domain.model_answer import AnswerState, ModelAnswer, Role
from node.domain.model_comparison import FEW
from node.store import tables as t
from node.store.answers import put_answers
from node.store.sql import SqlStore
from tests.analysis.synthetic_model import quick_model
from tests.node.nodes import quick, quick_node
from tests.node.show.test_web import ask, metrics, web_port, with_page
from tests.schemas import strict

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SCANNERS = ("SIEMENS, Aera, 1.5 T, no. 41234", "Philips Medical Systems, Ingenia, 3 T", "<b>&\"', ?, ?")
HOSTILE = "&lt;b&gt;&amp;&#34;&#39;"
STUDY = "1.2.826.0.1.77"
SAMPLE = "osteonode_shadow_studies"


def keep_answers(directory: Path, studies: int) -> None:
    """Keep answers of two models to some studies: every fifth is one at which the shadow failed."""
    directory.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{directory / 'osteonode.db'}"
    SqlStore(url).close()
    engine = t.open_engine(url)
    rng = np.random.default_rng(11)
    with t.writing(engine) as connection:
        for number in range(studies):
            answers = [
                _answer(target, role, number, float(rng.uniform(0.05, 0.95)))
                for target in Target
                for role in Role
            ]
            put_answers(connection, f"{STUDY}.{number}", answers, NOW + timedelta(minutes=number))
    engine.dispose()


def _answer(target: Target, role: Role, number: int, probability: float) -> ModelAnswer:
    shadow = role is Role.SHADOW
    made = ModelAnswer(
        target, role, ("cd" if shadow else "ab") * 32, "candidate" if shadow else "in service", "1", "T1",
        AnswerState.ABOVE if probability >= 0.34 else AnswerState.BELOW, probability, 0.34,
        acquired=f"2026-0{number % 4 + 1}", scanner=SCANNERS[number % 3],
    )  # fmt: skip
    if shadow and number % 5 == 4:
        return replace(made, state=AnswerState.FAULT, probability=None, threshold=None)
    return made


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    save(quick_model(), tmp_path / "candidate")
    return tmp_path / "candidate"


@pytest.fixture
def configuration(tmp_path: Path, bundle: Path) -> Configuration:
    base = with_page(quick(tmp_path / "var"))
    return replace(base, models=replace(base.models, shadow=(bundle,)))


def test_the_page_shows_the_comparison_and_the_scores(configuration: Configuration) -> None:
    keep_answers(configuration.storage.directory, 60)
    with quick_node(configuration) as node:
        page = ask(web_port(node), "/models")
        assert 'href="/models"' in ask(web_port(node), "/").text
        told = metrics(web_port(node))
    assert page.status == 200
    assert "candidate 1 (cdcdcdcd) beside in service 1 (abababab)" in page.text
    for words in ("48", "Cohen&#39;s kappa", "95 % limits of agreement", "2026-04", SCANNERS[0], HOSTILE):
        assert words in page.text
    assert "<b>&\"'" not in page.text
    assert STUDY not in page.text, "no study is named"
    assert 'http-equiv="refresh"' not in page.text
    counts = {
        outcome: told[f"{SAMPLE} outcome={outcome} shadow=candidate 1 (cdcdcdcd) target=osteoporosis"]
        for outcome in ("same", "other", "failed")
    }
    assert counts["failed"] == 12
    assert counts["same"] + counts["other"] == 48


def test_few_studies_are_called_few_on_the_page(configuration: Configuration) -> None:
    keep_answers(configuration.storage.directory, FEW - 1)
    with quick_node(configuration) as node:
        page = ask(web_port(node), "/models").text
    assert f"not computed with fewer than {FEW} studies" in page
    assert "too few to conclude anything" in page


def test_a_node_without_a_shadow_has_an_empty_page_and_no_sample(tmp_path: Path) -> None:
    alone = replace(with_page(quick(tmp_path)), models=ModelSettings(None))
    with quick_node(alone) as node:
        page = ask(web_port(node), "/models").text
        assert not [name for name in metrics(web_port(node)) if name.startswith("osteonode_shadow")]
    assert "No study has answers of a chosen model and of one in the shadow yet." in page
    assert "Chosen now: none. In the shadow: none." in page


def test_the_command_tells_the_same_and_as_json(tmp_path: Path) -> None:
    keep_answers(tmp_path / "var", 60)
    config = tmp_path / "config.toml"
    config.write_text(f'[storage]\ndirectory = "{tmp_path / "var"}"\n')
    run = CliRunner().invoke(application, ["models", "--config", str(config)])
    assert run.exit_code == 0, run.output
    assert "osteoporosis: candidate 1 (cdcdcdcd) beside in service 1 (abababab)" in run.output
    assert f"{SCANNERS[1]}\tosteoporosis\t" in run.output
    assert STUDY not in run.output
    as_json = CliRunner().invoke(application, ["models", "--json", "--config", str(config)])
    found = json.loads(as_json.stdout)
    strict("models").validate(found)
    assert [(one["studies"], one["faults"], one["few"]) for one in found["comparisons"]] == [
        (48, 12, False)
    ] * 2
    assert {one["month"] for one in found["by_month"]} == {f"2026-0{month}" for month in (1, 2, 3, 4)}
    assert sum(one["count"] for one in found["comparisons"][0]["answers"]) == 48


def test_without_any_answer_the_command_says_so(tmp_path: Path) -> None:
    keep_answers(tmp_path / "var", 0)
    config = tmp_path / "config.toml"
    config.write_text(f'[storage]\ndirectory = "{tmp_path / "var"}"\n')
    run = CliRunner().invoke(application, ["models", "--config", str(config)])
    assert "No study has answers" in run.output
    as_json = CliRunner().invoke(application, ["models", "--json", "--config", str(config)])
    assert json.loads(as_json.stdout) == {"comparisons": [], "by_scanner": [], "by_month": []}
