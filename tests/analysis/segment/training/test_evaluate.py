"""Scores of the segmenter: what counts as an overlap, a right name and an error."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from analysis.domain.segmentation import Level, Region, Segmentation
from analysis.domain.volume import Grid, Volume
from analysis.segment.training import evaluate
from analysis.segment.training.evaluate import Example, picture, score, table
from tests.analysis.synthetic_bodies import LUMBAR, grid, labels_on, segmentation_of, textured

Labels = npt.NDArray[np.uint8]

UNNAMED = 255


def an_example(truth: Labels, where: Grid, *, nameable: bool = True) -> Example:
    return Example("drawn", "1", textured(truth, where), truth, nameable)


def renamed(labels: Labels, where: Grid) -> Segmentation:
    """Every body named one level too low."""
    lower = np.where((labels > 0) & (labels < 5), labels + 1, 0).astype(np.uint8)
    return segmentation_of(lower, where)


def test_a_perfect_segmentation_has_a_dice_of_one_and_right_names() -> None:
    where = grid()
    truth = labels_on(where)
    found = score(an_example(truth, where), segmentation_of(truth, where))
    assert found.dice == dict.fromkeys(LUMBAR, 1.0)
    assert found.bodies == 1.0
    assert found.named_right is True
    assert found.certain


def test_names_shifted_by_a_level_are_wrong_though_the_outlines_are_right() -> None:
    where = grid()
    truth = labels_on(where, LUMBAR[:4])
    found = score(an_example(truth, where), renamed(truth, where))
    assert found.named_right is False
    assert min(found.dice.values()) == 1.0


def test_a_missed_body_is_wrong() -> None:
    where = grid()
    truth = labels_on(where)
    found = score(an_example(truth, where), segmentation_of(labels_on(where, LUMBAR[1:]), where))
    assert found.named_right is False
    assert found.dice[Level.L1] == 0.0


def test_a_found_sacrum_that_the_truth_leaves_out_is_no_error() -> None:
    where = grid()
    truth = labels_on(where, LUMBAR[:4])
    labels = labels_on(where)
    labels[labels == Level.L5] = Level.S1
    found = segmentation_of(labels_on(where, LUMBAR[:4]), where)
    with_sacrum = replace(
        found,
        labels=labels,
        regions=(*found.regions, Region(Level.S1, 1.0, (0.0, 0.0, 0.0), 1.0, usable=True)),
    )
    assert score(an_example(truth, where), with_sacrum).bodies == 1.0


def test_bodies_without_a_name_count_as_bodies_only() -> None:
    where = grid()
    labels = labels_on(where)
    truth = np.where(labels > 0, UNNAMED, 0).astype(np.uint8)
    found = score(an_example(truth, where), segmentation_of(labels, where))
    assert found.dice == {}
    assert found.named_right is None
    assert found.bodies == 1.0


def test_the_table_tells_dice_names_and_confidence() -> None:
    where = grid()
    truth = labels_on(where, LUMBAR[:4])
    right, wrong = (
        score(an_example(truth, where), found)
        for found in (segmentation_of(truth, where), renamed(truth, where))
    )
    lines = table([right, replace(wrong, patient="2")]).splitlines()
    assert lines[0] == "drawn: 2 patients, Dice of bodies 1.000"
    assert "  levels right in 50.0%" in lines
    assert "  sure of the names in 100.0%; sure and wrong: 1" in lines
    hidden = score(an_example(truth, where, nameable=False), segmentation_of(truth, where))
    assert table([hidden]) == "drawn: 1 patients, sure of the names in 100.0%"


def test_thick_slices_and_inverted_brightness_keep_the_place_of_the_bodies() -> None:
    where = grid((10, 160, 90))
    truth = labels_on(where)
    example = an_example(truth, where)
    thick = evaluate._thick(example)
    assert thick.volume.grid.shape == (5, 160, 90)
    assert thick.volume.grid.spacing_mm[0] == 2 * where.spacing_mm[0]
    np.testing.assert_allclose(thick.volume.grid.to_mm((0, 0, 0)), where.to_mm((0.5, 0, 0)))
    np.testing.assert_array_equal(thick.truth, truth[::2])
    inverted = evaluate._inverted(example)
    np.testing.assert_array_equal(inverted.truth, truth)
    before, after = example.volume.voxels, inverted.volume.voxels
    assert after[truth > 0].mean() < after[(truth == 0) & (before > 20)].mean()


@pytest.mark.parametrize("slices", [1, 11])
def test_a_picture_shows_up_to_five_slices(slices: int) -> None:
    where = grid((slices, 160, 90))
    truth = np.zeros(where.shape, np.uint8)
    truth[:, 20:40, 20:50] = Level.L3
    volume = Volume(np.where(truth > 0, 100.0, 10.0).astype(np.float32), where)
    found = segmentation_of(truth, where)
    assert picture(Example("drawn", "1", volume, truth), found).size == (320 * min(5, slices), 320)
