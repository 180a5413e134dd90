import numpy as np
import pytest

from analysis.learning.candidates import Candidate
from analysis.learning.learn import KINDS, LearningSettings, learn, learn_one, prepare_training_set
from analysis.learning.nested import Judged, judge, performance_of
from analysis.prediction.model import Performance
from tests.analysis.synthetic_cohort import synthetic_table


def judged(present: np.ndarray, probabilities: np.ndarray, half_width: float = 0.0) -> Judged:
    sides = np.array([-half_width, half_width])
    return Judged(
        probabilities=probabilities,
        thresholds=np.full(present.size, 0.5),
        limits=probabilities[:, None] + sides,
        fold=np.arange(present.size) % 2,
    )


@pytest.mark.parametrize(
    ("hits", "total", "interval"),
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_the_interval_of_a_sensitivity_is_that_of_newcombe(
    hits: int, total: int, interval: tuple[float, float]
) -> None:
    """Newcombe 1998, table I, method 3."""
    present = np.arange(2 * total) < total
    probabilities = np.where(np.arange(2 * total) < hits, 0.6, 0.4)
    performance = performance_of(judged(present, probabilities), present, confidence=0.8)
    assert performance.values["sensitivity"] == hits / total
    assert performance.intervals["sensitivity"] == pytest.approx(interval, abs=5e-5)
    assert performance.intervals["specificity"][1] == 1.0


def cohort(half_width: float) -> Performance:
    rng = np.random.default_rng(0)
    present = rng.random(400) < 0.4
    probabilities = np.clip(rng.normal(np.where(present, 0.62, 0.35), 0.15), 0.01, 0.99)
    return performance_of(judged(present, probabilities, half_width), present, confidence=0.8)


def test_figures_of_the_answers_leave_out_who_stays_open() -> None:
    """Every answer whose interval holds the threshold is open; the others are counted one by one."""
    rng = np.random.default_rng(0)
    present = rng.random(400) < 0.4
    probabilities = np.clip(rng.normal(np.where(present, 0.62, 0.35), 0.15), 0.01, 0.99)
    answers = cohort(0.2).answers
    clear = np.abs(probabilities - 0.5) > 0.2
    # Where the interval is clear of the threshold, the conformal sets of so good a classifier are, too.
    assert answers.answered == clear.sum()
    above, below = clear & (probabilities > 0.5), clear & (probabilities < 0.5)
    assert answers.values["PPV"] == pytest.approx(present[above].mean())
    assert answers.values["NPV"] == pytest.approx((~present[below]).mean())
    assert answers.values["sensitivity"] == pytest.approx((present & above).sum() / (present & clear).sum())
    assert answers.values["answered"] == pytest.approx(clear.mean())
    assert answers.intervals.keys() == answers.values.keys()


def test_wider_intervals_leave_more_patients_open() -> None:
    counts = [cohort(half_width).answers.answered for half_width in (0.0, 0.1, 0.2, 0.3)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


def test_where_nobody_gets_an_answer_no_figure_of_answers_is_told() -> None:
    answers = cohort(1.0).answers
    assert answers.answered == 0
    assert set(answers.values) == {"answered", "AUC"}


def test_only_the_feature_that_tells_the_target_loses_its_area() -> None:
    """One telling feature among noise: shuffled among patients who were held out, it alone matters."""
    rng = np.random.default_rng(0)
    present = np.arange(120) % 2 == 0
    values = rng.normal(size=(120, 4))
    values[:, 2] += 3 * present
    settings = LearningSettings(feature_counts=(3,), folds=2, refits=2, grids={"LR": {"C": (0.1,)}})
    unknown = np.full_like(values, np.nan)
    found = judge(values, unknown, present, kinds=("LR",), learning=settings, folds=2)
    assert found.losses.shape == (2, 4)
    assert np.isfinite(found.losses).sum(axis=1).tolist() == [3, 3]
    assert (found.losses[:, 2] > 0.3).all()
    assert np.nanmax(np.abs(found.losses[:, [0, 1, 3]])) < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_few_patients_are_learned_from_with_fewer_neighbours(kind: str) -> None:
    table = synthetic_table(20)
    values, present = table.sequences["T1"].values, np.arange(20) % 2 == 0
    settings = LearningSettings(feature_counts=(5,))
    prepared = prepare_training_set(values, present, settings)
    assert prepared.fewest == 16
    assert np.isfinite(learn(prepared, (kind,), settings).probabilities(values)).all()
    many = Candidate("KNN", {"n_neighbors": 25}, 5)
    assert learn_one(prepared, many, settings).parameters == {"n_neighbors": 16}
