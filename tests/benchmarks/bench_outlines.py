"""Measure how far outlines lie from the manual outlines and from the edge of the marrow.

Run ``python -m tests.benchmarks.bench_outlines DATA [--patients N] [--source NAME] [--manual]``, where `DATA`
is the folder with the public images that NOTICE names. Every held-out patient is segmented as the node does
it. Distances are positive where the outline lies outside, and are given for the four sides of each body on
its middle slices:

* **manual**: from the manual outline, where there is one;
* **edge**: from the half-maximum edge of the marrow, on a profile along the outline's normal: where the
  signal is half-way between that of the marrow and the darkest point of the border (cortex or ligament).
  This is measured on the image's own pixels, independently of `analysis.segment.marrow_edge`.

With ``--manual`` the manual outlines themselves are measured against the edge: what the network has learned.
The second table has the Dice of slices by their distance from the middle of the body.
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.segmentation import CRANIAL_TO_CAUDAL, Level
from analysis.segment.embedded import segment
from analysis.segment.training.evaluate import Example, examples, score

__all__ = ["Distances", "distances", "edge_of_marrow", "overlaps"]

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.uint8]

SIDES = ("above", "below", "front", "behind")
_MIDDLE_MM = 10.0
_SIDE_COSINE = 0.85
"""Normals within about 32 degrees of a direction belong to that side; the corners belong to none."""
_STEP_MM = 0.1
_DARKEST_MM = (-3.0, 2.5)
_MARROW_MM = (-6.5, -3.5)
_LEAST_CONTRAST = 0.3
"""Part of the marrow's signal that a border must fall by to show an edge."""
_PLACES_MM = ((0.0, 8.0), (8.0, 14.0), (14.0, 18.0), (18.0, 30.0))
_UNNAMED = 255


@dataclass(frozen=True, slots=True, eq=False)
class Distances:
    """Distances of the points of one outline, in mm; positive if the outline lies outside.

    Attributes
    ----------
    level : Level
        The body.
    side : ndarray of int, shape (points,)
        Position in `SIDES`, or -1 for a corner.
    edge, manual : ndarray of float, shape (points,)
        From the edge of the marrow and from the manual outline; nan where there is none.
    """

    level: Level
    side: npt.NDArray[np.int64]
    edge: Floats
    manual: Floats


def edge_of_marrow(profiles: Floats, at_mm: Floats) -> Floats:
    """Find the half-maximum edge on profiles that run from the marrow outwards.

    Parameters
    ----------
    profiles : ndarray of float, shape (points, steps)
        Signal along the normals.
    at_mm : ndarray of float, shape (steps,)
        Distance from the outline.

    Returns
    -------
    ndarray of float, shape (points,)
        Position of the edge; nan where the border is not darker than the marrow.
    """
    marrow = np.median(profiles[:, (at_mm >= _MARROW_MM[0]) & (at_mm <= _MARROW_MM[1])], axis=1)
    near = np.flatnonzero((at_mm >= _DARKEST_MM[0]) & (at_mm <= _DARKEST_MM[1]))
    darkest = near[np.argmin(profiles[:, near], axis=1)]
    dark = profiles[np.arange(len(profiles)), darkest]
    half = (marrow + dark) / 2
    # From the darkest point inwards, so that veins and trabeculae inside the body are not reached first.
    inside = (np.arange(len(at_mm))[None] <= darkest[:, None]) & (profiles >= half[:, None])
    last = len(at_mm) - 1 - np.argmax(inside[:, ::-1], axis=1)
    found = inside.any(axis=1) & (marrow - dark >= _LEAST_CONTRAST * marrow) & (marrow > 0)
    return np.where(found, at_mm[last] + _STEP_MM / 2, np.nan)


def distances(
    signal: Floats, labels: Labels, truth: Labels | None, spacing_mm: tuple[float, float, float]
) -> Iterator[Distances]:
    """Measure every body's outline on its middle slices.

    Parameters
    ----------
    signal : ndarray of float, shape (slices, rows, columns)
        The image; rows to the feet, columns to the back.
    labels : ndarray of uint8, same shape
        `Level` values of the outlines.
    truth : ndarray of uint8, same shape, or None
        `Level` values of the manual outlines, or 255 for bodies without a level.
    spacing_mm : tuple of float
        Distance between slices, rows and columns.
    """
    shown = [level for level in CRANIAL_TO_CAUDAL if (labels == level).any()]
    centres = {level: np.argwhere(labels == level).mean(axis=0) * spacing_mm for level in shown}
    for at, level in enumerate(shown):
        if level is Level.S1:
            continue
        step = centres[shown[max(0, at - 1)]] - centres[shown[min(len(shown) - 1, at + 1)]]
        up = step[1:] / max(float(np.hypot(*step[1:])), 1e-9)
        own = labels == level
        areas = own.sum(axis=(1, 2))
        middle = float(areas @ np.arange(len(areas))) / areas.sum()
        near = np.abs(np.arange(len(areas)) - middle) * spacing_mm[0] <= max(_MIDDLE_MM, 0.51 * spacing_mm[0])
        parts = []
        for number in np.flatnonzero(near & (areas > 0)):
            manual = None if truth is None else (truth[number] == level) | (truth[number] == _UNNAMED)
            parts.append(_on_slice(signal[number], own[number], manual, up, spacing_mm[1:]))
        side, edge, manual_mm = (np.concatenate(one) for one in zip(*parts, strict=True))
        yield Distances(level, side, edge, manual_mm)


def _on_slice(
    signal: Floats, own: npt.NDArray[np.bool_], manual: npt.NDArray[np.bool_] | None, up: Floats,
    pixel_mm: tuple[float, float],
) -> tuple[npt.NDArray[np.int64], Floats, Floats]:  # fmt: skip
    depth = _outside_mm(own, pixel_mm)
    smooth = ndimage.gaussian_filter(depth, [1.5 / one for one in pixel_mm])
    rows, columns = np.nonzero(own & (depth > -1.5 * max(pixel_mm)))
    normal = np.stack(
        [np.gradient(smooth, one, axis=axis)[rows, columns] for axis, one in enumerate(pixel_mm)]
    )
    normal /= np.maximum(np.hypot(*normal), 1e-9)
    start = np.stack([rows * pixel_mm[0], columns * pixel_mm[1]]) - normal * depth[rows, columns]
    at = np.arange(_MARROW_MM[0], _DARKEST_MM[1] + _STEP_MM / 2, _STEP_MM)
    points = start[:, :, None] + normal[:, :, None] * at
    points /= np.array(pixel_mm)[:, None, None]
    profiles = ndimage.map_coordinates(signal, points.reshape(2, -1), order=1, mode="nearest")
    edge = -edge_of_marrow(profiles.reshape(len(rows), -1), at)
    upwards, backwards = up @ normal, np.array([-up[1], up[0]]) @ normal * -1.0
    cosines = np.stack([upwards, -upwards, -backwards, backwards])
    side = np.where(cosines.max(axis=0) >= _SIDE_COSINE, cosines.argmax(axis=0), -1)
    if manual is None or not manual.any():
        return side, edge, np.full(len(rows), np.nan)
    away = _outside_mm(manual, pixel_mm)
    on = ndimage.map_coordinates(away, start / np.array(pixel_mm)[:, None], order=1, mode="nearest")
    return side, edge, np.where(np.abs(on) < 6.0, on, np.nan)


def _outside_mm(mask: npt.NDArray[np.bool_], pixel_mm: tuple[float, float]) -> Floats:
    """Return the signed distance of pixels from the border of a mask, positive outside."""
    # The border runs half-way between a pixel and its neighbour on the other side.
    half = (pixel_mm[0] + pixel_mm[1]) / 4
    outside = ndimage.distance_transform_edt(~mask, sampling=pixel_mm) - half
    inside = ndimage.distance_transform_edt(mask, sampling=pixel_mm) - half
    return np.asarray(np.where(mask, -inside, outside))


def overlaps(
    labels: Labels, truth: Labels, slice_mm: float
) -> Iterator[tuple[tuple[float, float], int, int, int]]:
    """Compare every manually outlined body slice by slice.

    Yields
    ------
    place : tuple of float
        Range of distances from the middle of the body, in mm.
    common, manual, found : int
        Pixels of both outlines, of the manual one, and of the found one.
    """
    for level in np.unique(truth[(truth > 0) & (truth != Level.S1)]):
        own, found = truth == level, labels == level
        shown = np.flatnonzero(own.any(axis=(1, 2)))
        middle = float(shown.mean())
        for number in range(len(own)):
            counts = (own[number] & found[number]).sum(), own[number].sum(), found[number].sum()
            aside = abs(number - middle) * slice_mm
            place = next((one for one in _PLACES_MM if one[0] <= aside < one[1]), None)
            if place is not None and (counts[1] or counts[2]):
                yield place, int(counts[0]), int(counts[1]), int(counts[2])


@dataclass(slots=True)
class _Tables:
    """What was measured of one source."""

    points: dict[str, list[Distances]] = field(default_factory=lambda: defaultdict(list))
    sizes: dict[tuple[float, float], list[tuple[int, int, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    dice: list[float] = field(default_factory=list)

    def add(self, example: Example, labels: Labels, *, named: bool) -> None:
        """Measure one patient."""
        spacing = example.volume.grid.spacing_mm
        for one in distances(example.volume.voxels, labels, example.truth, spacing):
            self.points[one.level.name].append(one)
        if named:
            for place, *counts in overlaps(labels, example.truth, spacing[0]):
                self.sizes[place].append((counts[0], counts[1], counts[2]))

    def text(self) -> str:
        """Format the tables."""
        head = "".join(f"{side:>22}" for side in SIDES)
        lines = [f"  {'':6}{head}", f"  {'':6}" + f"{'edge':>11}{'manual':>11}" * len(SIDES)]
        groups = dict(self.points)
        groups["all"] = [one for parts in self.points.values() for one in parts]
        for name, parts in groups.items():
            cells = ""
            for side in range(len(SIDES)):
                for kind in ("edge", "manual"):
                    values = np.concatenate([getattr(one, kind)[one.side == side] for one in parts])
                    values = values[np.isfinite(values)]
                    cells += f"{np.median(values):+11.2f}" if len(values) else f"{'':>11}"
            lines.append(f"  {name:6}{cells}")
        for place in sorted(self.sizes):
            common, manual, found = np.sum(self.sizes[place], axis=0)
            dice = 2 * common / (manual + found)
            lines.append(
                f"  {place[0]:.0f} to {place[1]:.0f} mm from the middle: Dice {dice:.3f}, "
                f"{manual} pixels, {found} found, {common} of them right"
            )
        if self.dice:
            lines.append(f"  Dice of bodies {np.mean(self.dice):.3f}, lowest {np.min(self.dice):.3f}")
        return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Measure how far outlines lie from manual ones and edges.")
    parser.add_argument("data", type=Path, help="Folder with the public images.")
    parser.add_argument(
        "--patients", type=int, default=1000, help="Use only the first patients of each source."
    )
    parser.add_argument("--source", default="", help="Only sources whose name begins like this.")
    parser.add_argument("--manual", action="store_true", help="Measure the manual outlines.")
    options = parser.parse_args()
    tables: dict[str, _Tables] = defaultdict(_Tables)
    patients: Counter[str] = Counter()
    for example in examples(options.data):
        wanted = example.nameable and "inverted" not in example.source
        if not (wanted and example.source.startswith(options.source)):
            continue
        patients[example.source] += 1
        if patients[example.source] > options.patients:
            continue
        named = not (example.truth == _UNNAMED).any()
        if options.manual:
            if named:
                tables[example.source].add(example, example.truth, named=False)
            continue
        found = segment(example.volume)
        tables[example.source].add(example, found.labels, named=named)
        tables[example.source].dice.append(score(example, found).bodies)
    for source, table in tables.items():
        sys.stdout.write(f"{source}\n{table.text()}\n")


if __name__ == "__main__":
    main()
