"""How well the shading of the coil is estimated, and what it does to VBQ.

Run ``uv run python -m tests.benchmarks.bench_shading``; it takes 15 minutes. All figures are percent of the
score (100 times the natural logarithm). Simulated patients are imaged with their coil and with an even one,
whose score is the truth, and then shaded by known fields. "left" is what remains between the estimate and the
true change. Real images have no truth: as they are, the table shows the estimate alone. With a field added,
"done" is what the field did to the score, and "left" compares it with the difference of the two estimates.

With ``--behind`` it prints instead what the marrow behind the fluid says: on T2 of SPIDER, whose manual
outlines hold the spinous processes, the signal at the fluid is interpolated between them and the hindmost
third of the bodies.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import process_time

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from analysis.domain.segmentation import Level, Segmentation
from analysis.domain.volume import Volume
from analysis.errors import RefusedError
from analysis.measurement.midsagittal import mid_body
from analysis.measurement.shading import BORDER_MM, shading_of_ratio
from analysis.measurement.vbq import SCORED_LEVELS
from analysis.phantom import SCANNERS, SimulatedPatient, cohort, draw_anatomy, simulate
from analysis.segment import segment
from tests.benchmarks.bench_contrast import backspine, chu, spider, spider_labelled

_VERTEBRA, _CANAL = 1, 3
_MARGIN_MM, _BELOW_MM = 2.0, 14.0
_FEWEST_VOXELS = 60

Floats = npt.NDArray[np.float64]
Field = Callable[[Floats, Floats], Floats]


def _coil(reach_mm: float) -> Field:
    """Sensitivity that falls with the square of the distance from a table 70 mm behind the fluid."""
    return lambda back, _up: -np.log(1.0 + (np.maximum(70.0 - back, 0.0) / reach_mm) ** 2)


FIELDS: dict[str, Field] = {
    "2 times brighter behind, on 250 mm": lambda back, _up: np.log(2.0) * back / 250.0,
    "2 times darker behind": lambda back, _up: -np.log(2.0) * back / 250.0,
    "4 times brighter behind": lambda back, _up: np.log(4.0) * back / 250.0,
    "2 times brighter above": lambda _back, up: np.log(2.0) * up / 250.0,
    "2 times brighter below": lambda _back, up: -np.log(2.0) * up / 250.0,
    "bell along the spine, SD 120 mm": lambda _back, up: -0.5 * (up / 120.0) ** 2,
    "bell 80 mm above L3, SD 100 mm": lambda _back, up: -0.5 * ((up - 80.0) / 100.0) ** 2,
    "bell 60 mm behind, SD 120 mm": lambda back, up: (
        -0.5 * ((up / 120.0) ** 2 + ((back - 60.0) / 120.0) ** 2)
    ),
    "coil of 100 mm": _coil(100.0),
    "coil of 70 mm": _coil(70.0),
    "coil of 45 mm": _coil(45.0),
}
"""Logarithm of the sensitivity by the distance behind and above the fluid at L3, in mm."""


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--patients", type=int, default=16, help="simulated patients")
    options.add_argument("--every", type=int, default=9, help="take every n-th real image")
    options.add_argument("--behind", action="store_true", help="compare with the marrow behind the fluid")
    chosen = options.parse_args()
    if chosen.behind:
        _compare_with_marrow_behind()
    else:
        _compare_with_known_fields(chosen.patients, chosen.every)


def _compare_with_known_fields(patients: int, every: int) -> None:
    done, left = defaultdict(list), defaultdict(list)
    seconds = []
    for source, volume, even in (*_simulated(patients), *_real(every)):
        found = _segmented(volume)
        if found is None:
            continue
        began = process_time()
        as_it_is = _estimate(volume, found)
        seconds.append(process_time() - began)
        if as_it_is is None:
            continue
        left[source, "as it is"].append(as_it_is)
        if even is not None:
            done[source, "as it is"].append(_log_score(volume, found) - _log_score(even, found))
            left[source, "as it is"][-1] -= done[source, "as it is"][-1]
            left[source, "even coil"].append(_estimate(even, found) or 0.0)
        base, already = (even, 0.0) if even is not None else (volume, as_it_is)
        for name, field in FIELDS.items():
            shaded = _shaded(base, found, field)
            change = _log_score(shaded, found) - _log_score(base, found)
            done[source, name].append(change)
            left[source, name].append((_estimate(shaded, found) or 0.0) - already - change)
    console = Console(width=140)
    console.print(_table(done, left))
    console.print(f"{1000 * np.median(seconds):.0f} ms for each series (median)")


def _compare_with_marrow_behind() -> None:
    estimates, interpolated = [], []
    for name, paths, volume in spider_labelled(2):
        found = _segmented(volume)
        estimate = None if found is None else _estimate(volume, found)
        if found is None or estimate is None:
            continue
        truth = np.stack([np.asarray(Image.open(path)) for path in paths])
        by_level = (_by_marrow_behind(volume, found, truth, level) for level in SCORED_LEVELS)
        changes = [one for one in by_level if one is not None]
        if not changes:
            continue
        estimates.append(estimate)
        interpolated.append(float(np.median(changes)))
        Console().print(f"{name}: estimate {100 * estimate:+.0f}, interpolated {100 * interpolated[-1]:+.0f}")
    beyond = [one - other for one, other in zip(estimates, interpolated, strict=True)]
    for what, values in (("estimate", estimates), ("interpolated", interpolated), ("difference", beyond)):
        Console().print(f"{what}: {_spread(values)} ({len(values)} series)")


def _by_marrow_behind(
    volume: Volume, found: Segmentation, truth: npt.NDArray[np.uint8], level: Level
) -> float | None:
    """Return the logarithm of the body's field over that at the fluid, from marrow on both sides of it."""
    middle = mid_body(found, level, border_mm=BORDER_MM)
    body = np.zeros(volume.grid.shape, np.bool_)
    body[middle.box] = middle.mask & (volume.voxels[middle.box] > 0)
    behind = _spinous_process(truth, body, volume.grid.spacing_mm[1]) & (volume.voxels > 0)
    if min(body.sum(), behind.sum()) < _FEWEST_VOXELS:
        return None
    back = [volume.grid.to_mm(np.argwhere(one))[:, 1] for one in (body, behind)]
    signal = [np.log(volume.voxels[one]) for one in (body, behind)]
    hind = back[0] > np.quantile(back[0], 2 / 3)
    fluid = volume.grid.to_mm(np.argwhere(_fluid(found)))[:, 1].mean()
    places = [back[0][hind].mean(), np.median(back[1])]
    heights = [float(np.median(signal[0][hind])), float(np.median(signal[1]))]
    return float(np.median(signal[0]) - np.interp(fluid, places, heights))


def _spinous_process(
    truth: npt.NDArray[np.uint8], body: npt.NDArray[np.bool_], pixel_mm: float
) -> npt.NDArray[np.bool_]:
    """Return the vertebral voxels behind the canal beside a body and a little below it, without border."""
    process = np.zeros_like(body)
    rows = np.flatnonzero(body.any(axis=(0, 2)))
    if not len(rows):
        return process
    beside = slice(rows[0], rows[-1] + round(_BELOW_MM / pixel_mm))
    for number in np.flatnonzero(body.any(axis=(1, 2))):
        inside = ndimage.distance_transform_edt(truth[number] == _VERTEBRA, sampling=pixel_mm) >= _MARGIN_MM
        behind = np.cumsum((truth[number] == _CANAL)[:, ::-1], axis=1)[:, ::-1] == 0
        behind &= (truth[number] == _CANAL).any(axis=1)[:, None]
        process[number, beside] = (inside & behind)[beside]
    return process


def _table(done: dict[tuple[str, str], list[float]], left: dict[tuple[str, str], list[float]]) -> Table:
    table = Table("source", "shading", "series", "done", "left", title="2.5 %, median, 97.5 % of series")
    for source, name in sorted(left, key=lambda key: key[0]):
        values = left[source, name]
        table.add_row(source, name, str(len(values)), _spread(done[source, name]), _spread(values))
    return table


def _spread(values: list[float]) -> str:
    return " ".join(f"{100 * one:+.0f}" for one in np.quantile(values, (0.025, 0.5, 0.975))) if values else ""


def _estimate(volume: Volume, found: Segmentation) -> float | None:
    factor = shading_of_ratio(volume, found, SCORED_LEVELS)
    return None if factor is None else float(np.log(factor))


def _log_score(volume: Volume, found: Segmentation) -> float:
    bodies = [volume.values(mid_body(found, level, border_mm=BORDER_MM)) for level in SCORED_LEVELS]
    fluid = volume.voxels[_fluid(found)]
    return float(np.log(np.median([np.median(one) for one in bodies if len(one)]) / np.median(fluid)))


def _shaded(volume: Volume, found: Segmentation, field: Field) -> Volume:
    at = volume.grid.to_mm(np.moveaxis(np.indices(volume.grid.shape), 0, -1))
    at -= at[_fluid(found)].mean(axis=0)
    sensitivity = np.exp(field(at[..., 1], at[..., 2]))
    return Volume((volume.voxels * sensitivity).astype(np.float32), volume.grid)


def _fluid(found: Segmentation) -> npt.NDArray[np.bool_]:
    return np.zeros(found.grid.shape, dtype=np.bool_) if found.csf is None else found.csf.mask


def _segmented(volume: Volume) -> Segmentation | None:
    """Return the outlines, with bodies taken for usable that are not only because they have few slices."""
    try:
        found = segment(volume)
    except RefusedError:
        return None
    if not _fluid(found).any() or len([one for one in found.regions if one.level in SCORED_LEVELS]) < 3:
        return None
    return replace(found, regions=tuple(replace(one, usable=one.quality >= 0.3) for one in found.regions))


def _simulated(patients: int) -> Iterator[tuple[str, Volume, Volume | None]]:
    for patient in cohort(patients, seed=77):
        yield from _series_of(patient)


def _series_of(patient: SimulatedPatient) -> Iterator[tuple[str, Volume, Volume | None]]:
    maps = draw_anatomy(patient)
    for number, scanner in enumerate(SCANNERS):
        for protocol in (scanner.t1, scanner.t2):
            if (patient.number + number) % 3 == 0:
                with_coil, even = (
                    simulate(patient, scanner, one, np.random.default_rng(patient.number), maps).volume
                    for one in (protocol, replace(protocol, coil_mm=1e6))
                )
                yield f"simulated {protocol.contrast}", with_coil, even


def _real(every: int) -> Iterator[tuple[str, Volume, Volume | None]]:
    for contrast, _, volume in backspine(every):
        if contrast == "T1":
            yield "backspine T1", volume, None
    for _, _, volume in spider(2):
        yield "spider T2", volume, None
    for _, _, volume in chu():
        yield "chu T2", volume, None


if __name__ == "__main__":
    main()
