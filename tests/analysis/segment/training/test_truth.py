"""The public labels become classes; what a source does not label is ignored, never background."""

from pathlib import Path

import numpy as np

from analysis.segment.training.truth import (
    BACKGROUND,
    BACKSPINE,
    BODY,
    CANAL,
    DISC,
    IGNORE,
    POSTERIOR,
    SACRUM,
    SPIDER,
    backspine_truth,
    read_cases,
    spider_truth,
)
from tests.analysis.segment.training.midline import COLUMNS, levels, rows_of, vertebrae, write_data


def test_backspine_s_levels_become_bodies_and_sacrum() -> None:
    truth = backspine_truth(levels())
    assert (truth[(levels() > 0) & (levels() < 6)] == BODY).all()
    assert (truth[levels() == 6] == SACRUM).all()
    assert not np.isin(truth, (DISC, CANAL, POSTERIOR)).any()


def test_the_spine_above_the_topmost_body_of_backspine_is_ignored() -> None:
    truth = backspine_truth(levels())
    above = rows_of(0).start - 3
    assert (truth[above, 60:110] == IGNORE).all()
    assert truth[above, COLUMNS - 1] == BACKGROUND
    assert (truth[rows_of(1)] != IGNORE).all()


def test_a_slice_of_backspine_that_leaves_a_body_out_is_ignored_whole() -> None:
    gap = levels()
    gap[(gap == 3) | (gap == 4)] = 0
    assert (backspine_truth(gap) == IGNORE).all()
    alone = np.where(levels() == 2, levels(), 0).astype(np.uint8)
    assert (backspine_truth(alone) == IGNORE).all()


def test_spider_s_vertebrae_are_split_into_bodies_and_arches() -> None:
    stack = np.stack([vertebrae()] * 3)
    truth = spider_truth(stack)
    assert (truth[stack == 2] == DISC).all()
    assert (truth[stack == 3] == CANAL).all()
    vertebra = stack == 1
    front = np.arange(COLUMNS)[None, None, :] < 120
    assert (truth[vertebra & front] == BODY).all()
    assert (truth[vertebra & ~front] == POSTERIOR).all()


def test_a_pedicle_does_not_make_the_arch_a_body() -> None:
    joined = vertebrae()
    for number in range(5):
        joined[rows_of(number).start + 8 : rows_of(number).start + 20, 110:132] = 1
    truth = spider_truth(np.stack([joined] * 3))
    assert (truth[:, :, 140:] != BODY).all()
    assert (truth[:, rows_of(2), 70:100] == BODY).all()


def test_the_sacrum_that_spider_leaves_out_is_ignored() -> None:
    truth = spider_truth(np.stack([vertebrae()] * 3))
    assert (truth[:, rows_of(5), 65:105] == IGNORE).all()
    assert (truth[:, : rows_of(4).stop] != IGNORE).all()


def test_patients_are_held_out_whole_and_by_their_source_s_rule(tmp_path: Path) -> None:
    write_data(tmp_path)
    cases = list(read_cases(tmp_path))
    assert [(case.patient, case.source, case.held_out, len(case.images)) for case in cases] == [
        ("T1_1", BACKSPINE, False, 1),
        ("T1_2", BACKSPINE, True, 1),
        ("spider_0", SPIDER, True, 2),
        *((f"spider_{number}", SPIDER, False, 2) for number in range(1, 5)),
        ("spider_5", SPIDER, True, 2),
    ]
    held_out = [case.patient for case in read_cases(tmp_path, only_held_out=True)]
    assert held_out == [case.patient for case in cases if case.held_out]


def test_only_backspine_names_levels(tmp_path: Path) -> None:
    write_data(tmp_path)
    for case in read_cases(tmp_path):
        assert set(np.unique(case.levels)) == (set(range(7)) if case.source == BACKSPINE else {0})
