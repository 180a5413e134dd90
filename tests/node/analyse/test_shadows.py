"""A model in the shadow that fails, in whatever way, leaves the outcome of the study as it is."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from analysis.domain.basis import SEQUENCES
from analysis.domain.target import Target
from analysis.prediction.bundle import digest_of, load, save
from analysis.prediction.predict import predict, read_study
from analysis.settings import AnalysisSettings
from node.analyse.model_answers import answer_in_shadow
from node.analyse.model_check import check_models
from node.analyse.shadows import PATIENCE, AskShadow, Shadows
from node.analyse.worker_process import WorkerProcess
from node.config import Configuration, ModelSettings, default
from node.domain.model_answer import AnswerState, ModelAnswer, ModelQuestion, Origin, Role
from node.domain.results import Outcome
from node.errors import PermanentError, TransientError, WorkerLostError
from node.log import get_log
from node.operate.doctor import Severity
from node.operate.doctor.analysis import model as check_model
from tests.analysis.synthetic_cohort import findings_of, synthetic_table
from tests.analysis.synthetic_model import quick_model

TABLE = synthetic_table()
SERIES = tuple(findings_of(sequence, 7, TABLE) for sequence in SEQUENCES)
QUESTION = ModelQuestion(read_study(SERIES, AnalysisSettings()), Origin("2026-03", {"T1": "A", "T2": "B"}))
CHOSEN = ModelAnswer(Target.OSTEOPOROSIS, Role.CHOSEN, "ab" * 32)
OUTCOME = Outcome((), (), {"told": "as before"}, "key", model_answers=(CHOSEN,), question=QUESTION)
HERE = "tests.node.analyse.test_shadows"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "candidate"
    save(quick_model(), folder)
    return folder


def configured(*shadow: Path, chosen: Path | None = None) -> Configuration:
    return replace(default(), models=ModelSettings(chosen, shadow))


def at_once(
    asked: ModelQuestion, bundle: Path, settings: AnalysisSettings, _limit_s: float
) -> tuple[ModelAnswer, ...]:
    return answer_in_shadow(asked, bundle, settings)


def added(ask: AskShadow, *shadow: Path, outcome: Outcome = OUTCOME) -> Outcome:
    return Shadows(ask, Event(), get_log()).added(outcome, configured(*shadow))


def test_a_shadow_answers_as_the_same_model_would_if_it_were_chosen(bundle: Path) -> None:
    made = added(at_once, bundle)
    assert replace(made, model_answers=OUTCOME.model_answers) == OUTCOME
    model = load(bundle, AnalysisSettings().features)
    for one, told in zip(predict(SERIES, model, AnalysisSettings()), made.model_answers[1:], strict=True):
        assert (told.target, told.basis, told.role) == (one.target, one.sequence, Role.SHADOW)
        assert (told.probability, told.threshold) == (one.estimate, one.decision_threshold)
        assert (told.distance, told.limit) == (one.distance, one.distance_limit)
        assert told.reasons == tuple(reason.code for reason in one.reasons)
        assert told.scanner == {"T1": "A", "T2": "B"}[one.sequence]


def test_what_no_model_can_read_is_abstained_from_with_the_reason(bundle: Path) -> None:
    uncertain = tuple(
        replace(one, segmentation=replace(one.segmentation, levels_certain=False)) for one in SERIES
    )
    asked = replace(QUESTION, readings=read_study(uncertain, AnalysisSettings()))
    for one in answer_in_shadow(asked, bundle, AnalysisSettings()):
        assert (one.state, one.probability) == (AnswerState.ABSTAINED, None)
        assert "levels_uncertain" in one.reasons
        assert one.distance is not None, "how far a scanner is from the training is known all the same"


def test_nothing_is_asked_without_a_shadow_or_without_a_measurement() -> None:
    assert added(fails, outcome=OUTCOME) is OUTCOME
    refused = replace(OUTCOME, question=None)
    assert added(fails, Path("any"), outcome=refused) is refused


def test_one_shadow_that_fails_does_not_spoil_another(bundle: Path, tmp_path: Path) -> None:
    made = added(at_once, tmp_path / ("not there " * 9), bundle)
    assert len({(one.bundle, one.target) for one in made.model_answers}) == 1 + 2 * len(Target)
    failed = [one for one in made.model_answers if one.state is AnswerState.FAULT and one.role is Role.SHADOW]
    assert {one.reasons for one in failed} == {("ModelRejectedError",)}
    assert all(len(one.bundle) == 64 for one in failed)


def test_a_copy_of_a_model_adds_no_second_row(bundle: Path) -> None:
    chosen = tuple(replace(CHOSEN, bundle=digest_of(bundle), target=target) for target in Target)
    made = added(at_once, bundle, bundle, outcome=replace(OUTCOME, model_answers=chosen))
    assert made.model_answers == chosen


def test_a_study_waits_for_all_shadows_together_and_one_that_hangs_leaves_time_for_the_others(
    tmp_path: Path,
) -> None:
    now, limits = [100.0], []

    def ask(_asked: object, bundle: Path, _settings: object, limit_s: float) -> tuple[ModelAnswer, ...]:
        limits.append(limit_s)
        now[0] += 1 if bundle.name == "quick" else limit_s
        raise WorkerLostError("it took too long")

    shadows = Shadows(ask, Event(), get_log(), seconds=lambda: now[0])
    shadows.added(OUTCOME, configured(*(tmp_path / name for name in ("hangs", "quick", "hangs", "hangs"))))
    assert now[0] - 100 == PATIENCE.total_seconds()
    assert limits == [15, 15, 22, 22]


def fails(*_arguments: object) -> tuple[ModelAnswer, ...]:
    raise ValueError("a message that quotes PLANTED^NAME")


def crashes(*_arguments: object) -> tuple[ModelAnswer, ...]:
    os._exit(139)


def hangs(*_arguments: object) -> tuple[ModelAnswer, ...]:
    time.sleep(3600)
    return ()


@contextmanager
def worker(function: Callable[..., Any], limit_s: float) -> Iterator[AskShadow]:
    """Ask in a process of its own, as the node does."""
    process = WorkerProcess(f"{HERE}:{function.__name__}")

    def ask(*arguments: object) -> tuple[ModelAnswer, ...]:
        told: tuple[ModelAnswer, ...] = process.call(*arguments[:-1], time_limit_s=limit_s)
        return told

    try:
        yield ask
    finally:
        process.stop()


@pytest.mark.parametrize(
    ("how", "limit_s", "kind"),
    [(fails, 60, "TransientError"), (crashes, 60, "WorkerLostError"), (hangs, 0.1, "WorkerLostError")],
    ids=["raises", "crashes", "hangs"],
)
def test_a_failure_is_kept_as_the_answer(
    bundle: Path, how: Callable[..., Any], limit_s: float, kind: str
) -> None:
    with worker(how, limit_s) as ask:
        made = added(ask, bundle)
    assert replace(made, model_answers=OUTCOME.model_answers) == OUTCOME
    assert made.model_answers[0] == CHOSEN
    for target, one in zip(Target, made.model_answers[1:], strict=True):
        assert (one.target, one.state, one.role) == (target, AnswerState.FAULT, Role.SHADOW)
        assert (one.bundle, one.name, one.reasons) == (
            digest_of(bundle),
            quick_model().identity.name,
            (kind,),
        )


def test_a_process_of_its_own_gives_the_same_answers(bundle: Path) -> None:
    with worker(answer_in_shadow, 600) as ask:
        assert added(ask, bundle) == added(at_once, bundle)


def test_a_node_that_stops_blames_no_model(bundle: Path) -> None:
    stopping = Event()
    stopping.set()

    def lost(*_arguments: object) -> tuple[ModelAnswer, ...]:
        raise WorkerLostError("its process was ended")

    with pytest.raises(TransientError, match="stopping"):
        Shadows(lost, stopping, get_log()).added(OUTCOME, configured(bundle))


def test_a_model_that_is_damaged_or_there_twice_is_told_before_the_node_starts(
    bundle: Path, tmp_path: Path
) -> None:
    check_models(configured(bundle))
    for settings, told in (
        (configured(tmp_path / "gone"), r"\[models\] shadow: .* is not complete"),
        (configured(chosen=tmp_path / "gone"), r"\[models\] bundle: .* is not complete"),
        (configured(bundle, bundle), "the same model as candidate"),
        (configured(bundle, chosen=bundle), r"the same model as \[models\] bundle"),
    ):
        with pytest.raises(PermanentError, match=told):
            check_models(settings)
        assert Severity.FAULT in {one.severity for one in check_model(settings)}
    good = [one for one in check_model(configured(bundle)) if one.subject == "shadow candidate"]
    assert Severity.FAULT not in {one.severity for one in good}
    assert good
