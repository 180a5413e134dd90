"""The simulated patient obeys its physics, its anatomy and its seed."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from analysis.domain.acquisition import Contrast
from analysis.domain.published import T1_VBQ_BY_DECADE
from analysis.domain.segmentation import Level
from analysis.identify import identify
from analysis.phantom import (
    SCANNERS,
    Protocol,
    Resolution,
    Scanner,
    Sex,
    SimulatedPatient,
    SimulatedSeries,
    cohort,
    draw_anatomy,
    draw_patient,
    fat_suppressed,
    inverted,
    simulate,
    vary,
)
from analysis.phantom.marrow import sparseness, unevenness
from analysis.phantom.patient import bone_volume_fraction
from analysis.phantom.signal import FAT_T1_MS, fat_signal, water_signals
from analysis.phantom.tissues import Tissue, TissueCanvas, TissueMaps, smooth_noise
from analysis.statistics.roc import area
from tests.thoroughness import share_of

Floats = npt.NDArray[np.float64]

COARSE = Resolution(lateral_mm=3.0, in_plane_mm=1.6)
SIEMENS = SCANNERS[0]
CSF_DENSITY = 1.075
READ_OF_T1, READ_OF_T2 = 0.90, 0.95
"""Measured score over that of the formula, which ignores nerve roots in the fluid and coil shading."""
CENSUS = {5: 0.47, 6: 0.29, 7: 0.17, 8: 0.07}
"""Age distribution of people aged 50 and older in China in 2010, the weights of the published prevalence."""
LUMBAR = (Level.L1, Level.L2, Level.L3, Level.L4, Level.L5)


def small(protocol: Protocol) -> Protocol:
    return replace(protocol, matrix=160, slices=11)


@cache
def patient(seed: int = 5) -> SimulatedPatient:
    return draw_patient(np.random.default_rng(seed), age_y=60.0, sex=Sex.FEMALE)


@cache
def anatomy(seed: int = 5) -> TissueMaps:
    return draw_anatomy(patient(seed), COARSE)


@cache
def image(contrast: Contrast, seed: int = 5) -> SimulatedSeries:
    protocol = SIEMENS.t1 if contrast is Contrast.T1 else SIEMENS.t2
    return simulate(patient(seed), SIEMENS, small(protocol), np.random.default_rng(seed), anatomy(seed))


def marrow(patient_: SimulatedPatient, scanner: Scanner, protocol: Protocol) -> float:
    """Return the signal of marrow from bone volume, fat fraction and the signals of water and fat."""
    water = float(water_signals(patient_, protocol, scanner.field_t)[Tissue.MARROW])
    fat = fat_signal(protocol, scanner.field_t)
    share = patient_.fat_fraction
    return (1.0 - bone_volume_fraction(patient_.bmd_mg_cm3)) * ((1.0 - share) * water + share * fat)


def bone_quality(series: SimulatedSeries) -> float:
    """Return the VBQ by the true masks: marrow of L1 to L4 over CSF at L3."""
    voxels, middle = series.volume.voxels, series.volume.grid.shape[0] // 2
    labels, csf = series.labels[middle], series.csf[middle].copy()
    rows = np.flatnonzero((labels == Level.L3).any(axis=1))
    csf[: rows[0]] = False
    csf[rows[-1] :] = False
    bodies = np.mean([np.median(voxels[middle][labels == level]) for level in LUMBAR[:4]])
    return float(bodies / np.median(voxels[middle][csf]))


def centre(labels: npt.NDArray[np.uint8], level: Level) -> npt.NDArray[np.float64]:
    return np.asarray(np.argwhere(labels == level).mean(axis=0))


# Physics


@given(
    fat=st.floats(0.1, 0.8),
    more=st.floats(0.01, 0.15),
    scanner=st.sampled_from(SCANNERS),
    density=st.floats(20.0, 220.0),
)
def test_more_fat_makes_brighter_marrow_on_t1_and_on_t2(
    fat: float, more: float, scanner: Scanner, density: float
) -> None:
    lean = replace(patient(), fat_fraction=fat, bmd_mg_cm3=density)
    fatty = replace(lean, fat_fraction=fat + more)
    for protocol in (scanner.t1, scanner.t2):
        assert marrow(fatty, scanner, protocol) > marrow(lean, scanner, protocol)


@given(density=st.floats(20.0, 200.0), more=st.floats(1.0, 40.0), scanner=st.sampled_from(SCANNERS))
def test_more_bone_leaves_less_signal(density: float, more: float, scanner: Scanner) -> None:
    light = replace(patient(), bmd_mg_cm3=density)
    dense = replace(light, bmd_mg_cm3=density + more)
    assert marrow(dense, scanner, scanner.t1) < marrow(light, scanner, scanner.t1)


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda scanner: scanner.site)
def test_csf_is_dark_on_t1_and_bright_on_t2(scanner: Scanner) -> None:
    for protocol, darker in ((scanner.t1, True), (scanner.t2, False)):
        signals = water_signals(patient(), protocol, scanner.field_t)
        assert (signals[Tissue.CSF] < signals[Tissue.NERVE]) == darker


def test_fluid_in_the_image_follows_the_contrast() -> None:
    for contrast, darker in ((Contrast.T1, True), (Contrast.T2, False)):
        series = image(contrast)
        bodies = np.median(series.volume.voxels[np.isin(series.labels, LUMBAR)])
        assert (np.median(series.volume.voxels[series.csf]) < bodies) == darker


def test_bone_quality_is_higher_where_density_is_lowest() -> None:
    """Published: r = -0.487 (Yin 2023), so the two ends of a cohort differ on average."""
    people = sorted(cohort(60, seed=3), key=lambda one: one.bmd_mg_cm3)
    scores = []
    for one in people[:6] + people[-6:]:
        maps = draw_anatomy(one, Resolution(3.0, 2.0))
        protocol = replace(SIEMENS.t1, matrix=128, slices=3)
        scores.append(bone_quality(simulate(one, SIEMENS, protocol, np.random.default_rng(one.number), maps)))
    assert np.mean(scores[:6]) > np.mean(scores[6:]) + 0.3
    assert min(scores) > 1.2
    assert max(scores) < 6.0


def test_noise_of_the_protocol_is_noise_of_the_image() -> None:
    quiet, loud = small(SIEMENS.t1), replace(small(SIEMENS.t1), noise=4 * SIEMENS.t1.noise)
    spreads = [
        float(
            simulate(patient(), SIEMENS, protocol, np.random.default_rng(1), anatomy())
            .volume.voxels[:, :, :6]
            .std()
        )
        for protocol in (quiet, loud)
    ]
    assert spreads[1] > 2.5 * spreads[0]


# Anatomy


def test_bodies_follow_each_other_from_head_to_foot_at_plausible_distances() -> None:
    series = image(Contrast.T1)
    order = (Level.T12, *LUMBAR, Level.S1)
    centres = np.array([series.volume.grid.to_mm(centre(series.labels, level)) for level in order])
    assert (np.diff(centres[:, 2]) < 0).all()
    gaps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    assert gaps.min() > 22
    assert gaps.max() < 55


@given(seed=st.integers(0, 2**32))
@settings(max_examples=share_of(12), deadline=None)
def test_every_lumbar_body_lies_whole_within_the_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, scanner = draw_patient(rng), SCANNERS[seed % len(SCANNERS)]
    protocol = replace(vary(scanner.t1, rng), matrix=96, slices=15)
    series = simulate(one, scanner, protocol, rng, draw_anatomy(one, Resolution(4.0, 3.0)))
    for level in LUMBAR:
        rows, columns = np.nonzero((series.labels == level).any(axis=0))
        assert 0 < rows.min() <= rows.max() < 95, level
        assert 0 < columns.min() <= columns.max() < 95, level


def test_left_of_the_patient_is_left_in_the_image() -> None:
    maps = anatomy()
    left = np.broadcast_to((maps.lateral_mm > 0)[:, None, None], maps.fat.shape).astype(np.float32)
    lit = replace(maps, water=np.zeros_like(maps.water), fat=left)
    series = simulate(patient(), SIEMENS, small(SIEMENS.t1), np.random.default_rng(1), lit)
    size = series.volume.grid.shape[1]
    for number, image_ in enumerate(series.volume.voxels):
        x_mm = series.volume.grid.to_mm((number, size // 2, size // 2))[0]
        if abs(x_mm) > 6:
            bright = image_[size // 4 : -size // 4, size // 4 : -size // 4].mean() > 100
            assert bright == (x_mm > 0)


def test_the_aorta_lies_to_the_left_of_the_vena_cava() -> None:
    maps = anatomy()
    blood = (maps.tissue == Tissue.BLOOD) & (maps.up_mm > 20)[None, :, None]
    planes = np.broadcast_to(maps.lateral_mm[:, None, None], blood.shape)
    assert planes[blood & (maps.water < 0.04)].mean() > planes[blood & (maps.water > 0.1)].mean() + 10


def test_csf_lies_behind_the_bodies_and_outside_of_them() -> None:
    series = image(Contrast.T2)
    assert not series.labels[series.csf].any()
    middle = series.volume.grid.shape[0] // 2
    for row in np.flatnonzero((series.labels[middle] == Level.L3).any(axis=1)):
        body = np.flatnonzero(series.labels[middle, row] == Level.L3)
        fluid = np.flatnonzero(series.csf[middle, row])
        if fluid.size:
            assert fluid.min() > body.mean()


def test_a_coarser_drawing_shows_the_same_patient() -> None:
    volumes = []
    for resolution in (COARSE, Resolution(2.0, 1.2)):
        maps = draw_anatomy(patient(), resolution)
        voxel_ml = resolution.lateral_mm * resolution.in_plane_mm**2 / 1000
        volumes.append([(maps.labels == level).sum() * voxel_ml for level in LUMBAR])
    assert np.allclose(volumes[0], volumes[1], rtol=0.08)
    assert 15 < np.mean(volumes) < 75


def test_noise_fields_are_standard_whatever_their_correlation() -> None:
    canvas = TissueCanvas(Resolution(2.0, 1.5))
    box = canvas.box()
    assert box is not None
    for width in ((2.0, 1.5, 1.5), (9.0, 5.0, 3.0)):
        field = smooth_noise(np.random.default_rng(1), box, canvas.resolution, width)
        assert field.shape == box.shape
        assert abs(float(field.mean())) < 0.05
        assert abs(float(field.std()) - 1.0) < 0.05


# Headers


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda scanner: scanner.site)
def test_headers_tell_t1_from_t2_and_from_the_localiser(scanner: Scanner) -> None:
    found = []
    for protocol in (scanner.t1, scanner.t2, scanner.localiser):
        thin = replace(protocol, matrix=16)
        series = simulate(patient(), scanner, thin, np.random.default_rng(1), anatomy())
        found.append(identify(series.facts))
    assert [one.contrast for one in found[:2]] == [Contrast.T1, Contrast.T2]
    assert [one.usable for one in found] == [True, True, False]


def test_vendors_are_at_least_four() -> None:
    assert len({scanner.vendor for scanner in SCANNERS}) >= 4


# Chance


def test_the_same_seed_makes_the_same_image_and_another_one_another() -> None:
    def digest(noise: int) -> str:
        protocol = small(SIEMENS.t1)
        maps = draw_anatomy(patient(), COARSE)
        return simulate(patient(), SIEMENS, protocol, np.random.default_rng(noise), maps).volume.digest()

    assert digest(1) == digest(1)
    assert digest(1) != digest(2)


def test_a_cohort_is_like_that_of_the_paper() -> None:
    """Front Endocrinol 2026;17:1823826: 52 men and 108 women, 61.27 ± 12.72 years."""
    people = cohort(160, seed=1)
    assert sum(one.sex is Sex.MALE for one in people) == 52
    ages = [one.age_y for one in people]
    assert abs(np.mean(ages) - 61.27) < 3.0
    assert abs(np.std(ages) - 12.72) < 2.5


# The ground truth without images, for which many cohorts can be drawn


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The true values of many patients, each of shape (patients,)."""

    age_y: Floats
    female: Floats
    bmd: Floats
    fat: Floats
    texture: Floats
    dish_mm: Floats
    lip_mm: Floats
    depth_mm: Floats
    t1_vbq: Floats
    t2_vbq: Floats


def ratio_to_csf(one: SimulatedPatient, scanner: Scanner, protocol: Protocol) -> float:
    """Return the VBQ by the signal formula, with the proton density of the painted CSF."""
    csf = float(water_signals(one, protocol, scanner.field_t)[Tissue.CSF]) * CSF_DENSITY
    return marrow(one, scanner, protocol) / csf


def known(one: SimulatedPatient, scanner: Scanner, rng: np.random.Generator) -> tuple[float, ...]:
    bodies = [body for body in one.spine.bodies if body.level in LUMBAR]
    shapes = np.mean([(body.dish_mm, body.lip_mm, body.depth_mm) for body in bodies], axis=0)
    texture = np.log(unevenness(one) * (0.032 + 0.024 * sparseness(one.bmd_mg_cm3)))
    t1, t2 = (ratio_to_csf(one, scanner, vary(protocol, rng)) for protocol in (scanner.t1, scanner.t2))
    told = (one.age_y, one.sex is Sex.FEMALE, one.bmd_mg_cm3, one.fat_fraction, texture)
    return (*told, *shapes, READ_OF_T1 * t1, READ_OF_T2 * t2)


@cache
def truth(cohorts: int = 12) -> Truth:
    """Return cohorts of the paper's size with many seeds, concatenated."""
    rng = np.random.default_rng(0)
    people = [one for seed in range(cohorts) for one in cohort(160, seed)]
    rows = [known(one, SCANNERS[(one.number - 1) % len(SCANNERS)], rng) for one in people]
    return Truth(*np.array(rows, float).T)


def related(first: Floats, second: Floats) -> float:
    return float(np.corrcoef(first, second)[0, 1])


def best_auc(is_low: npt.NDArray[np.bool_], *columns: Floats) -> float:
    """Return the cross-validated AUC of a flexible model."""
    model = make_pipeline(StandardScaler(), PolynomialFeatures(2), LogisticRegression(max_iter=1000))
    risks = cross_val_predict(model, np.column_stack(columns), is_low, cv=5, method="predict_proba")
    return area(is_low, risks[:, 1])


def test_low_density_is_as_frequent_as_published() -> None:
    """Beyond 50 years 29.0 % of women and 13.5 % of men in China by QCT below 80 mg/cm3 (Cheng 2021)."""
    found = truth()
    decade = np.minimum(found.age_y // 10, 8)
    for female, published in ((1, 0.290), (0, 0.135)):
        shares = [np.mean(found.bmd[(decade == ten) & (found.female == female)] < 80) for ten in CENSUS]
        assert abs(np.dot(shares, list(CENSUS.values())) - published) < 0.03


def test_density_marrow_fat_and_age_are_related_as_published() -> None:
    """Fat and density: -0.56 to -0.82 (params of the cohort). Age and fat: 0.54 in women, 0.58 in men.

    The latter here of both together. Age and density in women, at all ages: R2 0.40 to 0.61 by site
    (Liao 2002, doi 10.1007/s001980200091).
    """
    found = truth()
    assert -0.82 < related(found.fat, found.bmd) < -0.56
    assert 0.45 < related(found.age_y, found.fat) < 0.62
    women = found.female == 1
    assert -0.78 < related(found.age_y[women], found.bmd[women]) < -0.63


def test_neither_shape_nor_texture_gives_the_density_away() -> None:
    found = truth()
    assert abs(related(found.dish_mm, found.bmd)) < 0.35
    assert abs(related(found.texture, found.bmd)) < 0.45


@pytest.mark.parametrize("threshold", [80.0, 120.0])
def test_nobody_could_tell_low_density_better_than_is_plausible(threshold: float) -> None:
    """An AUC of 0.70 to 0.86 is plausible for images; above 0.9 the simulation would leak the density."""
    found = truth()
    low = found.bmd < threshold
    person = (found.age_y, found.female)
    shown = (found.fat, found.texture, found.dish_mm, found.lip_mm, found.depth_mm)
    assert 0.80 < best_auc(low, *person) < 0.86
    assert 0.80 < best_auc(low, *shown) < 0.87
    assert best_auc(low, *person, *shown) < 0.89


def test_bone_quality_follows_density_as_published() -> None:
    """Published: r = -0.487 (Yin 2023), AUC 0.75 to 0.82 for low density."""
    found = truth()
    for score in (found.t1_vbq, found.t2_vbq):
        assert -0.66 < related(score, found.bmd) < -0.40
        for threshold in (80.0, 120.0):
            assert 0.72 < area(found.bmd < threshold, score) < 0.84


def test_bone_quality_by_decade_is_as_published() -> None:
    """Means and SD of T1-VBQ by decade, `T1_VBQ_BY_DECADE`; of T2-VBQ 0.55 to 0.60 in the old."""
    found = truth()
    spreads = []
    for ten, published in zip(range(2, 7), T1_VBQ_BY_DECADE, strict=True):
        own = found.t1_vbq[found.age_y // 10 == ten]
        assert abs(own.mean() - published.mean) < 0.25, published
        spreads.append(own.std())
    published_sds = [one.sd for one in T1_VBQ_BY_DECADE]
    assert min(published_sds) - 0.1 < np.mean(spreads[2:]) < max(published_sds)
    assert 0.53 < found.t2_vbq[found.age_y >= 60].mean() < 0.60


def test_images_show_the_bone_quality_that_the_truth_says() -> None:
    """The means above hold for images: medians of the middle of bodies and fluid, some of every scanner."""
    shares: list[list[float]] = [[], []]
    for one, scanner in zip(cohort(2 * len(SCANNERS), seed=5), 2 * SCANNERS, strict=True):
        maps, rng = draw_anatomy(one, COARSE), np.random.default_rng(one.number)
        for share, protocol in zip(shares, (scanner.t1, scanner.t2), strict=True):
            series = simulate(one, scanner, replace(protocol, matrix=160, slices=5), rng, maps)
            share.append(bone_quality(series) / ratio_to_csf(one, scanner, protocol))
    assert abs(np.median(shares[0]) / READ_OF_T1 - 1.0) < 0.12
    assert abs(np.median(shares[1]) / READ_OF_T2 - 1.0) < 0.12


def test_patients_of_a_cohort_do_not_depend_on_each_other() -> None:
    few, many = cohort(3, seed=9), cohort(12, seed=9)
    pairs = [(a, b) for a, b in zip(few, many, strict=False) if a.sex is b.sex]
    assert pairs
    assert all(a.bmd_mg_cm3 == b.bmd_mg_cm3 and a.spine == b.spine for a, b in pairs)


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda scanner: scanner.site)
def test_fat_suppression_and_inversion_take_fat_away_and_leave_fluid(scanner: Scanner) -> None:
    one, plain = patient(), scanner.t2
    fluid, fat = water_signals(one, plain, scanner.field_t)[Tissue.CSF], fat_signal(plain, scanner.field_t)
    spectral = fat_suppressed(plain, fat_kept=0.1)
    assert fat_signal(spectral, scanner.field_t) == pytest.approx(0.1 * fat)
    assert water_signals(one, spectral, scanner.field_t)[Tissue.CSF] == fluid
    signals = [
        abs(fat_signal(inverted(plain, inversion_ms=ms), scanner.field_t)) for ms in range(120, 321, 5)
    ]
    null = 120 + 5 * int(np.argmin(signals))
    assert min(signals) < 0.03 * fat
    assert null == pytest.approx(np.log(2) * FAT_T1_MS * (0.64 if scanner.field_t < 1 else 0.95), rel=0.1)
    assert (
        abs(water_signals(one, inverted(plain, inversion_ms=null), scanner.field_t)[Tissue.CSF]) > 0.7 * fluid
    )


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda scanner: scanner.site)
def test_headers_of_suppressed_series_tell_so(scanner: Scanner) -> None:
    for protocol in (fat_suppressed(scanner.t2), inverted(scanner.t2, inversion_ms=200.0)):
        facts = replace(scanner.facts(protocol), orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0))
        assert identify(facts).contrast is Contrast.FAT_SUPPRESSED
