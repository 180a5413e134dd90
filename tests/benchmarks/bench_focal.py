"""How often signal unlike ordinary marrow is found, and how often it is told of a body that has none.

Run ``uv run python -m tests.benchmarks.bench_focal``; it takes a quarter of an hour. The outlines are the
true ones, those of "spider" are of the embedded network. "left out" of images as they came is no error rate:
some of these patients have such regions. Lesions are painted into real images and into simulated ones without
lesions of their own: the signal is multiplied by a factor, with its texture and noise, and a border of about
1 mm. The limits of `analysis.measurement.focal` were chosen with these images at hand, so the figures do not
estimate the performance on others.
"""

import argparse
import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, groupby

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console
from rich.table import Table

from analysis.domain.segmentation import Level, Region, Segmentation
from analysis.domain.volume import Grid, Volume
from analysis.measurement.focal import focal_reasons
from analysis.phantom import SCANNERS, cohort, draw_anatomy, simulate
from analysis.segment import segment
from tests.analysis.synthetic_bodies import SAGITTAL_AXES
from tests.benchmarks.bench_contrast import NAMED_T1_BUT_T2, stacked
from tests.focal_lesions import LESIONS, painted
from tests.peers import shared_data
from tests.real_images import chu_case


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One series with its true outlines."""

    source: str
    contrast: str
    name: str
    volume: Volume
    segmentation: Segmentation
    lesions: frozenset[Level] = frozenset()
    """Bodies that were simulated with a lesion."""


def main() -> None:
    """Print both tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--patients", type=int, default=20, help="simulated patients")
    options.add_argument("--every", type=int, default=1, help="take every n-th patient of two sets")
    options.add_argument("--paint", type=int, default=4, help="paint into every n-th of these")
    chosen = options.parse_args()
    counts: dict[str, list[int]] = {}
    found: dict[tuple[str, str, str], list[int]] = {}
    longest: dict[str, float] = {}
    console = Console(width=140)
    sources = (_chu(), _spider(chosen.every), _backspine(chosen.every), _simulated(chosen.patients))
    for number, case in enumerate(chain(*sources)):
        key = f"{case.source} {case.contrast}"
        start = time.perf_counter()
        left_out = _left_out(case)
        longest[key] = max(longest.get(key, 0.0), time.perf_counter() - start)
        count = counts.setdefault(key, [0, 0, 0, 0])
        count[0] += len(case.segmentation.usable_lumbar)
        count[1] += len(left_out)
        count[2] += len(set(left_out) & case.lesions)
        count[3] += len(case.segmentation.usable_lumbar) - len(left_out) < 3
        for level, reasons in left_out.items():
            console.print(f"{key} {case.name} {level.name}: {'; '.join(reasons)}")
        if case.source == "chu" or number % chosen.paint == 0:
            for kind, hit in _painted(case, set(left_out) | case.lesions):
                found.setdefault((kind, case.contrast, case.source), []).append(hit)
    console.print(_specificity(counts, longest))
    console.print(_sensitivity(found))


def _specificity(counts: dict[str, list[int]], longest: dict[str, float]) -> Table:
    table = Table("series", "bodies", "left out", "share", "of these simulated with a lesion",
                  "series with fewer than 3 left", "longest", title="Images as they came")  # fmt: skip
    for key, (bodies, left_out, true, few) in counts.items():
        share = f"{left_out / max(bodies, 1):.1%}"
        table.add_row(key, str(bodies), str(left_out), share, str(true), str(few), f"{longest[key]:.2f} s")
    return table


def _sensitivity(found: dict[tuple[str, str, str], list[int]]) -> Table:
    table = Table("lesion", "factor", "contrast", "source", "painted", "found", title="Painted lesions")
    for (kind, contrast, source), hits in sorted(found.items()):
        factor = f"{LESIONS[kind].factors[contrast]:.2f}"
        table.add_row(kind, factor, contrast, source, str(len(hits)), f"{np.mean(hits):.0%}")
    return table


def _left_out(case: Case) -> dict[Level, tuple[str, ...]]:
    reasons = focal_reasons(case.volume, case.segmentation)
    shown = {one.level for one in case.segmentation.usable_lumbar}
    return {level: tuple(map(str, why)) for level, why in reasons.items() if level in shown}


def _painted(case: Case, other_than: set[Level]) -> Iterator[tuple[str, int]]:
    """Yield whether each lesion was found in its body, one body after the other."""
    free = [one.level for one in case.segmentation.usable_lumbar if one.level not in other_than]
    rng = np.random.default_rng(5)
    for turn, kind in enumerate(LESIONS):
        if case.contrast in LESIONS[kind].factors and free:
            level = free[turn % len(free)]
            volume = painted(case.volume, case.segmentation.labels, level, (kind, case.contrast), rng)
            yield kind, int(level in _left_out(replace(case, volume=volume)))


def _segmentation(labels: npt.NDArray[np.uint8], grid: Grid) -> Segmentation:
    lumbar = np.where(labels <= Level.L5, labels, 0).astype(np.uint8)
    present = [Level(int(value)) for value in np.unique(lumbar) if value]
    regions = tuple(Region(level, 1.0, (0.0, 0.0, 0.0), 1.0, usable=True) for level in present)
    return Segmentation(lumbar, grid, regions, 1.0, True, None, (), "truth")


def _chu() -> Iterator[Case]:
    for number in (*range(1, 9), 16):
        case = chu_case(number)
        segmentation = _segmentation(case.labels, case.volume.grid)
        yield Case("chu", "T2", f"case{number:02d}", case.volume, segmentation)


def _spider(every: int) -> Iterator[Case]:
    folder = shared_data("spider_t2space", "images")
    with shared_data("index.csv").open(encoding="utf-8") as index:
        names = [row["name"].split("_") for row in csv.DictReader(index) if row["set"] == "spider_t2space"]
    slices = sorted((int(patient), int(number)) for patient, number in names)
    patients = [(number, list(group)) for number, group in groupby(slices, key=lambda one: one[0])]
    for patient, group in patients[::every]:
        paths = [folder / f"{patient}_{number}.jpg" for _, number in group]
        volume = stacked(paths, (0.9, 0.55, 0.55))
        yield Case("spider", "T2", str(patient), volume, segment(volume))


def _backspine(every: int) -> Iterator[Case]:
    with shared_data("index.csv").open(encoding="utf-8") as index:
        names = [row["name"] for row in csv.DictReader(index) if row["set"] == "backspine"]
    for name in names[::every]:
        grey = Image.open(shared_data("backspine", "images", f"{name}.jpg")).convert("L")
        voxels = np.asarray(grey, dtype=np.float32)[None].copy()
        grid = Grid((1, *voxels.shape[1:]), (4.0, 0.57, 0.57), (0.0, 0.0, 0.0), SAGITTAL_AXES)
        path = shared_data("backspine", "labels", f"{name}.png")
        labels = np.asarray(Image.open(path), dtype=np.uint8)[None]
        contrast = "T2" if name in NAMED_T1_BUT_T2 else "T1"
        yield Case("backspine", contrast, name, Volume(voxels, grid), _segmentation(labels, grid))


def _simulated(patients: int) -> Iterator[Case]:
    for patient in cohort(patients, seed=77):
        scanner = SCANNERS[patient.number % len(SCANNERS)]
        maps = draw_anatomy(patient)
        lesions = frozenset(
            body.level for body in patient.spine.bodies if body.level is not None and body.lesions
        )
        for contrast, protocol in (("T1", scanner.t1), ("T2", scanner.t2)):
            rng = np.random.default_rng((patient.number, 3))
            series = simulate(patient, scanner, replace(protocol, slices=9), rng, maps)
            segmentation = _segmentation(series.labels, series.volume.grid)
            yield Case("simulated", contrast, f"{patient.number}", series.volume, segmentation, lesions)


if __name__ == "__main__":
    main()
