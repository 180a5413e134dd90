import numpy as np
import numpy.typing as npt
import pytest

from analysis.learning.threshold import RuleName, ThresholdRule, rule_of

RNG = np.random.default_rng(0)
PRESENT = RNG.random(200) < 0.3
PROBABILITIES: npt.NDArray[np.float64] = (
    RNG.normal(np.where(PRESENT, 0.5, 0.3), 0.15).clip(0, 1).round(2)
)  # with ties


@pytest.mark.parametrize("wanted", [0.5, 0.8, 0.9, 0.99])
def test_the_threshold_finds_the_stated_share_and_the_next_higher_one_does_not(wanted: float) -> None:
    threshold = ThresholdRule(RuleName.SENSITIVITY, wanted).threshold(PRESENT, PROBABILITIES)
    assert (PROBABILITIES[PRESENT] >= threshold).mean() >= wanted
    higher = PROBABILITIES[threshold < PROBABILITIES].min()
    assert (PROBABILITIES[PRESENT] > higher).mean() < wanted


def test_a_fixed_threshold_is_kept_and_youden_weighs_both_errors() -> None:
    fixed = ThresholdRule(RuleName.FIXED, 0.3)
    assert fixed.threshold(PRESENT, PROBABILITIES) == pytest.approx(0.3)
    youden = ThresholdRule(RuleName.YOUDEN).threshold(PRESENT, PROBABILITIES)
    sums = [
        (PROBABILITIES[PRESENT] >= cut).mean() + (PROBABILITIES[~PRESENT] < cut).mean()
        for cut in [youden, *np.unique(PROBABILITIES)]
    ]
    assert sums[0] == pytest.approx(max(sums))


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("sensitivity:0.9", ThresholdRule(RuleName.SENSITIVITY, 0.9)),
        ("youden", ThresholdRule(RuleName.YOUDEN)),
        ("fixed:0.25", ThresholdRule(RuleName.FIXED, 0.25)),
    ],
)
def test_rules_are_read_as_written(written: str, rule: ThresholdRule) -> None:
    assert rule_of(written) == rule


@pytest.mark.parametrize(
    "written", ["", "best", "youden:0.3", "fixed", "fixed:", "fixed:1.2", "sensitivity:0", "fixed:nan"]
)
def test_what_is_no_rule_is_refused_with_what_was_written(written: str) -> None:
    with pytest.raises(ValueError, match="is no rule of a threshold"):
        rule_of(written)
