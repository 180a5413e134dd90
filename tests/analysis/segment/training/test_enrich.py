"""Unlabelled pixels take a network's opinion where it is sure; manual labels never change."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from analysis.segment.training import enrich as module
from analysis.segment.training.enrich import append_simulated, complete_labels, enrich, read_enriched
from analysis.segment.training.pack import Packed
from analysis.segment.training.truth import (
    BACKGROUND,
    BACKSPINE,
    BODY,
    CANAL,
    DISC,
    IGNORE,
    POSTERIOR,
    SACRUM,
    SIMULATED,
    SPIDER,
    backspine_truth,
)
from tests.analysis.segment.training.midline import classes, image, levels

Labels = npt.NDArray[np.uint8]

TRUTH = classes()
EVERY = np.array([BACKGROUND, BODY, SACRUM, DISC, CANAL, POSTERIOR, IGNORE], np.uint8)


def a_pack() -> Packed:
    """BackSpine, held-out BackSpine, SPIDER, and SPIDER without any body."""
    empty = np.zeros_like(TRUTH)
    labels = np.stack([backspine_truth(levels()), backspine_truth(levels()), TRUTH, empty])
    source = np.array([BACKSPINE, BACKSPINE, SPIDER, SPIDER])
    return Packed(
        images=np.stack([image(TRUTH, seed) for seed in range(4)]),
        labels=labels,
        source=source,
        patient=np.arange(4),
        held_out=np.array([False, True, False, False]),
        complete=source != BACKSPINE,
        repainted=np.zeros(4, np.bool_),
    )


def right(_image: Labels) -> tuple[Labels, npt.NDArray[np.float32]]:
    """Opinion of a network that is always right and sure."""
    return TRUTH, np.ones(TRUTH.shape, np.float32)


@pytest.mark.parametrize("source", [BACKSPINE, SPIDER])
@pytest.mark.parametrize("sure", [True, False])
def test_manual_labels_never_change(source: int, *, sure: bool) -> None:
    for opinion in EVERY[:-1]:
        merged = complete_labels(EVERY, source, np.full_like(EVERY, opinion), np.full(EVERY.shape, sure))
        drawn = ~np.isin(EVERY, (IGNORE, BACKGROUND))
        np.testing.assert_array_equal(merged[drawn], EVERY[drawn])


def test_what_a_network_is_not_sure_of_stays_ignored() -> None:
    blank = np.full(6, IGNORE, np.uint8)
    for source in (BACKSPINE, SPIDER):
        unsure = complete_labels(blank, source, EVERY[:-1], np.zeros(6, np.bool_))
        assert (unsure == IGNORE).all()


def test_backspine_s_background_may_hold_what_it_does_not_label() -> None:
    background = np.zeros(6, np.uint8)
    sure = complete_labels(background, BACKSPINE, EVERY[:-1], np.ones(6, np.bool_))
    assert sure.tolist() == [BACKGROUND, BACKGROUND, BACKGROUND, DISC, CANAL, POSTERIOR]
    unsure = complete_labels(background, BACKSPINE, EVERY[:-1], np.zeros(6, np.bool_))
    assert unsure.tolist() == [BACKGROUND, BACKGROUND, BACKGROUND, IGNORE, IGNORE, IGNORE]


def test_above_backspine_s_bodies_is_no_sacrum_and_below_spider_s_discs_no_body() -> None:
    blank, sure = np.full(6, IGNORE, np.uint8), np.ones(6, np.bool_)
    above = complete_labels(blank, BACKSPINE, EVERY[:-1], sure)
    assert above.tolist() == [BACKGROUND, BODY, IGNORE, DISC, CANAL, POSTERIOR]
    below = complete_labels(blank, SPIDER, EVERY[:-1], sure)
    assert below.tolist() == [BACKGROUND, IGNORE, SACRUM, DISC, CANAL, POSTERIOR]


def test_only_training_slices_with_a_body_are_completed_and_repainted() -> None:
    packed = a_pack()
    rich = enrich(packed, right)
    # SPIDER takes every third slice only; slice 2 is not one of them, slice 3 has no body.
    assert rich.repainted.tolist() == [False] * 4 + [True]
    np.testing.assert_array_equal(rich.labels[1:4], packed.labels[1:])
    assert rich.complete.tolist() == [True, False, True, True, True]
    assert (rich.labels[0] == DISC).any()
    assert rich.source[4] == BACKSPINE
    assert not rich.held_out[4]
    assert rich.patient[4] < 0


def test_the_same_seed_repaints_the_same_way() -> None:
    np.testing.assert_array_equal(enrich(a_pack(), right).images, enrich(a_pack(), right).images)


def test_simulated_slices_are_cut_or_padded_to_the_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    def slices(_patients: int) -> Iterator[tuple[Labels, Labels]]:
        for shape in ((20, 30), (900, 900)):
            yield np.full(shape, 7, np.uint8), np.full(shape, BODY, np.uint8)

    monkeypatch.setattr(module, "simulated_slices", slices)
    packed = a_pack()
    rich = append_simulated(packed, 1)
    assert rich.images.shape == (6, *packed.images.shape[1:])
    assert rich.source[4:].tolist() == [SIMULATED, SIMULATED]
    assert (rich.labels[4] == BODY).sum() == 20 * 30
    assert (rich.labels[5] == BODY).all()
    assert len(set(rich.patient.tolist())) == 6
    assert rich.complete[4:].all()


def test_an_enriched_pack_is_read_back_equal(tmp_path: Path) -> None:
    packed = a_pack()
    np.savez(tmp_path / "rich.npz", **{name: getattr(packed, name) for name in Packed.__slots__})
    again = read_enriched(tmp_path / "rich.npz")
    for name in Packed.__slots__:
        np.testing.assert_array_equal(getattr(again, name), getattr(packed, name))
