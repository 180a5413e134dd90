"""Vertebral bone quality: a ratio of medians, and no score without a valid reference."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from analysis.domain.published import T1_VBQ_BY_DECADE
from analysis.domain.reason import quoted
from analysis.domain.segmentation import CsfSample, Level, Segmentation
from analysis.domain.volume import Volume
from analysis.measurement.vbq import bone_quality, csf_reference, level_scores
from analysis.phantom import SCANNERS, Resolution, SimulatedSeries, draw_anatomy, draw_patient, simulate
from tests.analysis.synthetic_bodies import (
    CSF_SIGNAL,
    LUMBAR,
    csf_on,
    example,
    grid,
    labels_on,
    segmentation_of,
    textured,
)


def flat(segmentation: Segmentation) -> Volume:
    """Body n has a signal of 200 + 10 n, the CSF its own, and borders and everything else 7."""
    voxels = np.full(segmentation.labels.shape, 7.0, dtype=np.float32)
    body = segmentation.labels > 0
    inner = body.copy()
    for axis in (1, 2):
        inner &= np.roll(body, 1, axis) & np.roll(body, -1, axis)
    voxels[inner] = 200.0 + 10.0 * segmentation.labels[inner]
    voxels[csf_on(segmentation.grid)] = CSF_SIGNAL
    return Volume(voxels, segmentation.grid)


def test_the_score_is_the_median_of_l1_to_l4_over_the_csf() -> None:
    _, segmentation = example()
    quality = bone_quality(flat(segmentation), segmentation, minimum_usable_levels=3)
    assert quality.score == pytest.approx(np.median([2.1, 2.2, 2.3, 2.4]))
    assert quality.levels == (Level.L1, Level.L2, Level.L3, Level.L4)
    assert quality.csf_signal == CSF_SIGNAL
    assert quality.concerns == ()


def test_every_level_has_its_own_score() -> None:
    _, segmentation = example()
    scores = level_scores(flat(segmentation), segmentation, CSF_SIGNAL)
    assert scores == pytest.approx({level: 2.0 + 0.1 * level for level in LUMBAR})
    assert level_scores(flat(segmentation), segmentation, None) == {}


def test_three_levels_are_enough_and_the_missing_one_is_told() -> None:
    _, segmentation = example()
    three = segmentation_of(
        segmentation.labels.copy(),
        segmentation.grid,
        usable=(Level.L1, Level.L2, Level.L4, Level.L5),
        csf=segmentation.csf,
    )
    quality = bone_quality(flat(three), three, minimum_usable_levels=3)
    assert quality.score == pytest.approx(2.2)
    assert quality.concerns == ("not measured: L3",)


def test_two_levels_are_too_few() -> None:
    _, segmentation = example()
    two = segmentation_of(
        segmentation.labels.copy(),
        segmentation.grid,
        usable=(Level.L1, Level.L2, Level.L5),
        csf=segmentation.csf,
    )
    quality = bone_quality(flat(two), two, minimum_usable_levels=3)
    assert quality.score is None
    assert "fewer than 3" in quality.concerns[-1]


@pytest.mark.parametrize(
    ("csf", "concern"),
    [
        (None, "no cerebrospinal fluid"),
        (CsfSample(np.zeros(grid().shape, dtype=np.bool_), 1.0), "no cerebrospinal fluid"),
        (CsfSample(csf_on(grid()), 0.49, (quoted("narrow canal"),)), "narrow canal"),
        (CsfSample(csf_on(grid()), float("nan")), "not good enough"),
    ],
)
def test_without_a_good_csf_there_is_no_score_but_a_reason(csf: CsfSample | None, concern: str) -> None:
    volume, segmentation = example()
    quality = bone_quality(volume, replace(segmentation, csf=csf), minimum_usable_levels=3)
    assert quality.score is None
    assert quality.csf_signal is None
    assert any(concern in told for told in quality.concerns)


def test_fluid_without_signal_is_no_reference() -> None:
    volume, segmentation = example()
    voxels = volume.voxels.copy()
    voxels[csf_on(volume.grid)] = 0.0
    signal, concerns = csf_reference(Volume(voxels, volume.grid), segmentation)
    assert signal is None
    assert "no signal" in concerns[-1]


def test_names_that_are_uncertain_give_no_score() -> None:
    volume, segmentation = example()
    quality = bone_quality(volume, replace(segmentation, levels_certain=False), minimum_usable_levels=3)
    assert quality.score is None
    assert "uncertain" in quality.concerns[-1]


def test_concerns_about_a_csf_that_is_good_enough_are_passed_on() -> None:
    volume, segmentation = example()
    doubtful = replace(segmentation, csf=CsfSample(csf_on(volume.grid), 0.6, (quoted("crowded roots"),)))
    quality = bone_quality(volume, doubtful, minimum_usable_levels=3)
    assert quality.score is not None
    assert quality.concerns == ("crowded roots",)


def test_a_curved_spine_is_measured_in_the_middle_of_each_body() -> None:
    """Only the three middle slices of every body have its signal, and each body is shifted sideways."""
    where = grid((17, 160, 90))
    shifts = (-3, -1, 0, 1, 3)
    labels = labels_on(where, shift_slices=shifts)
    voxels = textured(labels, where).voxels.copy()
    voxels[labels > 0] = 500.0
    for index, shift in enumerate(shifts):
        middle = where.shape[0] // 2 + shift
        body = labels[middle - 1 : middle + 2] == index + 1
        voxels[middle - 1 : middle + 2][body] = 230.0
    segmentation = segmentation_of(labels, where, csf=CsfSample(csf_on(where), 1.0))
    quality = bone_quality(Volume(voxels, where), segmentation, minimum_usable_levels=3)
    assert quality.score == pytest.approx(2.3)


def test_the_published_means_rise_from_youth_to_age() -> None:
    assert [one.first_year for one in T1_VBQ_BY_DECADE] == [20, 30, 40, 50, 60]
    means = [one.mean for one in T1_VBQ_BY_DECADE]
    assert means[0] == min(means)
    assert means[-1] == max(means)
    sds = [one.sd for one in T1_VBQ_BY_DECADE]
    assert (min(sds), max(sds)) == (0.57, 0.74)


@cache
def simulated(seed: int) -> SimulatedSeries:
    scanner = SCANNERS[0]
    patient = draw_patient(np.random.default_rng(seed))
    maps = draw_anatomy(patient, Resolution(lateral_mm=3.0, in_plane_mm=1.6))
    protocol = replace(scanner.t1, matrix=192, slices=11)
    return simulate(patient, scanner, protocol, np.random.default_rng(seed), maps)


@pytest.mark.parametrize("seed", [3, 11])
def test_the_score_of_a_simulated_patient_is_that_of_its_truth(seed: int) -> None:
    """The true score: medians of the whole bodies and of all fluid behind L3."""
    series = simulated(seed)
    where = series.volume.grid
    rows = np.flatnonzero((series.labels == Level.L3).any(axis=(0, 2)))
    behind = np.zeros(where.shape, dtype=np.bool_)
    behind[:, rows.min() : rows.max() + 1] = series.csf[:, rows.min() : rows.max() + 1]
    middle = np.flatnonzero((series.labels == Level.L3).any(axis=(1, 2)))
    behind[: int(np.median(middle)) - 1] = behind[int(np.median(middle)) + 2 :] = False
    labels = np.where(series.labels <= Level.L5, series.labels, 0).astype(np.uint8)
    quality = bone_quality(
        series.volume, segmentation_of(labels, where, csf=CsfSample(behind, 1.0)), minimum_usable_levels=3
    )
    bodies = [np.median(series.volume.voxels[labels == level]) for level in LUMBAR[:4]]
    truth = float(np.median(bodies) / np.median(series.volume.voxels[behind]))
    assert quality.score == pytest.approx(truth, rel=0.1)
    assert len(quality.levels) == 4


@pytest.mark.parametrize(("minimum", "told"), [(1, None), (2, None), (3, 3), (5, 4)])
def test_the_minimum_of_levels_is_the_caller_s_and_at_most_all_four(minimum: int, told: int | None) -> None:
    _, segmentation = example()
    labels, where = segmentation.labels.copy(), segmentation.grid
    two = segmentation_of(labels, where, usable=(Level.L1, Level.L2), csf=segmentation.csf)
    quality = bone_quality(flat(two), two, minimum_usable_levels=minimum)
    assert (quality.score is None) is (told is not None)
    if told is not None:
        assert quality.concerns[-1] == f"fewer than {told} of L1 to L4 can be measured"
