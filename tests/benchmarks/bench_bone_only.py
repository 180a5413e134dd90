"""Print how far radiomics move when only tissue more than 1 mm outside the bodies changes, in SD of a cohort.

Run ``uv run python -m tests.benchmarks.bench_bone_only``. "Before" is the plain Laplacian of Gaussian of
pyradiomics, in three dimensions, of an image that is resampled with all its tissue; "now" is
`analysis.measurement.radiomics`. Both have the same true masks, reference and feature classes. The cohorts
are simulated patients (T1 and T2, relative to the CSF, which is never changed), and, where the real images
are present, the volumes of Chu et al. (T2) and single slices of BackSpine (T1), relative to the bodies. A
single slice is repeated five times for "before", which cannot filter it otherwise.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console
from rich.table import Table

from analysis.domain.segmentation import CsfSample, Level, Segmentation
from analysis.domain.volume import Grid, Volume
from analysis.itk import to_image
from analysis.measurement.pyradiomics import calculate, extractor
from analysis.measurement.radiomics import aggregate, extract, prepare
from analysis.measurement.resample import in_plane_grid, signal_on
from analysis.measurement.vbq import csf_reference
from analysis.phantom import SCANNERS, cohort, draw_anatomy, simulate
from analysis.settings import FeatureSettings
from tests.analysis.synthetic_bodies import SAGITTAL_AXES, segmentation_of
from tests.outside_tissue import CHANGES, changed_outside
from tests.peers import REPOSITORY
from tests.real_images import chu_case

_BEYOND_MM = 1.0
_DATA = REPOSITORY.parent / "shared" / "data"
_Way = Callable[[Volume, Segmentation, FeatureSettings], dict[str, float]]
_Series = tuple[Volume, Segmentation]


def main() -> None:
    """Print one line per cohort and change."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--patients", type=int, default=12, help="simulated patients, and slices of BackSpine"
    )
    options.add_argument("--changes", nargs="*", choices=list(CHANGES), default=list(CHANGES))
    chosen = options.parse_args()
    cohorts: dict[str, tuple[FeatureSettings, list[_Series]]] = {
        f"simulated {name}": (FeatureSettings(), list(_simulated(chosen.patients, name)))
        for name in ("T1", "T2")
    }
    if _DATA.exists():
        by_body = FeatureSettings(reference="body")
        cohorts["Chu, T2"] = (by_body, list(_chu()))
        cohorts["BackSpine, T1"] = (by_body, list(_backspine(chosen.patients)))
    table = Table(
        "cohort", "patients", "change", "median before", "most before", "median now", "most now",
        title="Shift of the features in SD of the cohort",
    )  # fmt: skip
    for cohort_name, (settings, members) in cohorts.items():
        base = {way: _table(way, members, settings) for way in (_before, _now)}
        for change in chosen.changes:
            others = [
                (changed_outside(*member, change, beyond_mm=_BEYOND_MM), member[1]) for member in members
            ]
            row: list[str] = []
            for way in (_before, _now):
                shift = _shifts(base[way], _table(way, others, settings))
                row += [f"{np.median(shift):.3f}", f"{shift.max():.3f}"]
            table.add_row(cohort_name, str(len(members)), change, *row)
    Console(width=130).print(table)


def _shifts(before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the shift of each feature that varies in the cohort, of shape (patients, features)."""
    spread = before.std(axis=0, ddof=1)
    varies = spread > np.abs(before).max(axis=0) * 1e-9
    shifts: npt.NDArray[np.float64] = np.abs(after - before)[:, varies] / spread[varies]
    return shifts


def _table(way: _Way, members: list[_Series], settings: FeatureSettings) -> npt.NDArray[np.float64]:
    rows = [way(volume, segmentation, settings) for volume, segmentation in members]
    return np.array([[row[name] for name in rows[0]] for row in rows])


def _now(volume: Volume, segmentation: Segmentation, settings: FeatureSettings) -> dict[str, float]:
    return aggregate(extract(volume, segmentation, settings))


def _before(volume: Volume, segmentation: Segmentation, settings: FeatureSettings) -> dict[str, float]:
    """Calculate the features from the image with all its tissue, filtered in space by pyradiomics."""
    from radiomics.imageoperations import getLoGImage

    if len(volume.voxels) == 1:
        volume, segmentation = _repeated(volume, segmentation)
    _, mask = prepare(volume, segmentation, replace(settings, filters=("Original",)))
    target = in_plane_grid(volume.grid, settings.pixel_spacing_mm)
    bodies = np.isin(segmentation.labels, [region.level for region in segmentation.usable_lumbar])
    fluid, _ = csf_reference(volume, segmentation)
    reference = fluid if settings.reference == "csf" and fluid else float(np.median(volume.voxels[bodies]))
    percent = (volume.voxels * (100.0 / reference)).astype(np.float32)
    image = to_image(signal_on(target, percent, volume.grid), target)
    images = {"original": image}
    images |= {name: one for one, name, _ in getLoGImage(image, mask, sigma=list(settings.log_sigma_mm))}
    values = calculate(extractor(settings), images, mask)
    return aggregate({Level(label): value for label, value in values.items()})


def _repeated(volume: Volume, segmentation: Segmentation) -> _Series:
    grid = Grid((5, *volume.grid.shape[1:]), volume.grid.spacing_mm, volume.grid.origin_mm, volume.grid.axes)
    labels = np.zeros(grid.shape, dtype=np.uint8)
    labels[2] = segmentation.labels[0]  # texture is that of one slice, as it is now
    return Volume(np.repeat(volume.voxels, 5, axis=0), grid), segmentation_of(labels, grid)


def _simulated(patients: int, name: str) -> Iterator[_Series]:
    for patient in cohort(patients, seed=41):
        scanner = SCANNERS[patient.number % len(SCANNERS)]
        protocol = scanner.t1 if name == "T1" else scanner.t2
        series = simulate(
            patient, scanner, protocol, np.random.default_rng(patient.number), draw_anatomy(patient)
        )
        yield _lumbar(series.volume, series.labels, CsfSample(series.csf, 1.0))


def _chu() -> Iterator[_Series]:
    for number in range(1, 9):
        case = chu_case(number)
        yield _lumbar(case.volume, case.labels)


def _backspine(images: int) -> Iterator[_Series]:
    folder = _DATA / "backspine"
    found = 0
    for path in sorted((folder / "images").glob("T1_*.jpg")):
        labels = np.asarray(Image.open(folder / "labels" / f"{path.stem}.png"), dtype=np.uint8)[None]
        if set(range(1, 6)) <= set(np.unique(labels)):
            grey = np.asarray(Image.open(path).convert("L"), dtype=np.float32)[None]
            grid = Grid((1, *grey.shape[1:]), (4.8, 0.57, 0.57), (0.0, 0.0, 0.0), SAGITTAL_AXES)
            yield _lumbar(Volume(grey, grid), labels)
            found += 1
        if found == images:
            return


def _lumbar(volume: Volume, labels: npt.NDArray[np.uint8], csf: CsfSample | None = None) -> _Series:
    bodies = np.where(labels <= Level.L5, labels, 0).astype(np.uint8)
    return volume, segmentation_of(bodies, volume.grid, csf=csf)


if __name__ == "__main__":
    main()
