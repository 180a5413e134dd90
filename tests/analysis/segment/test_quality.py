"""Quality of single bodies and of the whole segmentation, and the concerns that lower it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from analysis.domain.acquisition import AcquisitionFacts, Contrast
from analysis.domain.findings import Refusal, SeriesInput
from analysis.domain.reason import Reason, quoted
from analysis.domain.segmentation import CRANIAL_TO_CAUDAL, Grade, Level
from analysis.pipeline import analyse
from analysis.segment.quality import crowding, expected_overlap
from analysis.settings import AnalysisSettings
from tests.analysis.synthetic_bodies import LUMBAR, example, grid, labels_on, segmentation_of

T1 = AcquisitionFacts(
    repetition_time_ms=550,
    echo_time_ms=10,
    echo_train_length=4,
    scanning_sequence=("SE",),
    image_type=("ORIGINAL", "PRIMARY", "M"),
    acquisition_type="2D",
    series_description="T1 sag lumbar spine",
    orientation=(0, 1, 0, 0, 0, -1),
    slice_spacing_mm=4.4,
    slices=11,
)


def a_body() -> np.ndarray:
    mask = np.zeros((7, 60, 60), np.bool_)
    mask[1:6, 18:44, 14:46] = True
    return mask


def test_the_network_expects_less_of_an_outline_the_more_its_border_is_blurred() -> None:
    mask, nothing = a_body(), np.zeros((7, 60, 60), np.bool_)
    expected = [
        expected_overlap(ndimage.gaussian_filter(mask.astype(np.float32), (0, blur, blur)), mask, nothing)
        for blur in (0.0, 1.0, 2.0, 4.0, 6.0)
    ]
    assert expected[0] == pytest.approx(1.0)
    assert expected == sorted(expected, reverse=True)
    assert expected[-1] < 0.9


def test_bone_of_a_neighbour_does_not_count_against_an_outline() -> None:
    mask = a_body()
    neighbour = np.zeros_like(mask)
    neighbour[1:6, 46:58, 14:46] = True
    bone = (mask | neighbour).astype(np.float32)
    assert expected_overlap(bone, mask, neighbour) == pytest.approx(1.0)
    assert expected_overlap(bone, mask, np.zeros_like(mask)) < 0.95


@pytest.mark.parametrize(
    ("step_mm", "sacrum", "lumbar"),
    [
        (34, True, True),
        (34, False, True),
        (31, False, True),
        (27, False, False),
        (27, True, True),
        (18, True, False),
    ],
)
def test_bodies_as_close_as_thoracic_or_cervical_ones_are_no_lumbar_spine(
    step_mm: float, *, sacrum: bool, lumbar: bool
) -> None:
    shown = CRANIAL_TO_CAUDAL[2:] if sacrum else CRANIAL_TO_CAUDAL[2:7]
    words = crowding({level: np.array([0.0, step_mm * n, 0.0]) for n, level in enumerate(shown)})
    assert (words is None) is lumbar
    assert words is None or f"only {step_mm} mm apart" in words


def test_a_sound_segmentation_has_nothing_against_it() -> None:
    judgement = example()[1].judge(3)
    assert judgement.grade is Grade.SOUND
    assert judgement.quality == 1.0
    assert judgement.reasons == ()


def test_a_judgement_names_every_body_that_failed_and_what_is_missing() -> None:
    where = grid()
    found = segmentation_of(labels_on(where, LUMBAR[:4]), where)
    regions = tuple(
        replace(one, quality=0.4, usable=False, concerns=(Reason("touches_edge"),))
        if one.level in {Level.L1, Level.L2}
        else one
        for one in found.regions
    )
    judgement = replace(found, regions=regions).judge(3)
    assert judgement.grade is Grade.UNUSABLE
    assert judgement.reasons == (
        "L1: touches the edge of the image",
        "L2: touches the edge of the image",
        "not found: L5",
    )
    assert judgement.quality == pytest.approx((0.4 + 0.4 + 1.0 + 1.0) / 5)


def test_bodies_whose_names_are_uncertain_are_numbered_and_the_grade_says_caveat() -> None:
    where = grid()
    found = segmentation_of(labels_on(where), where, levels_certain=False)
    regions = (
        found.regions[0],
        replace(found.regions[1], concerns=(quoted("metal is possible"),)),
        *found.regions[2:],
    )
    judgement = replace(found, regions=regions, concerns=(quoted("the sacrum was not found"),)).judge(3)
    assert judgement.grade is Grade.DOUBTFUL
    assert judgement.reasons == ("body 2: metal is possible", "the sacrum was not found")


def test_a_refusal_for_too_few_bodies_says_which_failed_why() -> None:
    volume, found = example()
    regions = tuple(
        replace(one, usable=False, concerns=(quoted(f"fault of {one.level.name}"),))
        if one.level <= Level.L3
        else one
        for one in found.regions
    )
    refusal = analyse(
        [SeriesInput("1", T1, volume, "1")],
        model=None,
        settings=AnalysisSettings(),
        software="test",
        segmenter=lambda _source, _contrast: replace(found, regions=regions),
    )
    assert isinstance(refusal, Refusal)
    (series,) = refusal.series
    assert f"sagittal {Contrast.T1}" in series.description
    (reason,) = series.reasons
    assert reason.startswith("only 2 usable lumbar vertebral bodies were found, and 3 are needed")
    for level in (Level.L1, Level.L2, Level.L3):
        assert f"{level.name}: fault of {level.name}" in reason
