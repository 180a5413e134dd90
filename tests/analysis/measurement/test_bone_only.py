"""No radiomic feature depends on what is outside the bodies, except by the reference of all signals."""

from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from analysis.domain.segmentation import CsfSample, Level, Segmentation
from analysis.domain.volume import Volume
from analysis.itk import to_array
from analysis.measurement.radiomics import extract, prepare
from analysis.phantom import SCANNERS, Resolution, cohort, draw_anatomy, simulate
from analysis.settings import FeatureSettings
from tests.analysis.synthetic_bodies import example, segmentation_of
from tests.outside_tissue import CHANGES, changed_outside
from tests.real_images import chu_case

Series = tuple[Volume, Segmentation, FeatureSettings]
SERIES = ("boxes", "simulated T1", "simulated T2", "real T2")


def two_of(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Leave two bodies of a patient; all others are outside of them."""
    return np.where(np.isin(labels, (Level.L2, Level.L3)), labels, 0).astype(np.uint8)


@cache
def series(name: str) -> Series:
    if name == "boxes":
        return *example(), FeatureSettings(erosion_mm=0.0)  # nothing but the mask keeps the border away
    if name == "real T2":
        case = chu_case(1)
        segmentation = segmentation_of(two_of(case.labels), case.volume.grid)
        return case.volume, segmentation, FeatureSettings(reference="body")
    (patient,), scanner = cohort(1, seed=12), SCANNERS[0]
    protocol = scanner.t1 if name == "simulated T1" else scanner.t2
    maps = draw_anatomy(patient, Resolution(lateral_mm=2.5, in_plane_mm=1.2))
    made = simulate(patient, scanner, replace(protocol, slices=7), np.random.default_rng(0), maps)
    return (
        made.volume,
        segmentation_of(two_of(made.labels), made.volume.grid, csf=CsfSample(made.csf, 1.0)),
        FeatureSettings(),
    )


@cache
def features(name: str) -> dict[Level, dict[str, float]]:
    return extract(*series(name))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", SERIES)
def test_whatever_changes_outside_the_bodies_moves_no_feature(name: str, change: str) -> None:
    volume, segmentation, settings = series(name)
    other = changed_outside(volume, segmentation, change)
    assert not np.array_equal(other.voxels, volume.voxels)
    again = extract(other, segmentation, settings)
    assert len(features(name)) >= 2
    assert again == features(name)


def test_a_body_does_not_depend_on_the_others() -> None:
    volume, segmentation, settings = series("boxes")
    voxels = np.where(segmentation.labels == Level.L2, volume.voxels[::-1] * 3.0, volume.voxels)
    again = extract(Volume(voxels.astype(np.float32), volume.grid), segmentation, settings)
    for level, before in features("boxes").items():
        assert (again[level] == before) == (level != Level.L2)


def test_no_slice_is_filtered_with_the_next() -> None:
    volume, segmentation, settings = series("boxes")
    voxels = volume.voxels.copy()
    voxels[5] = volume.voxels[5, ::-1] * 3.0
    before, _ = prepare(volume, segmentation, replace(settings, reference="csf"))
    csf = segmentation.csf
    assert csf is not None
    voxels[csf.mask] = volume.voxels[csf.mask]
    after, _ = prepare(Volume(voxels, volume.grid), segmentation, settings)
    for name, image in before.items():
        differs = (to_array(image) != to_array(after[name])).any(axis=(1, 2))
        assert differs.tolist() == [number == 5 for number in range(*segmentation.box[0].indices(99))]
