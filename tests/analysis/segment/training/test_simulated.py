"""Simulated training slices: every class is labelled, and most slices are lateral."""

import numpy as np
import numpy.typing as npt
import pytest

from analysis.segment.training.simulated import simulated_slices
from analysis.segment.training.truth import BACKGROUND, BODY, CANAL, DISC, IGNORE, POSTERIOR, SACRUM

Labels = npt.NDArray[np.uint8]
Slices = list[tuple[Labels, Labels]]


@pytest.fixture(scope="module")
def slices() -> Slices:
    return list(simulated_slices(1))


def test_images_and_labels_have_one_size(slices: Slices) -> None:
    assert len(slices) > 10
    for image, labels in slices:
        assert image.shape == labels.shape
        assert image.dtype == labels.dtype == np.uint8


def test_every_class_occurs_and_nothing_but_the_rows_above_the_bodies_is_ignored(slices: Slices) -> None:
    seen = set(np.unique(np.concatenate([labels.ravel() for _, labels in slices])).tolist())
    assert seen - {IGNORE} == {BACKGROUND, BODY, SACRUM, DISC, CANAL, POSTERIOR}
    top = min(
        np.flatnonzero((labels == BODY).any(axis=1))[0] for _, labels in slices if (labels == BODY).any()
    )
    for _, labels in slices:
        assert (labels[: max(0, top - 1)] == IGNORE).all()
        assert (labels[top:] != IGNORE).all()


def test_most_slices_do_not_show_the_canal(slices: Slices) -> None:
    with_canal = sum((labels == CANAL).sum() > 500 for _, labels in slices)
    assert with_canal < len(slices) / 2


def test_the_sacrum_lies_below_the_bodies(slices: Slices) -> None:
    shown = [labels for _, labels in slices if (labels == SACRUM).any() and (labels == BODY).any()]
    assert shown
    for labels in shown:
        sacrum, body = (np.argwhere(labels == one)[:, 0].mean() for one in (SACRUM, BODY))
        assert sacrum > body
