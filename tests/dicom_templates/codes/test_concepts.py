"""Coded concepts and codes of radiomic features."""

import pytest
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from analysis.domain.findings import Target, Verdict
from analysis.domain.segmentation import Level
from dicom_templates.codes import concepts
from dicom_templates.codes.radiomics import IBSI_OF, UNIT_OF, radiomic_code, radiomic_unit


def all_codes() -> list[Code]:
    values = [value for name, value in vars(concepts).items() if name.isupper() and not name.startswith("_")]
    tables = [one for value in values if isinstance(value, dict) for one in value.values()]
    return [*(value for value in values if isinstance(value, Code)), *tables, *IBSI_OF.values()]


def test_codes_fit_into_their_value_representations() -> None:
    assert len(all_codes()) > 100
    for code in all_codes():
        assert len(code.value) <= 16
        assert 0 < len(code.meaning) <= 64


def test_no_private_code_has_two_meanings() -> None:
    meanings: dict[str, set[str]] = {}
    for code in all_codes():
        if code.scheme_designator == concepts.PRIVATE_SCHEME:
            meanings.setdefault(code.value, set()).add(code.meaning)
    assert meanings
    assert all(len(one) == 1 for one in meanings.values())


def test_every_level_target_and_verdict_has_a_code() -> None:
    assert set(concepts.FINDING_SITE_OF) == set(Level)
    assert set(concepts.TARGET_OF) == set(concepts.PROBABILITY_OF) == set(Target)
    assert set(concepts.VERDICT_OF) == set(Verdict)


def test_a_level_that_is_not_certain_is_only_a_vertebra() -> None:
    assert concepts.structure_of(Level.L3, certain=True) == codes.SCT.L3Vertebra
    assert concepts.structure_of(Level.L3, certain=False) == codes.SCT.Vertebra


@pytest.mark.parametrize(
    ("feature", "scheme"),
    [
        ("original_glcm_Contrast", "IBSI"),
        ("original_firstorder_Mean", concepts.PRIVATE_SCHEME),
        ("log-2D-in-body-2-0-mm_glcm_Contrast", concepts.PRIVATE_SCHEME),
        ("log-2D-in-body-4-0-mm_gldm_DependenceEntropy", concepts.PRIVATE_SCHEME),
    ],
)
def test_only_features_of_the_image_itself_carry_the_codes_of_the_ibsi(feature: str, scheme: str) -> None:
    assert radiomic_code(feature).scheme_designator == scheme


def test_different_features_have_different_codes() -> None:
    names = [
        f"{image}_{name}"
        for image in ("original", "log-2D-in-body-2-0-mm", "log-2D-in-body-4-0-mm")
        for name in IBSI_OF
    ]
    assert len({radiomic_code(name).value for name in names}) == len(names)
    assert len({radiomic_code(name).meaning for name in names}) == len(names)


NAMES = [
    *IBSI_OF,
    *UNIT_OF,
    "firstorder_10Percentile",
    "firstorder_90Percentile",
    "gldm_SmallDependenceLowGrayLevelEmphasis",
    "gldm_LargeDependenceLowGrayLevelEmphasis",
    "glszm_GrayLevelNonUniformityNormalized",
    "glszm_SizeZoneNonUniformityNormalized",
    "glszm_LargeAreaHighGrayLevelEmphasis",
]


def test_meanings_of_features_are_whole_and_different() -> None:
    meanings = [
        radiomic_code(f"{image}_{name}").meaning
        for image in ("original", "log-2D-in-body-2-0-mm", "log-2D-in-body-10-0-mm")
        for name in dict.fromkeys(NAMES)
    ]
    assert len(set(meanings)) == len(meanings)
    whole = {word for meaning in meanings if "(log" not in meaning for word in meaning.lower().split()}
    for meaning in meanings:
        assert len(meaning) <= 64
        last = meaning.partition(" (log")[0].split()[-1].lower()
        assert last in whole or last.endswith((".", "gl", "nu")), meaning
    assert radiomic_code("original_firstorder_10Percentile").meaning.startswith("firstorder 10 Percentile")


def test_lengths_areas_and_volumes_have_their_units() -> None:
    expected = {"LeastAxisLength": "mm", "SurfaceArea": "mm2", "MeshVolume": "mm3", "Sphericity": "1"}
    for name, unit in expected.items():
        assert radiomic_unit(f"original_shape_{name}").value == unit
