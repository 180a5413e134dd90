"""The slices of a series must agree, and their pixels must stand for the signal; otherwise it is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from analysis.domain.acquisition import AcquisitionFacts, Contrast
from analysis.domain.reason import Reason
from analysis.domain.volume import Grid, Volume
from analysis.errors import RefusedError
from analysis.identify import identify
from dicom_templates.objects.mr_image import ImageIdentity, mr_images
from node.decode import decode, scan
from node.settle.examine_headers import examine_headers
from tests.enhanced_mr import enhanced_mr
from tests.thoroughness import share_of

AXES = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
GRID = Grid((7, 50, 48), (4.4, 5.0, 5.0), (12.0, -60.0, 80.0), AXES)
COUNT = GRID.shape[0]
FACTS = AcquisitionFacts(
    repetition_time_ms=600, echo_time_ms=9, echo_train_length=3, flip_angle_deg=150, field_strength_t=1.5,
    scanning_sequence=("SE",), sequence_variant=("SK",), scan_options=("PFP",), acquisition_type="2D",
    image_type=("ORIGINAL", "PRIMARY", "M", "NORM"), vendor="Scanner works", model="Magnet 1",
    series_description="t1_tse_sag LWS", body_part="LSPINE",
)  # fmt: skip
IDENTITY = ImageIdentity(
    patient_id="1", patient_name="A^B", study_uid="1.2.3", series_uid="1.2.3.4",
    frame_of_reference_uid="1.2.3.5", study_date="20260101", study_time="080000",
)  # fmt: skip
VOXELS = np.random.default_rng(1).integers(100, 1000, GRID.shape).astype(np.float32)

Change = Callable[[int, Dataset], object]
Write = Callable[[Change], list[Path]]


def unchanged(_number: int, _image: Dataset) -> None:
    """Leave it as it is."""


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    def write_series(change: Change) -> list[Path]:
        folder = tmp_path_factory.mktemp("series")
        paths = []
        for number, image in enumerate(mr_images(Volume(VOXELS, GRID), FACTS, IDENTITY)):
            change(number, image)
            paths.append(folder / f"{number}.dcm")
            image.save_as(paths[-1], enforce_file_format=True)
        return paths

    return write_series


def on(numbers: set[int], **values: object) -> Change:
    """Return a change of the images of these numbers (from 0); None removes an attribute."""

    def change(number: int, image: Dataset) -> None:
        for keyword, value in values.items():
            if number in numbers and value is None:
                delattr(image, keyword)
            elif number in numbers:
                setattr(image, keyword, value)

    return change


def written(write: Write, keyword: str, value: bytes) -> list[Path]:
    """Write the series with a text in every image that pydicom would not write."""
    placeholder = b"7391" * (len(value) // 4 + 1)
    tag = Tag(keyword)

    def change(_number: int, image: Dataset) -> None:
        element = RawDataElement(tag, "LO", len(placeholder), placeholder, 0, False, True)
        image[tag] = element

    paths = write(change)
    for path in paths:
        found = path.read_bytes()
        place = found.index(placeholder)
        # The VR stands six bytes before the value: VR, length, value.
        head = found[: place - 4] + dictionary_VR(keyword).encode() + found[place - 2 : place]
        path.write_bytes(head + value.ljust(len(placeholder)) + found[place + len(placeholder) :])
    return paths


def coded(meaning: str) -> list[Dataset]:
    item = Dataset()
    item.CodeMeaning = meaning
    return [item]


def refusal_of(paths: list[Path]) -> tuple[Reason, ...]:
    (series,), _ = scan(paths)
    assert identify(series.facts).usable, "a series with a usable slice is refused, not overlooked"
    with pytest.raises(RefusedError) as caught:
        decode(series)
    (candidate,) = examine_headers(paths).candidates
    assert candidate.faults == caught.value.reasons, "the headers alone tell it too"
    return candidate.faults


def voxels_of(paths: list[Path]) -> np.ndarray:
    (series,), _ = scan(paths)
    return decode(series)[0].volume.voxels


ALL = set(range(COUNT))
SOME = st.sets(st.integers(0, COUNT - 1), min_size=1, max_size=COUNT - 1)
DIFFERENT: dict[str, dict[str, object]] = {
    "EchoTime": {"EchoTime": "90"},
    "RepetitionTime": {"RepetitionTime": "900"},
    "InversionTime": {"InversionTime": "160"},
    "FlipAngle": {"FlipAngle": "60"},
    "EchoTrainLength": {"EchoTrainLength": "16"},
    "MagneticFieldStrength": {"MagneticFieldStrength": "3"},
    "SliceThickness": {"SliceThickness": "3"},
    "SpacingBetweenSlices": {"SpacingBetweenSlices": "5"},
    "ScanningSequence": {"ScanningSequence": ["SE", "IR"]},
    "SequenceVariant": {"SequenceVariant": ["SK", "MTC"]},
    "ScanOptions": {"ScanOptions": ["PFP", "FS"]},
    "ImageType": {"ImageType": ["DERIVED", "SECONDARY", "M", "NORM"]},
    "ImageType NORM": {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"]},
    "MRAcquisitionType": {"MRAcquisitionType": "3D"},
    "Manufacturer": {"Manufacturer": "Another"},
    "ManufacturerModelName": {"ManufacturerModelName": "Magnet 2"},
    "FrameOfReferenceUID": {"FrameOfReferenceUID": "1.2.3.6"},
    "PatientPosition": {"PatientPosition": "FFS"},
    "AcquisitionDate": {"AcquisitionDate": "20250101"},
    "RescaleSlope": {"RescaleSlope": "2.5", "RescaleIntercept": "0"},
}
KINDS: dict[str, dict[str, object]] = {
    "contrast agent": {"ContrastBolusAgent": "Gadobutrol"},
    "contrast agent as a code": {"ContrastBolusAgentSequence": coded("Gadobutrol")},
    "contrast agent by ingredient": {"ContrastBolusIngredient": "GADOLINIUM"},
    "contrast agent by description": {"SeriesDescription": "t1_tse_sag LWS +KM"},
    "fat suppression by description": {"SeriesDescription": "t1_tse_sag fs LWS"},
    "T2 by description": {"SeriesDescription": "t2_tse_sag LWS"},
    "another region": {"SeriesDescription": "t1_tse_sag HWS"},
    "a map by image type": {"ImageType": ["ORIGINAL", "PRIMARY", "PHASE MAP", "NORM"]},
    "a localiser by image type": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER", "NORM"]},
}


@settings(
    max_examples=share_of(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(what=st.sampled_from(sorted(DIFFERENT)), where=SOME)
def test_whatever_differs_in_whichever_slices_is_told_with_its_images(
    write: Write, what: str, where: set[int]
) -> None:
    reasons = refusal_of(write(on(where, **DIFFERENT[what])))
    (reason,) = (one for one in reasons if one.values["keyword"] == what.split(maxsplit=1)[0])
    assert reason.values["images"] in {listed(where), listed(ALL - where)}


@settings(
    max_examples=share_of(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(what=st.sampled_from(sorted(KINDS)), where=SOME)
def test_slices_of_two_kinds_are_told_apart_by_whatever_tells_their_kind(
    write: Write, what: str, where: set[int]
) -> None:
    (reason,) = refusal_of(write(on(where, **KINDS[what])))
    assert reason.code == "images_of_two_kinds"
    assert reason.values["images"] in {listed(where), listed(ALL - where)}


def listed(numbers: set[int]) -> str:
    """Write Instance Numbers, which count from 1, as a reason does."""
    told = "".join("x" if number in numbers else " " for number in range(COUNT))
    ends, start = [], 0
    for part in told.replace("x ", "x, ").replace(" x", " ,x").split(","):
        place = told.find("x", start)
        if "x" in part:
            length = part.count("x")
            ends.append(f"{place + 1}" if length == 1 else f"{place + 1}-{place + length}")
            start = place + length
    return ", ".join(ends)


def test_the_issues_own_cases(write: Write) -> None:
    agent = refusal_of(write(on(ALL - {0}, ContrastBolusAgent="Gadobutrol")))
    assert agent == (
        (
            "its images are of different kinds: for those with the numbers 1, TR 600 ms and TE 9 ms make it "
            "T1w; for the others, its header names a contrast agent"
        ),
    )
    (echoes,) = refusal_of(write(on({1, 3, 5}, EchoTime="90")))
    assert "about EchoTime, which goes from 9 to 90: those with the numbers 2, 4, 6 differ" in echoes
    (derived,) = refusal_of(write(on({3}, ImageType=["DERIVED", "SECONDARY", "M", "NORM"])))
    assert "about ImageType: those with the numbers 4 differ from the others" in derived


VARYING: dict[str, Change] = {
    "rounded timing": lambda n, d: on({n}, EchoTime=f"{9 + n / 100}", RepetitionTime=f"{600 + n}")(n, d),
    "times": lambda n, d: setattr(d, "AcquisitionTime", f"0800{n:02}"),
    "midnight": lambda n, d: setattr(d, "AcquisitionDate", "20260101" if n < 4 else "20260102"),
    "window": lambda n, d: setattr(d, "WindowWidth", str(500 + n)),
    "image type": lambda n, d: setattr(d, "ImageType", ["ORIGINAL", "PRIMARY", "M", "NORM", f"X{n % 2}"]),
    "a missing text": on({0, 2}, Manufacturer="", SeriesDescription=None, BodyPartExamined=None),
    "spelling": on({1}, Manufacturer="SCANNER WORKS", SeriesDescription="t1_tse_sag LWS neu"),
    "identity beside nothing": on({1}, RescaleSlope="1", RescaleIntercept="0"),
}


@pytest.mark.parametrize("what", VARYING)
def test_what_real_scanners_write_slice_by_slice_is_no_contradiction(write: Write, what: str) -> None:
    assert voxels_of(write(VARYING[what])) == pytest.approx(VOXELS)


def test_a_slope_of_each_slice_is_applied_to_it(write: Write) -> None:
    """Philips stores each slice with a slope of its own."""
    read = voxels_of(write(lambda n, d: on(ALL, RescaleSlope=str(n + 1.5), RescaleIntercept="3")(n, d)))
    factors = (np.arange(COUNT) + 1.5)[:, None, None]
    assert read == pytest.approx(VOXELS * factors + 3)


def test_a_series_none_of_whose_slices_would_be_analysed_is_not_refused_but_overlooked(write: Write) -> None:
    def axial_or_fat_suppressed(number: int, image: Dataset) -> None:
        if number % 2:
            image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        else:
            image.ScanOptions = ["FS"]

    examination = examine_headers(write(axial_or_fat_suppressed))
    assert not examination.candidates
    assert examination.others


@pytest.mark.parametrize("keyword", ["EchoTime", "RepetitionTime", "InversionTime", "FlipAngle"])
@pytest.mark.parametrize("value", [b"NaN", b"inf", b"-inf", b"-9", b"1e999", b"9,5", b"\xff\xfe", b"9\\90"])
def test_impossible_timing_is_refused(write: Write, keyword: str, value: bytes) -> None:
    (reason,) = refusal_of(written(write, keyword, value))
    assert reason.code == "header_impossible"
    assert reason.values["keyword"] == keyword


@pytest.mark.parametrize("value", [b"inf", b"abc", b"-2", b"1e999", b"-inf", b"nan", b"2\\3"])
def test_a_damaged_integer_is_refused_without_a_traceback(write: Write, value: bytes) -> None:
    (reason,) = refusal_of(written(write, "EchoTrainLength", value))
    assert reason.code == "header_impossible"


@pytest.mark.parametrize("value", [b"NaN", b"inf", b"1\\2", b"1e999", b"x"])
@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_a_damaged_rescale_is_refused(write: Write, keyword: str, value: bytes) -> None:
    (reason,) = refusal_of(written(write, keyword, value))
    assert reason == f"an instance has no usable {keyword}, so what its pixels stand for is unknown"


def mapping(slope: float, intercept: float = 0.0, unit: str = "1", **more: object) -> Dataset:
    item = Dataset()
    item.RealWorldValueSlope, item.RealWorldValueIntercept = slope, intercept
    item.MeasurementUnitsCodeSequence = coded("unit")
    item.MeasurementUnitsCodeSequence[0].CodeValue = unit
    for keyword, value in more.items():
        setattr(item, keyword, value)
    return item


def table() -> Dataset:
    item = Dataset()
    item.RealWorldValueLUTData = [1.0, 4.0, 9.0]
    return item


def every(**values: object) -> Change:
    return on(ALL, **values)


MEANING: dict[str, tuple[Change, str]] = {
    "MONOCHROME1": (every(PhotometricInterpretation="MONOCHROME1"), "dark and bright are exchanged"),
    "MONOCHROME1 in one": (on({2}, PhotometricInterpretation="MONOCHROME1"), "dark and bright are exchanged"),
    "palette": (every(PhotometricInterpretation="PALETTE COLOR"), "not one grey image"),
    "no interpretation": (every(PhotometricInterpretation=None), "no usable PhotometricInterpretation"),
    "inverse shape": (every(PresentationLUTShape="INVERSE"), "PresentationLUTShape says that dark"),
    "optical density": (every(PresentationLUTShape="LIN OD"), "not linear"),
    "logarithm": (every(PixelIntensityRelationship="LOG"), "not linear"),
    "sign": (
        every(PixelIntensityRelationship="LIN", PixelIntensityRelationshipSign=-1),
        "PixelIntensityRelationshipSign says that dark",
    ),
    "modality table": (every(ModalityLUTSequence=coded("any")), "ModalityLUTSequence says"),
    "high bit": (every(HighBit=11), "no usable HighBit"),
    "zero slope": (every(RescaleSlope="0", RescaleIntercept="0"), "no usable RescaleSlope"),
    "negative slope": (every(RescaleSlope="-1", RescaleIntercept="4095"), "RescaleSlope says that dark"),
    "huge slope": (every(RescaleSlope="1e38", RescaleIntercept="0"), "no usable RescaleSlope"),
    "tiny slope": (every(RescaleSlope="1e-39", RescaleIntercept="0"), "no usable RescaleSlope"),
    "huge intercept": (every(RescaleSlope="1", RescaleIntercept="1e30"), "no usable RescaleIntercept"),
    "slope alone": (every(RescaleSlope="2"), "no usable RescaleIntercept"),
    "intercept alone": (every(RescaleIntercept="2"), "no usable RescaleSlope"),
    "real world table": (every(RealWorldValueMappingSequence=[table()]), "not linear"),
    "real world offset": (every(RealWorldValueMappingSequence=[mapping(1, -500)]), "contradicts"),
    "real world sign": (every(RealWorldValueMappingSequence=[mapping(-1)]), "contradicts"),
    "real world NaN": (every(RealWorldValueMappingSequence=[mapping(float("nan"))]), "not linear"),
    "real world unit": (every(RealWorldValueMappingSequence=[mapping(1, unit="ms")]), "pixels a unit"),
    "real world in some": (on({1}, RealWorldValueMappingSequence=[mapping(1)]), "differs between its images"),
    "real world by slice": (
        lambda n, d: every(RealWorldValueMappingSequence=[mapping(1 + n)])(n, d),
        "differs between its images",
    ),
    "real world in parts": (
        every(
            RealWorldValueMappingSequence=[
                mapping(1, RealWorldValueFirstValueMapped=0, RealWorldValueLastValueMapped=500),
                mapping(3, RealWorldValueFirstValueMapped=501, RealWorldValueLastValueMapped=4095),
            ]
        ),
        "not linear",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", MEANING)
def test_pixels_that_are_not_the_signal_are_refused(write: Write, what: str) -> None:
    change, expected = MEANING[what]
    assert expected.replace("not one grey image", "colour or several frames") in refusal_of(write(change))[0]


def test_a_real_world_mapping_that_only_scales_changes_nothing(write: Write) -> None:
    """Philips writes one in every image, with the slope of the image."""

    def scale(number: int, image: Dataset) -> None:
        slope = 1.5 + number
        every(RescaleSlope=str(slope), RescaleIntercept="0")(number, image)
        image.RealWorldValueMappingSequence = [mapping(2 * slope)]

    factors = (np.arange(COUNT) + 1.5)[:, None, None]
    assert voxels_of(write(scale)) == pytest.approx(VOXELS * factors)


def padded(value: int, *, limit: int | None = None, signed: bool = False, inside: bool = False) -> Change:
    """Return a change that surrounds each image with padding, as wide as 6 pixels."""

    def change(_number: int, image: Dataset) -> None:
        kind = "<i2" if signed else "<u2"
        pixels = np.frombuffer(image.PixelData, "<u2").astype(kind).reshape(GRID.shape[1:]).copy()
        border = np.ones(pixels.shape, np.bool_)
        border[6:-6, 6:-6] = False
        if inside:
            border[20:22, 20:22] = True
        pixels[border] = np.linspace(value, value if limit is None else limit, int(border.sum())).astype(kind)
        image.PixelRepresentation = int(signed)
        image.PixelData = pixels.tobytes()
        image.PixelPaddingValue = value
        if limit is not None:
            image.PixelPaddingRangeLimit = limit
        for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue"):
            delattr(image, keyword)

    return change


@pytest.mark.parametrize(
    ("value", "limit", "signed"),
    [(0, None, False), (4000, None, False), (4000, 4095, False), (4095, 4000, False), (-2000, None, True),
     (0, 99, False), (65535, None, False)],
)  # fmt: skip
def test_padding_has_no_signal(write: Write, value: int, limit: int | None, *, signed: bool) -> None:
    read = voxels_of(write(padded(value, limit=limit, signed=signed)))
    expected = np.zeros(GRID.shape)
    expected[:, 6:-6, 6:-6] = VOXELS[:, 6:-6, 6:-6]
    assert read == pytest.approx(expected)


def test_dark_padding_inside_of_an_image_hides_nothing(write: Write) -> None:
    assert (voxels_of(write(padded(0, inside=True)))[:, 20:22, 20:22] == 0).all()


def decoding_refused(paths: list[Path]) -> str:
    (series,), _ = scan(paths)
    with pytest.raises(RefusedError) as caught:
        decode(series)
    return str(caught.value)


def test_bright_padding_inside_of_an_image_hides_what_was_there(write: Write) -> None:
    assert "padding value lie within" in decoding_refused(write(padded(4000, inside=True)))


def test_pixels_that_need_more_bits_than_are_stored_are_refused(write: Write) -> None:
    assert "BitsStored" in decoding_refused(write(every(BitsStored=8, HighBit=7)))
    assert voxels_of(write(every(BitsStored=12, HighBit=11))) == pytest.approx(VOXELS)


def test_overlays_in_unused_bits_are_not_part_of_the_signal(write: Write) -> None:
    def overlay(_number: int, image: Dataset) -> None:
        pixels = np.frombuffer(image.PixelData, "<u2").copy()
        pixels[::7] |= 1 << 14
        image.PixelData = pixels.tobytes()
        image.BitsStored, image.HighBit = 12, 11
        image.add_new((0x6000, 0x0100), "US", 16)
        image.add_new((0x6000, 0x0102), "US", 14)

    assert voxels_of(write(overlay)) == pytest.approx(VOXELS)


def test_signed_beside_unsigned_slices_are_read_each_as_it_says(write: Write) -> None:
    assert voxels_of(write(on({1, 3}, PixelRepresentation=1))) == pytest.approx(VOXELS)


def test_values_too_coarse_for_single_precision_are_refused(write: Write) -> None:
    change = every(RescaleSlope="1", RescaleIntercept="100000000000")
    assert "RescaleIntercept" in decoding_refused(write(change))


# --- Enhanced MR -------------------------------------------------------------------------------------


def frames(tmp_path: Path, change: Change, images: list[Dataset] | None = None) -> list[Path]:
    classic = images or list(mr_images(Volume(VOXELS, GRID), FACTS, IDENTITY))
    path = tmp_path / "enhanced.dcm"
    made = enhanced_mr(classic, uid="1.2.3.4.9", change=change)
    made.MagneticFieldStrength = 1.5
    made.save_as(path, enforce_file_format=True)
    return [path]


def fault_of(paths: list[Path]) -> str:
    """Return why the only stack that would be analysed is not."""
    series = [one for one in scan(paths)[0] if identify(one.facts).usable]
    assert series
    told = set()
    for one in series:
        with pytest.raises(RefusedError) as caught:
            decode(one)
        told.add(str(caught.value))
    return "; ".join(sorted(told))


@pytest.mark.parametrize("where", [{3}, {0}, {6}, {1, 3, 5}, {2, 3}], ids=str)
@pytest.mark.parametrize("what", ["agent", "echo", "derived"])
def test_frames_that_were_acquired_otherwise_leave_no_whole_stack(
    tmp_path: Path, where: set[int], what: str
) -> None:
    def change(number: int, groups: Dataset) -> None:
        # Without the declared spacing nothing else would tell.
        if number in where:
            if what == "echo":
                groups.MREchoSequence[0].EffectiveEchoTime = 90.0
            elif what == "derived":
                groups.MRImageFrameTypeSequence[0].FrameType = ["DERIVED", "SECONDARY", "SPINE", "NONE"]
            else:
                usage = Dataset()
                usage.ContrastBolusAgentAdministered = "YES"
                usage.ContrastBolusAgentNumber = 1
                groups.ContrastBolusUsageSequence = [usage]

    images = list(mr_images(Volume(VOXELS, GRID), FACTS, IDENTITY))
    classic = enhanced_mr(images, uid="1.2.3.4.9", change=change)
    classic.MagneticFieldStrength = 1.5
    del classic.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices
    if what == "agent":
        classic.ContrastBolusAgentSequence = coded("Gadobutrol")
        for number, groups in enumerate(classic.PerFrameFunctionalGroupsSequence):
            if number not in where:
                usage = Dataset()
                usage.ContrastBolusAgentAdministered = "NO"
                groups.ContrastBolusUsageSequence = [usage]
    path = tmp_path / "enhanced.dcm"
    classic.save_as(path, enforce_file_format=True)
    assert "acquired in another way" in fault_of([path])


def test_two_whole_echoes_of_one_object_are_two_stacks(tmp_path: Path) -> None:
    images = list(mr_images(Volume(VOXELS, GRID), FACTS, IDENTITY))

    def change(number: int, groups: Dataset) -> None:
        if number >= COUNT:
            groups.MREchoSequence[0].EffectiveEchoTime = 90.0

    series, _ = scan(frames(tmp_path, change, images + images))
    assert [len(one.paths) for one in series] == [COUNT, COUNT]
    assert not any(one.frames_between for one in series)
    assert decode(series[0])[0].volume.voxels == pytest.approx(VOXELS)


@pytest.mark.parametrize(
    ("macro", "keyword", "value"),
    [
        ("MRTimingAndRelatedParametersSequence", "RepetitionTime", 900.0),
        ("MRTimingAndRelatedParametersSequence", "FlipAngle", 60.0),
        ("MRModifierSequence", "SpectrallySelectedExcitation", "WATER"),
        ("MRModifierSequence", "InversionRecovery", "YES"),
        ("FrameContentSequence", "FrameAcquisitionDateTime", "20250101080000"),
    ],
)
def test_what_else_differs_between_frames_is_told(
    tmp_path: Path, macro: str, keyword: str, value: object
) -> None:
    def change(number: int, groups: Dataset) -> None:
        if number == 4:
            if macro not in groups:
                setattr(groups, macro, [Dataset()])
            setattr(groups[macro].value[0], keyword, value)

    assert "do not agree" in fault_of(frames(tmp_path, change))


def test_real_world_values_of_frames_are_compared_as_those_of_images(tmp_path: Path) -> None:
    def scaled(_number: int, groups: Dataset) -> None:
        groups.RealWorldValueMappingSequence = [mapping(2.0), mapping(3.0)]

    def by_frame(number: int, groups: Dataset) -> None:
        groups.RealWorldValueMappingSequence = [mapping(2.0 + number)]

    (series,), _ = scan(frames(tmp_path, scaled))
    assert decode(series)[0].volume.voxels == pytest.approx(VOXELS)
    assert "RealWorldValueMappingSequence" in fault_of(frames(tmp_path, by_frame))


def test_a_series_with_no_contradiction_states_the_facts_of_all_its_slices(write: Write) -> None:
    (series,), _ = scan(write(on({0, 1}, SeriesDescription=None)))
    assert series.facts.series_description == FACTS.series_description
    assert identify(series.facts).contrast is Contrast.T1
