"""Every contrast is told from the others by the order of its tissues, on simulated and on real images."""

import csv
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from analysis.domain.acquisition import Contrast
from analysis.domain.segmentation import CsfSample, Level, Segmentation
from analysis.domain.volume import Grid, Volume
from analysis.errors import RefusedError
from analysis.measurement.tissue_order import TissueOrder, doubts_about_contrast, tissue_order
from analysis.phantom import (
    SCANNERS,
    Resolution,
    Scanner,
    cohort,
    draw_anatomy,
    fat_suppressed,
    inverted,
    simulate,
)
from analysis.phantom.protocol import Protocol
from tests.analysis.synthetic_bodies import SAGITTAL_AXES, example, segmentation_of
from tests.fat_suppression import STRENGTHS, suppressed
from tests.peers import shared_data
from tests.real_images import RealCase, chu_case

T1_CLEAR, T2_CLEAR = (
    TissueOrder(fluid=0.4, reference=0.4, fat=3.5, under_skin=5.0, levels=4),
    TissueOrder(fluid=2.0, reference=2.0, fat=0.7, under_skin=0.9, levels=4),
)
SUPPRESSED = TissueOrder(fluid=8.0, reference=8.0, fat=0.1, under_skin=0.05, levels=4)
NOTHING = TissueOrder(fluid=None, reference=None, fat=None, under_skin=None, levels=0)
NAMED_T1_BUT_T2 = frozenset({"T1_0267_S8", "T1_0401_S8", "T1_0408_S8"})
"""Slices of BackSpine, a set of T1, that are T2: bright fluid, seen by eye."""


def verdict(order: TissueOrder, contrast: Contrast) -> str:
    try:
        doubts = doubts_about_contrast(order, contrast)
    except RefusedError:
        return "refused"
    return "unclear" if doubts else "passed"


def lumbar_only(
    labels: npt.NDArray[np.uint8], grid: Grid, csf: npt.NDArray[np.bool_] | None = None
) -> Segmentation:
    bodies = np.where(labels <= Level.L5, labels, 0).astype(np.uint8)
    return segmentation_of(bodies, grid, csf=None if csf is None else CsfSample(csf, 1.0))


@pytest.mark.parametrize(
    ("order", "as_t1", "as_t2"),
    [
        (T1_CLEAR, "passed", "refused"),
        (T2_CLEAR, "refused", "passed"),
        (SUPPRESSED, "refused", "refused"),
        (NOTHING, "unclear", "unclear"),
        (replace(T1_CLEAR, reference=None), "passed", "refused"),
        (replace(T1_CLEAR, levels=1), "unclear", "refused"),
        (replace(T1_CLEAR, fluid=0.8, reference=0.8), "unclear", "unclear"),
        (replace(T1_CLEAR, fat=1.5), "unclear", "refused"),
        (replace(T1_CLEAR, fat=0.9), "refused", "refused"),
        (replace(T2_CLEAR, reference=0.5), "refused", "unclear"),
        (replace(T2_CLEAR, reference=0.5, fat=None), "unclear", "unclear"),
        (replace(T2_CLEAR, fat=0.32), "refused", "unclear"),
        (replace(T2_CLEAR, fat=0.28, under_skin=0.2), "refused", "refused"),
        (replace(T2_CLEAR, fat=0.32, under_skin=0.2), "refused", "unclear"),
        (replace(T2_CLEAR, fat=0.42, under_skin=0.2), "refused", "unclear"),
        (replace(T2_CLEAR, fat=0.32, under_skin=None), "refused", "unclear"),
    ],
)
def test_what_contradicts_is_refused_and_what_lies_between_is_unclear(
    order: TissueOrder, as_t1: str, as_t2: str
) -> None:
    assert verdict(order, Contrast.T1) == as_t1
    assert verdict(order, Contrast.T2) == as_t2


def test_a_refusal_says_what_speaks_against_the_header() -> None:
    with pytest.raises(RefusedError) as refused:
        doubts_about_contrast(T2_CLEAR, Contrast.T1)
    assert "2.0 times the signal of the marrow" in str(refused.value.reasons[0])
    with pytest.raises(RefusedError) as refused:
        doubts_about_contrast(SUPPRESSED, Contrast.T2)
    assert "as if it were suppressed" in str(refused.value.reasons[0])


def test_bodies_without_anything_behind_them_say_nothing_and_break_nothing() -> None:
    volume, found = example()
    cut = int(np.flatnonzero(found.labels.any(axis=(0, 1)))[-1]) + 1
    voxels, labels = volume.voxels[:, :, :cut].copy(), found.labels[:, :, :cut].copy()
    grid = Grid(voxels.shape, volume.grid.spacing_mm, volume.grid.origin_mm, volume.grid.axes)
    assert tissue_order(Volume(voxels, grid), segmentation_of(labels, grid)) == NOTHING
    empty = segmentation_of(np.zeros_like(labels), grid)
    assert tissue_order(Volume(voxels, grid), empty) == NOTHING


def turned(volume: Volume, found: Segmentation) -> tuple[Volume, Segmentation]:
    """Store the same image with its slices, rows and columns the other way round."""
    grid = volume.grid
    last = grid.to_mm([length - 1 for length in grid.shape])
    other = Grid(grid.shape, grid.spacing_mm, (float(last[0]), float(last[1]), float(last[2])), -grid.axes)
    voxels, labels = (np.ascontiguousarray(np.flip(one)) for one in (volume.voxels, found.labels))
    csf = None if found.csf is None else np.ascontiguousarray(np.flip(found.csf.mask))
    return Volume(voxels.astype(np.float32), other), lumbar_only(labels.astype(np.uint8), other, csf)


# --- Simulated, of every vendor --------------------------------------------------------------------------

INVERSION_MS = {0.3: 150.0, 1.5: 190.0, 3.0: 220.0}


def protocols(scanner: Scanner) -> dict[str, Protocol]:
    return {
        "T1": scanner.t1,
        "T2": scanner.t2,
        "fat-suppressed T2": fat_suppressed(scanner.t2, fat_kept=0.15),
        "TIRM": inverted(scanner.t2, inversion_ms=INVERSION_MS[scanner.field_t]),
    }


@pytest.fixture(scope="module")
def simulated() -> dict[tuple[str, str], tuple[Volume, Segmentation]]:
    (patient,) = cohort(1, seed=41)
    maps, found = draw_anatomy(patient, Resolution(lateral_mm=2.5, in_plane_mm=1.2)), {}
    for scanner in SCANNERS:
        for name, protocol in protocols(scanner).items():
            rng = np.random.default_rng(5)
            series = simulate(patient, scanner, replace(protocol, slices=3), rng, maps)
            behind_l3 = np.zeros_like(series.csf)
            rows = np.flatnonzero((series.labels == Level.L3).any(axis=(0, 2)))
            behind_l3[:, rows[0] : rows[-1] + 1] = series.csf[:, rows[0] : rows[-1] + 1]
            found[scanner.site, name] = (
                series.volume,
                lumbar_only(series.labels, series.volume.grid, behind_l3),
            )
    return found


@pytest.mark.parametrize("site", [scanner.site for scanner in SCANNERS])
@pytest.mark.parametrize("truth", ["T1", "T2", "fat-suppressed T2", "TIRM"])
def test_only_a_true_header_is_believed(
    simulated: dict[tuple[str, str], tuple[Volume, Segmentation]], site: str, truth: str
) -> None:
    order = tissue_order(*simulated[site, truth])
    for told in (Contrast.T1, Contrast.T2):
        assert verdict(order, told) == ("passed" if told.value == truth else "refused"), (told, order)


@pytest.mark.parametrize("truth", ["T1", "T2"])
def test_neither_scale_nor_storage_order_nor_a_missing_canal_changes_the_verdict(
    simulated: dict[tuple[str, str], tuple[Volume, Segmentation]], truth: str
) -> None:
    volume, found = simulated["siemens-1", truth]
    scaled = Volume((volume.voxels * 3.7).astype(np.float32), volume.grid)
    for image, bodies in ((scaled, found), turned(volume, found), (volume, replace(found, csf=None))):
        order = tissue_order(image, bodies)
        assert verdict(order, Contrast(truth)) == "passed"
        assert verdict(order, Contrast.T2 if truth == "T1" else Contrast.T1) == "refused"


@pytest.mark.parametrize("truth", ["T1", "T2"])
def test_an_image_that_is_shown_inverted_does_not_pass_for_what_it_was(
    simulated: dict[tuple[str, str], tuple[Volume, Segmentation]], truth: str
) -> None:
    for (_, name), (volume, found) in simulated.items():
        if name == truth:
            negative = Volume(volume.voxels.max() - volume.voxels, volume.grid)
            assert verdict(tissue_order(negative, found), Contrast(truth)) != "passed"


@pytest.mark.parametrize("truth", ["T1", "T2"])
@pytest.mark.parametrize("drop", [0.3, 3.0])
def test_a_coil_that_shades_the_spine_by_a_factor_of_three_along_it_changes_nothing(
    simulated: dict[tuple[str, str], tuple[Volume, Segmentation]], truth: str, drop: float
) -> None:
    volume, found = simulated["philips-1", truth]
    shading = np.geomspace(1.0, drop, volume.voxels.shape[1])[None, :, None]
    shaded = Volume((volume.voxels * shading).astype(np.float32), volume.grid)
    assert verdict(tissue_order(shaded, found), Contrast(truth)) == "passed"


# --- Real ------------------------------------------------------------------------------------------------


def backspine(every: int) -> Iterator[tuple[str, Volume, Segmentation]]:
    folder = shared_data("backspine")
    with shared_data("index.csv").open(encoding="utf-8") as index:
        names = [row["name"] for row in csv.DictReader(index) if row["set"] == "backspine"]
    for name in sorted({*names[::every], *NAMED_T1_BUT_T2}):
        grey = np.asarray(Image.open(folder / "images" / f"{name}.jpg").convert("L"), dtype=np.float32)[None]
        labels = np.asarray(Image.open(folder / "labels" / f"{name}.png"))[None]
        grid = Grid(grey.shape, (4.0, 0.57, 0.57), (0.0, 0.0, 0.0), SAGITTAL_AXES)
        yield name, Volume(grey, grid), lumbar_only(labels, grid)


def test_no_real_t1_is_refused_and_those_that_are_t2_are_found() -> None:
    for name, volume, found in backspine(every=6):
        order = tissue_order(volume, found)
        expected = {"refused"} if name in NAMED_T1_BUT_T2 else {"passed", "unclear"}
        assert verdict(order, Contrast.T1) in expected, (name, order)


@pytest.fixture(scope="module", params=[1, 2, 3, 4, 5, 6, 7, 8, 16])
def real_t2(request: pytest.FixtureRequest) -> RealCase:
    return chu_case(request.param)


def test_a_real_t2_passes_as_t2_and_never_as_t1(real_t2: RealCase) -> None:
    order = tissue_order(real_t2.volume, lumbar_only(real_t2.labels, real_t2.volume.grid))
    assert verdict(order, Contrast.T2) == "passed", order
    assert verdict(order, Contrast.T1) == "refused", order


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_real_t2_without_its_fat_never_passes_without_a_word(real_t2: RealCase, strength: str) -> None:
    found = lumbar_only(real_t2.labels, real_t2.volume.grid)
    order = tissue_order(suppressed(real_t2.volume, found, STRENGTHS[strength]), found)
    allowed = {"refused"} if strength in {"strong", "TIRM"} else {"refused", "unclear"}
    assert verdict(order, Contrast.T2) in allowed, order
    assert verdict(order, Contrast.T1) == "refused", order
