"""Training slices of simulated patients, the only training labels over the whole width of the spine."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from analysis.domain.segmentation import Level
from analysis.phantom import (
    SCANNERS,
    Protocol,
    SimulatedPatient,
    SimulatedSeries,
    Tissue,
    TissueMaps,
    draw_anatomy,
    draw_patient,
    simulate,
    vary,
)
from analysis.segment.training.pack import PACKED_MM
from analysis.segment.training.truth import BACKGROUND, BODY, CANAL, DISC, IGNORE, POSTERIOR, SACRUM

__all__ = ["simulated_slices"]

Labels = npt.NDArray[np.uint8]

_SEED = 7_000_000
"""Not used by cohorts, tests and the demonstration, so that none of their patients is in training."""

_COVERED_MM = 84.0
_MIDLINE_MM = 9.0
_MIDLINE_SHARE = 0.35
"""Fraction of simulated midline slices that are kept; real slices show the midline better."""


def simulated_slices(patients: int) -> Iterator[tuple[Labels, Labels]]:
    """Yield grey values and classes of the slices of two series of each patient, most of them lateral."""
    for number in range(patients):
        rng = np.random.default_rng((_SEED, number))
        patient = draw_patient(rng)
        maps = _pad_waists(draw_anatomy(patient), rng)
        maps = replace(maps, labels=_classes(maps, patient))
        scanner = SCANNERS[number % len(SCANNERS)]
        for protocol in (scanner.t1, scanner.t2):
            series = simulate(patient, scanner, _any_protocol(protocol, rng), rng, maps)
            yield from _slices(series, patient, rng)


def _any_protocol(protocol: Protocol, rng: np.random.Generator) -> Protocol:
    """Vary the slice thickness and, for half of the series, TR and TE between T1, proton density and T2."""
    thickness = float(rng.uniform(1.5, 5.5))
    spacing = thickness * float(rng.uniform(1.0, 1.2))
    varied = replace(
        vary(protocol, rng),
        thickness_mm=thickness,
        spacing_mm=spacing,
        slices=round(_COVERED_MM / spacing),
    )
    if rng.random() < 0.5:
        return varied
    return replace(
        varied,
        repetition_ms=float(np.exp(rng.uniform(np.log(350.0), np.log(5000.0)))),
        echo_ms=float(np.exp(rng.uniform(np.log(8.0), np.log(120.0)))),
    )


def _pad_waists(maps: TissueMaps, rng: np.random.Generator) -> TissueMaps:
    """Put fat and the lumbar vessels between the concave sides of the bodies and the muscle beside them."""
    bodies = maps.labels > 0
    deep = ndimage.binary_dilation(bodies, np.ones((3, 1, 1), np.bool_), iterations=int(rng.integers(1, 4)))
    near = ndimage.binary_dilation(deep, ndimage.generate_binary_structure(3, 1), iterations=2)
    soft = np.isin(maps.tissue, (Tissue.MUSCLE, Tissue.LIGAMENT, Tissue.BLOOD))
    before = maps.back_mm[None, None, :] < maps.wall_mm[None, :, None] + 3.0
    shell = near & soft & before & (np.abs(maps.lateral_mm)[:, None, None] > 9.0)
    noise = ndimage.zoom(rng.standard_normal([-(-length // 6) for length in shell.shape]), 6, order=1)
    noise = noise[: shell.shape[0], : shell.shape[1], : shell.shape[2]]
    fat = shell & (noise > rng.uniform(-0.9, 0.5))
    vessel = shell & ~fat & (noise < -0.8)
    tissue, water, fatty = maps.tissue.copy(), maps.water.copy(), maps.fat.copy()
    for where, kind, of_water, of_fat in ((fat, Tissue.FAT, 0.06, 0.9), (vessel, Tissue.BLOOD, 0.3, 0.02)):
        tissue[where], water[where], fatty[where] = kind, of_water, of_fat
    return replace(maps, tissue=tissue, water=water, fat=fatty)


def _classes(maps: TissueMaps, patient: SimulatedPatient) -> Labels:
    """Return the class of every point of the maps."""
    tissue, named = maps.tissue, maps.labels
    sacrum = patient.spine.body(Level.S1)
    aside = np.abs(maps.lateral_mm)[:, None, None]
    depth = maps.back_mm[None, None, :] - maps.wall_mm[None, :, None]
    above_sacrum = maps.up_mm[None, :, None] > sacrum.centre[2] + sacrum.height_mm / 2
    classes = np.full(named.shape, BACKGROUND, np.uint8)
    bone = np.isin(tissue, (Tissue.MARROW, Tissue.CORTEX)) & (named == 0)
    classes[bone & above_sacrum & (depth > 1.0)] = POSTERIOR
    fluid = np.isin(tissue, (Tissue.CSF, Tissue.NERVE)) & (aside < 12.0) & (depth > 0.0)
    classes[fluid] = CANAL
    # Readers do not label the rudimentary discs inside the sacrum.
    classes[(tissue >= Tissue.DISC) & (maps.up_mm[None, :, None] > sacrum.centre[2])] = DISC
    classes[named > 0] = BODY
    classes[named == Level.S1] = SACRUM
    return classes


def _slices(
    series: SimulatedSeries, patient: SimulatedPatient, rng: np.random.Generator
) -> Iterator[tuple[Labels, Labels]]:
    voxels, classes = series.volume.voxels, series.labels.copy()
    grid = series.volume.grid
    level = float(np.percentile(voxels, 99.5))
    grey = (np.clip(voxels / level, 0, 1) * 255).astype(np.uint8)
    rows = np.flatnonzero((classes == BODY).any(axis=(0, 2)))
    # Bodies above T11 have no level and no label.
    classes[:, : rows[0]] = IGNORE
    middle = patient.spine.body(Level.L3).centre[0]
    _, rows_mm, columns_mm = (length * step for length, step in zip(grid.shape, grid.spacing_mm, strict=True))
    size = (round(columns_mm / PACKED_MM), round(rows_mm / PACKED_MM))
    for number, (image, truth) in enumerate(zip(grey, classes, strict=True)):
        offset = (number - (len(grey) - 1) / 2) * grid.spacing_mm[0] + middle
        if abs(offset) < _MIDLINE_MM and rng.random() > _MIDLINE_SHARE:
            continue
        yield (
            np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)),
            np.asarray(Image.fromarray(truth).resize(size, Image.Resampling.NEAREST)),
        )
