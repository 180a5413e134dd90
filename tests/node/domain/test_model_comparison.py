"""Models are compared by the studies that both were asked about; few studies conclude nothing."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from analysis.domain.target import Target
from node.domain.model_answer import AnswerState, KeptAnswer, ModelAnswer, Role
from node.domain.model_comparison import FEW, STATES, Comparison, ModelComparison, compare_models, kappa
from node.domain.scanner import LONGEST_KEY, scanner_key

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ABOVE, BELOW, OPEN, ABSTAINED = STATES


def kept(study: int, role: Role, state: AnswerState, probability: float | None, **change: Any) -> KeptAnswer:
    values: dict[str, Any] = {
        "target": Target.OSTEOPOROSIS, "role": role, "bundle": role.value, "name": role.value, "version": "1",
        "state": state, "probability": probability, "threshold": 0.5, "acquired": "2026-03", "scanner": "A",
    }  # fmt: skip
    return KeptAnswer(f"1.{study}", NOW, ModelAnswer(**{**values, **change}))


def pair(study: int, one: AnswerState, other: AnswerState, *probabilities: float | None) -> list[KeptAnswer]:
    first, second = probabilities or (None, None)
    return [kept(study, Role.SHADOW, other, second), kept(study, Role.CHOSEN, one, first)]


def the_one(answers: list[KeptAnswer]) -> ModelComparison:
    (found,) = compare_models(answers).models
    return found


def test_nothing_is_compared_with_nothing() -> None:
    assert compare_models([]) == Comparison()
    alone = [kept(1, Role.CHOSEN, ABOVE, 0.7)]
    assert compare_models(alone).models == ()
    assert compare_models([kept(1, Role.SHADOW, ABOVE, 0.7)]).models == ()
    assert [one.group for one in compare_models(alone).by_scanner] == ["A"]


@given(st.lists(st.tuples(st.sampled_from(STATES), st.sampled_from(STATES)), min_size=2, max_size=60))
def test_kappa_is_that_of_scikit_learn(answers: list[tuple[AnswerState, AnswerState]]) -> None:
    table = {(one, other): answers.count((one, other)) for one in STATES for other in STATES}
    mine = kappa(table)
    if len({state for both in answers for state in both}) == 1:
        assert mine is None
        return
    names = [[str(both[number]) for both in answers] for number in (0, 1)]
    assert mine == pytest.approx(cohen_kappa_score(*names), abs=1e-12)


def test_agreement_is_counted_by_answer_and_differences_by_probability() -> None:
    rng = np.random.default_rng(3)
    probabilities = rng.uniform(0, 1, (40, 2))
    answers = []
    for study, (one, other) in enumerate(probabilities):
        first, second = (ABOVE if value >= 0.5 else BELOW for value in (one, other))
        answers += pair(study, first, second, float(one), float(other))
    answers += pair(90, ABSTAINED, ABSTAINED) + pair(91, ABSTAINED, BELOW, None, 0.2)
    answers += [kept(92, Role.CHOSEN, BELOW, 0.1)]
    answers += [kept(92, Role.SHADOW, AnswerState.FAULT, None, threshold=None)]
    found = the_one(answers)
    same = int(((probabilities[:, 0] >= 0.5) == (probabilities[:, 1] >= 0.5)).sum())
    assert (found.studies, found.faults, found.pairs) == (42, 1, 40)
    assert found.agreement == pytest.approx((same + 1) / 42)
    assert found.table[ABSTAINED, BELOW] == 1
    assert sum(found.table.values()) == 42
    differences = probabilities[:, 1] - probabilities[:, 0]
    assert found.difference == pytest.approx(differences.mean())
    spread = 1.96 * differences.std(ddof=1)
    assert found.limits == pytest.approx((differences.mean() - spread, differences.mean() + spread))
    assert found.kappa is not None


def test_few_studies_have_no_kappa_and_no_limits() -> None:
    for count in (FEW - 1, FEW):
        found = the_one(
            [one for study in range(count) for one in pair(study, (ABOVE, BELOW)[study % 2], BELOW, 0.4, 0.3)]
        )
        assert found.is_few == (found.kappa is None) == (found.limits is None) == (count < FEW)
        assert found.difference == pytest.approx(-0.1)


def test_scores_are_summed_up_by_scanner_and_by_month() -> None:
    values = [0.1, 0.2, 0.4, 0.9]
    answers = [
        kept(number, Role.CHOSEN, OPEN, value, scanner="AB"[number % 2], acquired=f"2026-0{number // 2 + 1}")
        for number, value in enumerate(values)
    ]
    answers.append(kept(9, Role.CHOSEN, ABSTAINED, None, scanner="C", acquired=""))
    found = compare_models(answers)
    assert [(one.group, one.studies, one.scores, one.above) for one in found.by_scanner] == [
        ("A", 2, 2, 0.0),
        ("B", 2, 2, 0.5),
        ("C", 1, 0, None),
    ]
    for one, own in zip(found.by_scanner, ([0.1, 0.4], [0.2, 0.9], None), strict=True):
        expected = None if own is None else tuple(np.quantile(own, (0.25, 0.5, 0.75)))
        assert one.quartiles == (None if expected is None else pytest.approx(expected))
    assert [one.group for one in found.by_month] == ["", "2026-01", "2026-02"]
    (single,) = compare_models(answers[:1]).by_month
    assert single.quartiles == (0.1, 0.1, 0.1)


def test_a_model_that_took_the_place_of_the_chosen_one_is_compared_apart() -> None:
    before = pair(1, ABOVE, BELOW, 0.6, 0.4)
    after = [
        kept(2, Role.CHOSEN, BELOW, 0.4, bundle="shadow", name="shadow"),
        kept(2, Role.SHADOW, ABOVE, 0.6, bundle="chosen", name="chosen"),
    ]
    found = compare_models(before + after).models
    assert [(one.chosen.name, one.shadow.name, one.studies) for one in found] == [
        ("chosen", "shadow", 1),
        ("shadow", "chosen", 1),
    ]


@given(st.text(max_size=200), st.text(max_size=200), st.none() | st.floats(), st.text(max_size=200))
def test_a_key_of_a_scanner_is_one_short_line(
    maker: str, model: str, strength: float | None, serial: str
) -> None:
    key = scanner_key(maker, model, strength, serial)
    assert len(key) <= LONGEST_KEY
    assert key.isprintable()
    assert key == scanner_key(f" {maker}\n", model, strength, serial)
