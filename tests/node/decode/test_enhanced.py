"""Enhanced (multi-frame) MR is read like the same images as classic objects."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import (
    JPEG2000Lossless,
    LegacyConvertedEnhancedMRImageStorage,
    RLELossless,
)

from analysis.domain.acquisition import AcquisitionFacts, Contrast
from analysis.domain.volume import Grid, Volume
from analysis.errors import RefusedError
from analysis.identify import identify
from dicom_templates.objects.mr_image import ImageIdentity, mr_images
from node.analyse.study import analyse_files
from node.config import default
from node.decode import SeriesHeaders, decode, scan
from node.settle.examine_headers import examine_headers
from tests.dicom_templates.gates import no_dciodvfy_errors
from tests.enhanced_mr import enhanced_mr

AXES = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
GRID = Grid((6, 260, 200), (4.4, 1.0, 0.9), (12.0, -60.0, 80.0), AXES)
SHUFFLED = (3, 0, 5, 1, 4, 2)
UID = "1.2.3.4.9"
FRAME_TYPE, MODIFIER = "MRImageFrameTypeSequence", "MRModifierSequence"
PLACES = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")

Frames = Callable[[int, Dataset], object]


def facts(repetition_ms: float, echo_ms: float, description: str = "sag lumbar") -> AcquisitionFacts:
    return AcquisitionFacts(
        repetition_time_ms=repetition_ms, echo_time_ms=echo_ms, scanning_sequence=("SE",),
        acquisition_type="2D", field_strength_t=1.5, vendor="PHILIPS", model="Ingenia",
        series_description=description, image_type=("ORIGINAL", "PRIMARY"),
    )  # fmt: skip


def classic(told: AcquisitionFacts, seed: int = 1, grid: Grid = GRID) -> list[Dataset]:
    voxels = np.random.default_rng(seed).integers(0, 1000, grid.shape).astype(np.float32)
    identity = ImageIdentity(
        patient_id="1", patient_name="A^B", study_uid="1.2.3", series_uid="1.2.3.4",
        frame_of_reference_uid="1.2.3.5", study_date="20260101", study_time="080000",
    )  # fmt: skip
    return list(mr_images(Volume(voxels, grid), told, identity))


T1, T2, PD = facts(600, 10), facts(3500, 100), facts(3500, 15)


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., list[Path]]:
    def store(*objects: Dataset) -> list[Path]:
        paths = [tmp_path / f"{number}.dcm" for number, _ in enumerate(objects)]
        for path, dataset in zip(paths, objects, strict=True):
            dataset.save_as(path, enforce_file_format=True)
        return paths

    return store


def only(paths: list[Path]) -> SeriesHeaders:
    (series,), unreadable = scan(paths)
    assert not unreadable
    return series


def test_the_object_of_these_tests_is_a_valid_one(stored: Callable[..., list[Path]]) -> None:
    (path,) = stored(enhanced_mr(classic(T1), uid=UID))
    no_dciodvfy_errors(path)


def test_frames_become_the_same_volume_as_classic_images(stored: Callable[..., list[Path]]) -> None:
    images = classic(T1)
    expected, _ = decode(only(stored(*images)))
    series = only(stored(enhanced_mr(images, uid=UID, frame_order=SHUFFLED)))
    read, objects = decode(series)
    np.testing.assert_array_equal(read.volume.voxels, expected.volume.voxels)
    assert read.volume.grid.matches(expected.volume.grid)
    assert [SHUFFLED[frame - 1] for frame in read.frames] == [0, 1, 2, 3, 4, 5]
    assert {str(one.SOPInstanceUID) for one in objects} == {UID}
    assert series.description == "MR, 6 frames"


def test_functional_groups_tell_what_a_classic_header_would(stored: Callable[..., list[Path]]) -> None:
    images = classic(T1)
    plain, told = only(stored(*images)).facts, only(stored(enhanced_mr(images, uid=UID))).facts
    for name in (
        *(
            "modality",
            "repetition_time_ms",
            "echo_time_ms",
            "scanning_sequence",
            "acquisition_type",
            "vendor",
        ),
        *("field_strength_t", "orientation", "rows", "columns", "slices", "pixel_spacing_mm"),
        *("slice_spacing_mm", "slice_thickness_mm", "series_description"),
    ):
        assert getattr(told, name) == pytest.approx(getattr(plain, name)), name
    assert (told.echo_train_length, told.flip_angle_deg, told.sequence_name) == (8, 90, "tse")
    assert told.body_part == "Vertebral column"
    assert identify(told).contrast is identify(plain).contrast is Contrast.T1


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_the_digest_does_not_depend_on_how_frames_travelled(
    stored: Callable[..., list[Path]], syntax: str
) -> None:
    plain = enhanced_mr(classic(T1), uid=UID)
    expected = decode(only(stored(plain)))[0].digest
    plain.compress(syntax, generate_instance_uid=False)
    assert decode(only(stored(plain)))[0].digest == expected


def test_the_digest_changes_with_the_frames_that_were_read(stored: Callable[..., list[Path]]) -> None:
    images = classic(T1)
    first = decode(only(stored(enhanced_mr(images, uid=UID))))[0]
    other = decode(only(stored(enhanced_mr(images, uid=UID, frame_order=SHUFFLED))))[0]
    assert first.digest != other.digest


def test_rescaling_is_that_of_each_frame(stored: Callable[..., list[Path]]) -> None:
    def change(number: int, groups: Dataset) -> None:
        groups.PixelValueTransformationSequence[0].RescaleSlope = number + 1

    images = classic(T1)
    read, _ = decode(only(stored(enhanced_mr(images, uid=UID, change=change))))
    for number, image in enumerate(images):
        np.testing.assert_array_equal(read.volume.voxels[number], image.pixel_array * (number + 1.0))


def changed(**values: object) -> Frames:
    """Return a change of attributes in the functional groups of the second half of the frames."""

    def change(number: int, groups: Dataset) -> None:
        if number >= 6:
            for element in groups:
                for keyword, value in values.items():
                    if keyword in element.value[0]:
                        setattr(element.value[0], keyword, value)

    return change


@pytest.mark.parametrize(
    "changes",
    [
        {"StackID": "2"},
        {"FrameType": ["DERIVED", "PRIMARY", "SPINE", "NONE"]},
        {"FrameType": ["ORIGINAL", "PRIMARY", "WATER", "NONE"]},
        {"ComplexImageComponent": "PHASE"},
        {"AcquisitionContrast": "DIFFUSION"},
        {"EffectiveEchoTime": 80.0},
    ],
)
def test_frames_of_other_kinds_are_stacks_of_their_own(
    stored: Callable[..., list[Path]], changes: dict[str, object]
) -> None:
    twice = enhanced_mr([*classic(T1), *classic(T1, seed=2)], uid=UID, change=changed(**changes))
    first, second = scan(stored(twice))[0]
    assert first.series_uid == second.series_uid
    assert (first.frames, second.frames) == (tuple(range(1, 7)), tuple(range(7, 13)))


def test_of_two_echoes_the_one_that_is_t2_is_read(stored: Callable[..., list[Path]]) -> None:
    both = enhanced_mr([*classic(PD), *classic(T2, seed=2)], uid=UID)
    series = scan(stored(both))[0]
    usable = [one for one in series if identify(one.facts).usable]
    assert [one.frames for one in usable] == [tuple(range(7, 13))]
    assert decode(usable[0])[0].facts.echo_time_ms == 100


@pytest.mark.parametrize(
    ("groups", "values", "contrast"),
    [
        (
            "MRImageFrameTypeSequence",
            {"FrameType": ["ORIGINAL", "PRIMARY", "WATER", "NONE"]},
            Contrast.DIXON_PART,
        ),
        ("MRImageFrameTypeSequence", {"ComplexImageComponent": "PHASE"}, Contrast.OTHER),
        (
            "MRModifierSequence",
            {"InversionRecovery": "YES", "InversionTimes": [160.0]},
            Contrast.FAT_SUPPRESSED,
        ),
        ("MRModifierSequence", {"SpectrallySelectedExcitation": "WATER"}, Contrast.FAT_SUPPRESSED),
        ("", {"SpectrallySelectedSuppression": "FAT"}, Contrast.FAT_SUPPRESSED),
        ("", {"EchoPulseSequence": "GRADIENT"}, Contrast.OTHER),
        ("", {"EchoPlanarPulseSequence": "YES"}, Contrast.OTHER),
    ],
)
def test_what_is_no_plain_spin_echo_is_told_from_its_groups(
    stored: Callable[..., list[Path]], groups: str, values: dict[str, object], contrast: Contrast
) -> None:
    dataset = enhanced_mr(classic(T1), uid=UID)
    items = [dataset]
    if groups:
        every = [*dataset.SharedFunctionalGroupsSequence, *dataset.PerFrameFunctionalGroupsSequence]
        items = [one[groups].value[0] for one in every if groups in one]
    assert items
    for item in items:
        for keyword, value in values.items():
            setattr(item, keyword, value)
    assert identify(only(stored(dataset)).facts).contrast is contrast


@pytest.mark.parametrize(("administered", "contrast"), [("YES", Contrast.POST_CONTRAST), ("NO", Contrast.T1)])
def test_contrast_agent_counts_for_the_frames_it_was_given_for(
    stored: Callable[..., list[Path]], administered: str, contrast: Contrast
) -> None:
    def change(_number: int, groups: Dataset) -> None:
        usage = Dataset()
        usage.ContrastBolusAgentNumber, usage.ContrastBolusAgentAdministered = 1, administered
        groups.ContrastBolusUsageSequence = [usage]

    dataset = enhanced_mr(classic(T1), uid=UID, change=change)
    agent = Dataset()
    agent.CodeMeaning = "Gadolinium"
    dataset.ContrastBolusAgentSequence = [agent]
    assert identify(only(stored(dataset)).facts).contrast is contrast


def test_a_stack_may_lie_in_several_objects(stored: Callable[..., list[Path]]) -> None:
    images = classic(T1)
    halves = enhanced_mr(images[::2], uid=f"{UID}.1"), enhanced_mr(images[1::2], uid=f"{UID}.2")
    read, objects = decode(only(stored(*halves)))
    expected, _ = decode(only(stored(*images)))
    np.testing.assert_array_equal(read.volume.voxels, expected.volume.voxels)
    assert [str(one.SOPInstanceUID)[-1] for one in objects] == ["1", "2", "1", "2", "1", "2"]
    assert read.frames == (1, 1, 2, 2, 3, 3)


def refusal_of(paths: list[Path]) -> str:
    with pytest.raises(RefusedError) as caught:
        decode(only(paths))
    return str(caught.value)


def test_a_missing_frame_is_refused(stored: Callable[..., list[Path]]) -> None:
    images = classic(T1)
    assert "a slice is missing" in refusal_of(stored(enhanced_mr(images[:2] + images[3:], uid=UID)))


def test_frames_that_are_not_described_are_refused(stored: Callable[..., list[Path]]) -> None:
    dataset = enhanced_mr(classic(T1), uid=UID)
    del dataset.PerFrameFunctionalGroupsSequence[-1]
    assert "does not describe its frames" in refusal_of(stored(dataset))


@pytest.mark.parametrize(
    "macro", ["PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"]
)
def test_frames_without_a_place_are_refused(stored: Callable[..., list[Path]], macro: str) -> None:
    dataset = enhanced_mr(classic(T1), uid=UID)
    for groups in (*dataset.SharedFunctionalGroupsSequence, *dataset.PerFrameFunctionalGroupsSequence):
        if macro in groups:
            del groups[macro]
    assert "its place in the patient is unknown" in refusal_of(stored(dataset))


def test_fewer_pixels_than_frames_are_refused(stored: Callable[..., list[Path]]) -> None:
    dataset = enhanced_mr(classic(T1), uid=UID)
    dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 2]
    assert "damaged or truncated" in refusal_of(stored(dataset))


def test_two_stacks_that_could_both_be_analysed_are_refused_by_name(
    stored: Callable[..., list[Path]], tmp_path: Path
) -> None:
    def place(number: int, groups: Dataset) -> None:
        if number >= 6:
            groups.FrameContentSequence[0].StackID = "2"

    both = enhanced_mr([*classic(T1), *classic(T1, seed=2)], uid=UID, change=place)
    outcome = analyse_files(stored(both), default(), tmp_path / "out")
    assert not outcome.results
    assert any("several stacks that could be analysed" in reason for reason in outcome.refusals)


def test_a_converted_legacy_object_is_read_too(stored: Callable[..., list[Path]]) -> None:
    dataset = enhanced_mr(classic(T1), uid=UID)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = LegacyConvertedEnhancedMRImageStorage
    shared = dataset.SharedFunctionalGroupsSequence[0]
    del shared.MRTimingAndRelatedParametersSequence, shared.MRModifierSequence, dataset.EchoPulseSequence
    converted = Dataset()
    converted.RepetitionTime, converted.EchoTrainLength, converted.ScanningSequence = 600, 4, ["SE"]
    shared.UnassignedSharedConvertedAttributesSequence = [converted]
    told = only(stored(dataset)).facts
    assert (told.repetition_time_ms, told.echo_train_length, told.scanning_sequence) == (600, 4, ("SE",))
    assert identify(told).contrast is Contrast.T1


def test_the_listener_judges_frames_as_it_judges_images(stored: Callable[..., list[Path]]) -> None:
    (whole,) = examine_headers(stored(enhanced_mr(classic(T1), uid=UID))).candidates
    assert (whole.contrast, whole.images, whole.faults) == (Contrast.T1, 1, ())
    assert whole.signs == ("6 slices, evenly 4.4 mm apart",)
    images = classic(T1)
    (broken,) = examine_headers(stored(enhanced_mr(images[:2] + images[3:], uid=UID))).candidates
    assert "a slice is missing" in broken.faults[0]


def test_all_objects_of_a_series_are_counted_whichever_stack_is_read(
    stored: Callable[..., list[Path]],
) -> None:
    echoes = enhanced_mr(classic(PD), uid=f"{UID}.1"), enhanced_mr(classic(T2, seed=2), uid=f"{UID}.2")
    (candidate,) = examine_headers(stored(*echoes)).candidates
    assert (candidate.contrast, candidate.images) == (Contrast.T2, 2)


@pytest.mark.parametrize(
    ("description", "told"),
    [("sag lumbar", "several stacks that could be analysed"), ("sag lumbar perfusion", "perfusion")],
)
def test_objects_that_are_refused_for_one_reason_are_told_in_one_line(
    stored: Callable[..., list[Path]], tmp_path: Path, description: str, told: str
) -> None:
    def at_time(number: int) -> Frames:
        return lambda _, groups: setattr(groups.FrameContentSequence[0], "TemporalPositionIndex", number)

    images = classic(facts(3500, 100, description))[:3]
    paths = stored(*(enhanced_mr(images, uid=f"{UID}.{one}", change=at_time(one)) for one in range(1, 22)))
    assert len(scan(paths)[0]) == 21
    outcome = analyse_files(paths, default(), tmp_path / "out")
    assert len(outcome.refusals) == 2
    assert "21 × " in outcome.refusals[1]
    assert told in outcome.refusals[1]
    examined = examine_headers(paths)
    assert len(examined.others) == (told == "perfusion")
    assert all(line.startswith("21 × ") for line in examined.others)


def test_the_description_of_the_study_is_read(stored: Callable[..., list[Path]]) -> None:
    images = classic(facts(600, 10, "sag"))
    for image in images:
        image.StudyDescription = "MR lumbar spine"
    whole, parts = enhanced_mr(images, uid=UID), images
    for objects in ([whole], parts):
        answer = identify(only(stored(*objects)).facts)
        assert answer.lumbar is None
        assert "its study is described as “lumbar”" in answer.reasons[1]
