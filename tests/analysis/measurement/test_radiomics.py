"""Radiomics: the values of pyradiomics, faster, in plane, and never NaN."""

import csv
import json
import logging
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from analysis.domain.reason import quoted
from analysis.domain.segmentation import CsfSample, Level
from analysis.domain.volume import Volume
from analysis.errors import AnalysisError, RefusedError
from analysis.itk import to_array
from analysis.measurement.pyradiomics import calculate, extractor
from analysis.measurement.radiomics import MINIMUM_VOXELS, aggregate, extract, prepare
from analysis.settings import FeatureSettings
from tests.analysis.synthetic_bodies import (
    CSF_SIGNAL,
    LUMBAR,
    csf_on,
    example,
    grid,
    labels_on,
    segmentation_of,
    textured,
)

QUICK = FeatureSettings(filters=("Original",))
IBSI = Path(__file__).parent / "ibsi"


@cache
def extracted(seed: int = 0) -> dict[Level, dict[str, float]]:
    return extract(*example(seed), QUICK)


@pytest.mark.parametrize(
    "chosen",
    [
        FeatureSettings(),
        FeatureSettings(filters=("LoG",), in_plane=False, erosion_mm=0.0, bin_count=16),
        FeatureSettings(log_sigma_mm=(1.5,), reference="body"),
    ],
    ids=["default", "texture in space", "of the body"],
)
def test_values_are_those_of_plain_pyradiomics_for_each_image_and_region_in_turn(
    chosen: FeatureSettings,
) -> None:
    volume, segmentation = example()
    images, mask = prepare(volume, segmentation, chosen)
    plain, ours = extractor(chosen), extract(volume, segmentation, chosen)
    assert list(ours) == list(LUMBAR)
    for level, values in ours.items():
        expected: dict[str, float] = {}
        for image_name, image in images.items():
            for name, value in plain.execute(image, mask, label=int(level)).items():
                _, family, feature = name.split("_")
                told = "original" if family == "shape" else image_name
                # The mean of a filtered image is what is left over at the border, so it is no feature.
                if image_name == "original" or (family, feature) != ("firstorder", "Mean"):
                    expected[f"{told}_{family}_{feature}"] = float(value)
        assert list(values) == list(expected)
        assert values == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_values_are_plain_python_numbers() -> None:
    assert {type(value) for values in extracted().values() for value in values.values()} == {float}


def test_every_class_and_filter_that_is_asked_for_answers() -> None:
    names = extract(*example(), FeatureSettings())[Level.L3]
    assert {name.split("_")[0] for name in names} == {
        "original",
        "log-2D-in-body-2-0-mm",
        "log-2D-in-body-4-0-mm",
    }
    assert {name.split("_")[1] for name in names} == {
        *("shape", "firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm")
    }


def test_texture_in_plane_does_not_know_the_order_of_the_slices() -> None:
    """Array axis 0 is the dimension that pyradiomics ignores with `force2D`."""
    volume, segmentation = example()
    order = np.arange(volume.grid.shape[0])
    order[1:10] = np.random.default_rng(1).permutation(order[1:10])  # the slices that show bodies, all alike
    mixed = Volume(np.ascontiguousarray(volume.voxels[order]), volume.grid)
    name = "original_glcm_Contrast"
    for in_plane in (True, False):
        chosen = replace(QUICK, in_plane=in_plane, reference="body")
        one, other = (extract(stack, segmentation, chosen)[Level.L2][name] for stack in (volume, mixed))
        assert (one == pytest.approx(other)) == in_plane


@pytest.mark.parametrize("gain", [0.01, 37.0])
def test_the_scale_of_the_scanner_does_not_matter(gain: float) -> None:
    volume, segmentation = example()
    louder = Volume(volume.voxels * np.float32(gain), volume.grid)
    again = extract(louder, segmentation, QUICK)[Level.L1]
    assert again["original_firstorder_Median"] == pytest.approx(
        extracted()[Level.L1]["original_firstorder_Median"], rel=1e-5
    )


def test_signals_are_percent_of_the_reference() -> None:
    volume, segmentation = example()
    images, mask = prepare(volume, segmentation, QUICK)
    l2 = to_array(images["original"])[to_array(mask) == Level.L2]
    expected = np.median(volume.voxels[segmentation.labels == Level.L2]) / CSF_SIGNAL * 100.0
    assert np.median(l2) == pytest.approx(expected, rel=0.02)
    images, _ = prepare(volume, segmentation, replace(QUICK, reference="body"))
    assert np.median(to_array(images["original"])[to_array(mask) > 0]) == pytest.approx(100.0, rel=0.02)


def test_bodies_are_eroded_in_plane_only() -> None:
    volume, segmentation = example()
    _, whole = prepare(volume, segmentation, replace(QUICK, erosion_mm=0.0))
    _, inner = prepare(volume, segmentation, replace(QUICK, erosion_mm=1.5))
    for level in LUMBAR:
        slices, rows, columns = np.nonzero(to_array(whole) == level)
        kept = np.nonzero(to_array(inner) == level)
        assert set(kept[0]) == set(slices)
        assert (kept[1].min(), kept[1].max()) == (rows.min() + 1, rows.max() - 1)
        assert (kept[2].min(), kept[2].max()) == (columns.min() + 1, columns.max() - 1)


def test_only_usable_bodies_with_enough_left_are_measured() -> None:
    where = grid()
    labels = labels_on(where)
    labels[(labels == Level.L5) & (np.arange(where.shape[2]) > 17)] = 0  # only a sliver of L5 is left
    segmentation = segmentation_of(
        labels, where, usable=(Level.L1, Level.L3, Level.L5), csf=CsfSample(csf_on(where), 1.0)
    )
    assert list(extract(textured(labels, where), segmentation, QUICK)) == [Level.L1, Level.L3]


def test_nothing_usable_gives_nothing() -> None:
    where = grid()
    segmentation = segmentation_of(labels_on(where), where, usable=(), csf=CsfSample(csf_on(where), 1.0))
    assert extract(textured(labels_on(where), where), segmentation, QUICK) == {}
    with pytest.raises(RefusedError, match="usable"):
        extract(textured(labels_on(where), where), segmentation, replace(QUICK, reference="body"))


@pytest.mark.parametrize(
    ("csf", "reason"),
    [
        (None, "no cerebrospinal fluid"),
        (CsfSample(csf_on(grid()), 0.4, (quoted("it is thin"),)), "it is thin"),
    ],
)
def test_without_a_valid_reference_features_are_refused(csf: CsfSample | None, reason: str) -> None:
    where = grid()
    segmentation = segmentation_of(labels_on(where), where, csf=csf)
    with pytest.raises(RefusedError, match=reason):
        extract(textured(labels_on(where), where), segmentation, QUICK)


def test_one_slice_is_enough() -> None:
    where = grid((1, 160, 90))
    labels = np.zeros(where.shape, dtype=np.uint8)
    labels[:, 20:50, 20:50] = Level.L1
    segmentation = segmentation_of(labels, where)
    values = extract(textured(labels, where), segmentation, FeatureSettings(reference="body"))
    assert values[Level.L1]["log-2D-in-body-4-0-mm_firstorder_Variance"] > 0.0


def test_a_feature_that_fails_is_an_error_and_not_a_number(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from radiomics.firstorder import RadiomicsFirstOrder

    def broken(_: object) -> float:
        raise ZeroDivisionError

    monkeypatch.setattr(RadiomicsFirstOrder, "getEnergyFeatureValue", broken)
    with (
        caplog.at_level(logging.CRITICAL),
        pytest.raises(AnalysisError, match=r"original_firstorder_Energy, .* of L1"),
    ):
        extract(*example(), QUICK)


def test_pyradiomics_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    extract(*example(), QUICK)
    assert capfd.readouterr() == ("", "")


def test_a_patient_is_the_mean_and_the_spread_of_the_levels() -> None:
    summary = aggregate({Level.L1: {"a": 1.0, "b": 5.0}, Level.L2: {"a": 3.0, "b": 5.0}})
    assert summary == pytest.approx({"a_mean": 2.0, "a_sd": np.sqrt(2.0), "b_mean": 5.0, "b_sd": 0.0})


def test_one_level_has_no_spread_and_gives_no_summary() -> None:
    assert aggregate({Level.L1: {"a": 1.0}}) == {}
    assert aggregate({}) == {}


def test_levels_with_different_features_are_not_summarised() -> None:
    with pytest.raises(AnalysisError, match="different features"):
        aggregate({Level.L1: {"a": 1.0}, Level.L2: {"b": 1.0}})


def test_the_smallest_body_that_is_measured_gives_finite_values() -> None:
    where = grid()
    labels = np.zeros(where.shape, dtype=np.uint8)
    labels[5, 20:33, 20:33] = Level.L1
    segmentation = segmentation_of(labels, where, usable=LUMBAR)
    values = extract(textured(labels, where), segmentation, replace(QUICK, reference="body"))
    assert values[Level.L1]["original_shape_VoxelVolume"] == pytest.approx(11 * 11 * 4.4)
    assert MINIMUM_VOXELS <= 11 * 11


def _ibsi_phantom() -> tuple[Any, Any]:
    told = json.loads((IBSI / "digital_phantom.json").read_text())
    image = SimpleITK.GetImageFromArray(np.array(told["image_zyx"], dtype=np.float32))
    mask = SimpleITK.GetImageFromArray(np.array(told["mask_zyx"], dtype=np.uint8))
    for one in (image, mask):
        one.SetSpacing(told["spacing_mm"])
    return image, mask


def _to_ibsi(name: str, value: float, voxels: int) -> float:
    """Convert values for which the definitions of pyradiomics and the IBSI differ in a known way."""
    if name == "firstorder_Kurtosis":
        return value - 3.0  # the IBSI's is the excess over a normal distribution
    if name in {"shape_MinorAxisLength", "shape_LeastAxisLength", "shape_MajorAxisLength"}:
        return value * float(
            np.sqrt(voxels / (voxels - 1))
        )  # pyradiomics divides the covariance by n, the IBSI by n - 1
    return value


def _agrees(value: float, reference: str, tolerance: str) -> bool:
    if tolerance:
        return abs(value - float(reference)) <= float(tolerance)
    # Without a tolerance, the consensus value is exact to its three significant digits.
    half_a_digit = 0.5 * math.pow(10.0, math.floor(math.log10(abs(float(reference)))) - 2)
    return abs(value - float(reference)) <= half_a_digit * 1.0001


def test_the_consensus_values_of_the_ibsi_are_met() -> None:
    """Image Biomarker Standardisation Initiative, digital phantom: 105 features in 3-D, one bin per level.

    References
    ----------
    Zwanenburg A, Vallières M, Abdalah MA, et al. Radiology 2020;295:328-338.
    """
    image, mask = _ibsi_phantom()
    plain = extractor(replace(QUICK, in_plane=False))
    plain.settings |= {
        "binCount": None,
        "binWidth": 1,
        "symmetricalGLCM": True,
        "distances": [1],
        "gldm_a": 0,
    }
    deprecated = {"shape": ["Compactness1", "Compactness2", "SphericalDisproportion"]}
    ours = calculate(plain, {"original": image}, mask)[1]
    plain.enableFeaturesByName(**deprecated)
    ours |= {
        name: float(value) for name, value in plain.execute(image, mask, label=1).items() if name not in ours
    }
    with (IBSI / "reference_values.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == 105
    off = [
        (row["pyradiomics_feature"], ours[f"original_{row['pyradiomics_feature']}"], row["reference"])
        for row in rows
        if not _agrees(
            _to_ibsi(row["pyradiomics_feature"], ours[f"original_{row['pyradiomics_feature']}"], 74),
            row["reference"],
            row["tolerance"],
        )
    ]
    assert off == []
