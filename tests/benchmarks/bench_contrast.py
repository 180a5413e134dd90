"""How often a header that does not fit the pixels is caught, by source, vendor and direction.

Run ``uv run python -m tests.benchmarks.bench_contrast``; with all real images it takes half an hour. Every
series is segmented with the embedded network and then said to be T1 and to be T2. "caught" is a refusal,
"unclear" a warning with which every prediction abstains. "no bodies" stands for fewer than two lumbar
bodies. Whether they are usable is not asked, because "backspine" has one slice of each patient, "spider" a
few thin ones. Fat-suppressed and TIRM series of "chu" and "spider" are made from real T2
(tests/fat_suppression.py), not acquired. Inverted series are those shown as negatives.

The limits of `analysis.measurement.tissue_order` were chosen with these images at hand, so the figures do not
estimate the performance on others.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from analysis.domain.acquisition import Contrast
from analysis.domain.segmentation import Segmentation
from analysis.domain.volume import Grid, Volume
from analysis.errors import RefusedError
from analysis.measurement.tissue_order import TissueOrder, doubts_about_contrast, tissue_order
from analysis.phantom import SCANNERS, Scanner, cohort, draw_anatomy, fat_suppressed, inverted, simulate
from analysis.phantom.protocol import Protocol
from analysis.segment import segment
from tests.analysis.synthetic_bodies import SAGITTAL_AXES
from tests.fat_suppression import STRENGTHS, suppressed
from tests.peers import shared_data
from tests.real_images import chu_case

NAMED_T1_BUT_T2 = frozenset({"T1_0267_S8", "T1_0401_S8", "T1_0408_S8"})
"""Slices of BackSpine, a set of T1, that are T2: bright fluid, seen by eye."""
INVERSION_MS = {0.3: 150.0, 1.5: 190.0, 3.0: 220.0}
"""TI near the null of fat at each field strength."""
_FEWEST_BODIES = 2
_SLAB = 15
"""Slices around the middle that are kept of a volume."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One series and what its pixels show; None if it could not be segmented."""

    source: str
    truth: str
    name: str
    order: TissueOrder | None


def main() -> None:
    """Print the answers."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--patients", type=int, default=3, help="simulated patients of each vendor")
    options.add_argument("--every", type=int, default=1, help="take every n-th real image")
    chosen = options.parse_args()
    seen = [*_simulated(chosen.patients), *_backspine(chosen.every), *_real_t2(chosen.every)]
    console = Console(width=140)
    console.print(_answers(seen))
    console.print(_measures(seen))
    for one in seen:
        for told in (Contrast.T1, Contrast.T2):
            answer = _answer(one.order, told)
            if (told.value == one.truth) != (answer == "passed"):
                console.print(f"{one.source} {one.name}, {one.truth} called {told}: {answer}; {one.order}")


def _answers(seen: list[Seen]) -> Table:
    table = Table(
        "source", "truth", "called", "series", "passed", "unclear", "caught", "no bodies",
        title="A true header should pass, any other be caught",
    )  # fmt: skip
    for (source, truth), group in groupby(
        sorted(seen, key=lambda one: (one.source, one.truth)), key=lambda one: (one.source, one.truth)
    ):
        own = list(group)
        for told in (Contrast.T1, Contrast.T2):
            counts = Counter(_answer(one.order, told) for one in own)
            row = [str(counts[name]) for name in ("passed", "unclear", "caught", "no bodies")]
            table.add_row(source, truth, told.value, str(len(own)), *row)
    return table


def _measures(seen: list[Seen]) -> Table:
    table = Table("source", "truth", "fluid", "reference", "fat", "under skin", title="Least, median, most")
    for (source, truth), group in groupby(
        sorted(seen, key=lambda one: (one.source, one.truth)), key=lambda one: (one.source, one.truth)
    ):
        orders = [one.order for one in group if one.order is not None]
        row = []
        for name in ("fluid", "reference", "fat", "under_skin"):
            values = [value for order in orders if (value := getattr(order, name)) is not None]
            row.append(" ".join(f"{one:.2f}" for one in np.quantile(values, (0, 0.5, 1))) if values else "")
        table.add_row(source, truth, *row)
    return table


def _answer(order: TissueOrder | None, told: Contrast) -> str:
    if order is None:
        return "no bodies"
    try:
        return "unclear" if doubts_about_contrast(order, told) else "passed"
    except RefusedError:
        return "caught"


def _look(source: str, truth: str, name: str, volume: Volume) -> Iterator[Seen]:
    """Yield the series, and its negative if it is a plain one."""
    found = _segmented(volume)
    yield Seen(source, truth, name, None if found is None else tissue_order(volume, found))
    if truth in {"T1", "T2"}:
        negative = Volume(volume.voxels.max() - volume.voxels, volume.grid)
        found = _segmented(negative)
        order = None if found is None else tissue_order(negative, found)
        yield Seen(source, f"{truth} inverted", name, order)


def _segmented(volume: Volume) -> Segmentation | None:
    try:
        found = segment(volume)
    except RefusedError:
        return None
    return found if sum(region.level.lumbar for region in found.regions) >= _FEWEST_BODIES else None


def _simulated(patients: int) -> Iterator[Seen]:
    for patient in cohort(patients, seed=77):
        maps = draw_anatomy(patient)
        for scanner in SCANNERS:
            for number, (truth, protocol) in enumerate(_protocols(scanner)):
                rng = np.random.default_rng((patient.number, number))
                series = simulate(patient, scanner, replace(protocol, slices=5), rng, maps)
                yield from _look(scanner.site, truth, f"patient {patient.number}", series.volume)


def _protocols(scanner: Scanner) -> Iterator[tuple[str, Protocol]]:
    yield "T1", scanner.t1
    yield "T2", scanner.t2
    for kept in (0.05, 0.15, 0.3):
        yield f"T2 fs, fat {kept:.0%}", fat_suppressed(scanner.t2, fat_kept=kept)
    yield "T1 fs, fat 15%", fat_suppressed(scanner.t1, fat_kept=0.15)
    yield "TIRM", inverted(scanner.t2, inversion_ms=INVERSION_MS[scanner.field_t])


def _backspine(every: int) -> Iterator[Seen]:
    for truth, name, volume in backspine(every):
        yield from _look("backspine", truth, name, volume)


def backspine(every: int) -> Iterator[tuple[str, str, Volume]]:
    """Yield true contrast, name and image of every n-th slice, and of all that are named wrongly."""
    folder = shared_data("backspine", "images")
    for name in sorted({*_names("backspine")[::every], *NAMED_T1_BUT_T2}):
        truth = "T2" if name in NAMED_T1_BUT_T2 else "T1"
        yield truth, name, stacked([folder / f"{name}.jpg"], (4.0, 0.57, 0.57))


def _real_t2(every: int) -> Iterator[Seen]:
    for source, name, volume in (*chu(), *spider(every)):
        yield from _look(source, "T2", name, volume)
        found = _segmented(volume)
        if found is not None:
            for strength, how in STRENGTHS.items():
                yield from _look(
                    f"{source} (made)", f"T2 fs, {strength}", name, suppressed(volume, found, how)
                )


def chu() -> Iterator[tuple[str, str, Volume]]:
    """Yield source, name and the middle slices of every patient."""
    for number in (*range(1, 9), 16):
        whole = chu_case(number).volume
        first = (len(whole.voxels) - _SLAB) // 2
        grid = whole.grid
        origin = grid.to_mm([first, 0, 0])
        kept = Grid((_SLAB, *grid.shape[1:]), grid.spacing_mm, (origin[0], origin[1], origin[2]), grid.axes)
        yield "chu", f"case{number:02d}", Volume(whole.voxels[first : first + _SLAB].copy(), kept)


def spider(every: int) -> Iterator[tuple[str, str, Volume]]:
    """Yield source, name and the middle slices of every n-th patient."""
    for name, _, volume in spider_labelled(every):
        yield "spider", name, volume


def spider_labelled(every: int) -> Iterator[tuple[str, list[Path], Volume]]:
    """Yield name, files of the labels and the middle slices of every n-th patient."""
    images, labels = (shared_data("spider_t2space", kind) for kind in ("images", "labels"))
    slices = sorted(tuple(map(int, name.split("_"))) for name in _names("spider_t2space"))
    patients = [(number, list(group)) for number, group in groupby(slices, key=lambda one: one[0])]
    for number, group in patients[::every]:
        middle = len(group) // 2
        kept = [f"{patient}_{index}" for patient, index in group[max(0, middle - 3) : middle + 3]]
        volume = stacked([images / f"{one}.jpg" for one in kept], (0.9, 0.55, 0.55))
        yield str(number), [labels / f"{one}.png" for one in kept], volume


def _names(source: str) -> list[str]:
    with shared_data("index.csv").open(encoding="utf-8") as index:
        return [row["name"] for row in csv.DictReader(index) if row["set"] == source]


def stacked(paths: list[Path], spacing_mm: tuple[float, float, float]) -> Volume:
    """Read sagittal slices, one picture each."""
    grey = np.stack([np.asarray(Image.open(path).convert("L"), dtype=np.float32) for path in paths])
    shape = (grey.shape[0], grey.shape[1], grey.shape[2])
    return Volume(grey, Grid(shape, spacing_mm, (0.0, 0.0, 0.0), SAGITTAL_AXES))


if __name__ == "__main__":
    main()
