"""Repainted slices: the labels are those of a slice farther from the midline."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from analysis.segment.training.lateral import beside, through_edge, through_pedicles
from analysis.segment.training.truth import BODY, CANAL, DISC, IGNORE, POSTERIOR, SACRUM
from tests.analysis.segment.training.midline import classes, image

Labels = npt.NDArray[np.uint8]
Repaint = Callable[[Labels, Labels, np.random.Generator], tuple[Labels, Labels]]

LABELS = classes()
IMAGE = image(LABELS)
SEEDS = range(4)


@pytest.mark.parametrize("repaint", [through_pedicles, through_edge, beside])
def test_a_repainted_slice_has_the_same_size_and_depends_on_the_seed_alone(repaint: Repaint) -> None:
    before = IMAGE.copy(), LABELS.copy()
    first, again, other = (repaint(IMAGE, LABELS, np.random.default_rng(seed)) for seed in (1, 1, 2))
    for array in first:
        assert array.shape == LABELS.shape
        assert array.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first[0] != other[0]).any()
    np.testing.assert_array_equal((IMAGE, LABELS), before)


@pytest.mark.parametrize("seed", SEEDS)
def test_through_the_pedicles_bodies_stay_and_the_canal_is_gone(seed: int) -> None:
    _, marks = through_pedicles(IMAGE, LABELS, np.random.default_rng(seed))
    kept = np.isin(LABELS, (BODY, DISC, SACRUM))
    np.testing.assert_array_equal(marks[kept], LABELS[kept])
    assert not np.isin(marks[~kept], (BODY, DISC, SACRUM)).any()
    assert not (marks == CANAL).any()
    assert (marks == POSTERIOR).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_through_the_edge_bodies_are_smaller_and_the_sacrum_is_ignored(seed: int) -> None:
    _, marks = through_edge(IMAGE, LABELS, np.random.default_rng(seed))
    assert ((marks == BODY) <= (LABELS == BODY)).all()
    assert (marks == BODY).sum() < (LABELS == BODY).sum()
    assert ((marks == DISC) <= np.isin(LABELS, (DISC, BODY))).all()
    assert (marks[LABELS == SACRUM] == IGNORE).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_beside_the_vertebrae_there_is_no_body(seed: int) -> None:
    changed, marks = beside(IMAGE, LABELS, np.random.default_rng(seed))
    assert not np.isin(marks, (BODY, DISC, SACRUM)).any()
    assert (marks == POSTERIOR).any()
    assert (changed[LABELS == BODY] != IMAGE[LABELS == BODY]).mean() > 0.5
