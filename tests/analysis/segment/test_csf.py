"""The sampled signal of the cerebrospinal fluid against the true one in simulated patients."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from analysis.domain.acquisition import Contrast
from analysis.domain.segmentation import Level
from analysis.measurement.vbq import MINIMUM_CSF_QUALITY
from analysis.phantom import (
    SCANNERS,
    Resolution,
    SimulatedPatient,
    SimulatedSeries,
    TissueMaps,
    cohort,
    draw_anatomy,
    simulate,
    vary,
)
from analysis.segment.csf import sample_csf

PATIENTS = {patient.number: patient for patient in cohort(20, 77)[:4]}
WORST = 0.08
"""In 40 series of 20 patients the largest error was 6 %, the median 1 %, and none was refused."""


@cache
def maps_of(number: int) -> TissueMaps:
    return draw_anatomy(PATIENTS[number], Resolution(2.5, 1.2))


@cache
def image(number: int, contrast: Contrast) -> SimulatedSeries:
    patient: SimulatedPatient = PATIENTS[number]
    scanner = SCANNERS[number % len(SCANNERS)]
    rng = np.random.default_rng((3, number))
    protocol = vary(scanner.t1 if contrast is Contrast.T1 else scanner.t2, rng)
    return simulate(patient, scanner, replace(protocol, matrix=256), rng, maps_of(number))


def canal_of(series: SimulatedSeries) -> np.ndarray:
    """Return the probability of the canal: fluid and nerve roots, with a soft border."""
    closed = [ndimage.binary_closing(np.pad(one, 9), iterations=6)[9:-9, 9:-9] for one in series.csf]
    return np.asarray(ndimage.gaussian_filter(np.stack(closed).astype(np.float32), (0, 1, 1)))


def true_signal(series: SimulatedSeries) -> float:
    """Return the median signal of the true fluid on the three middle slices behind L3."""
    rows = np.flatnonzero((series.labels == Level.L3).any(axis=(0, 2)))
    pure = np.stack([ndimage.binary_erosion(one) for one in series.csf])
    pure[:, : rows[0]] = False
    pure[:, rows[-1] + 1 :] = False
    middle = int(pure.sum(axis=(1, 2)).argmax())
    return float(np.median(series.volume.voxels[middle - 1 : middle + 2][pure[middle - 1 : middle + 2]]))


@pytest.mark.parametrize("number", list(PATIENTS))
@pytest.mark.parametrize("contrast", [Contrast.T1, Contrast.T2])
def test_the_sampled_signal_is_that_of_the_fluid(number: int, contrast: Contrast) -> None:
    series = image(number, contrast)
    sample = sample_csf(canal_of(series), series.labels, series.volume.voxels, series.volume.grid.spacing_mm)
    assert sample is not None
    assert sample.quality >= MINIMUM_CSF_QUALITY
    found = float(np.median(series.volume.voxels[sample.mask]))
    assert found == pytest.approx(true_signal(series), rel=WORST)
    assert (series.csf & sample.mask).sum() > 0.9 * sample.mask.sum()


def test_fluid_that_the_image_cannot_store_is_no_reference() -> None:
    series = image(1, Contrast.T2)
    clipped = np.minimum(series.volume.voxels, 0.9 * true_signal(series)).astype(np.float32)
    sample = sample_csf(canal_of(series), series.labels, clipped, series.volume.grid.spacing_mm)
    assert sample is not None
    assert sample.quality < MINIMUM_CSF_QUALITY
    assert any("brighter than the image can store" in words for words in sample.concerns)
