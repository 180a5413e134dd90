"""Slices of simulated patients: the only truth from side to side that training may use."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from analysis.domain.segmentation import Level
from analysis.phantom import SCANNERS, SimulatedSeries, draw_anatomy, draw_patient, simulate, vary
from analysis.segment.training.pack import PACKED_MM
from analysis.segment.training.truth import BACKGROUND, BODY, IGNORE, SACRUM

__all__ = ["simulated_slices"]

Labels = npt.NDArray[np.uint8]

_SEED = 7_000_000
"""Far from the seeds of cohorts, tests and the demonstration: none of their patients is trained on."""


def simulated_slices(patients: int) -> Iterator[tuple[Labels, Labels]]:
    """Yield grey values and classes of every slice of a T1 and a T2 series of each patient.

    Discs, canal and posterior elements are part of the background here.
    """
    for number in range(patients):
        rng = np.random.default_rng((_SEED, number))
        patient = draw_patient(rng)
        maps = draw_anatomy(patient)
        scanner = SCANNERS[number % len(SCANNERS)]
        for protocol in (scanner.t1, scanner.t2):
            yield from _slices(simulate(patient, scanner, vary(protocol, rng), rng, maps))


def _slices(series: SimulatedSeries) -> Iterator[tuple[Labels, Labels]]:
    voxels, labels = series.volume.voxels, series.labels
    level = float(np.percentile(voxels, 99.5))
    grey = (np.clip(voxels / level, 0, 1) * 255).astype(np.uint8)
    classes = np.full(labels.shape, BODY, np.uint8)
    classes[labels == 0] = BACKGROUND
    classes[labels == Level.S1] = SACRUM
    rows = np.flatnonzero((labels > 0).any(axis=(0, 2)))
    # Bodies above T11 have no name and no label.
    classes[:, : rows[0]] = IGNORE
    size = tuple(
        round(length * step / PACKED_MM)
        for length, step in zip(labels.shape[:0:-1], series.volume.grid.spacing_mm[:0:-1], strict=True)
    )
    for image, truth in zip(grey, classes, strict=True):
        yield (
            np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)),
            np.asarray(Image.fromarray(truth).resize(size, Image.Resampling.NEAREST)),
        )
