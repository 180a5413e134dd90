"""Identification of T1 and T2 series of the lumbar spine from headers of many vendors.

Sagittal T1 and T2 are rare among the labelled headers, so the cases below add typical protocols.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.domain.acquisition import AcquisitionFacts, Contrast, Identification, Plane
from analysis.domain.findings import SeriesInput
from analysis.domain.volume import Grid, Volume
from analysis.identify import choose, identify
from tests.analysis.labelled_headers import WEIGHTED, labelled_headers, stripped

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


LABELLED = labelled_headers()


def test_no_other_series_is_taken_for_t1_or_t2() -> None:
    wrong = [
        (row["source"], row["series_description"], identify(facts))
        for row, facts in LABELLED
        if row["contrast"] not in WEIGHTED and identify(facts).contrast in WEIGHTED
    ]
    assert wrong == []


def test_nearly_every_true_t1_and_t2_is_found_and_none_is_taken_for_the_other() -> None:
    true = [
        (row["contrast"], identify(facts).contrast) for row, facts in LABELLED if row["contrast"] in WEIGHTED
    ]
    assert len(true) == 71
    assert sum(label == answer for label, answer in true) >= 0.98 * len(true)
    assert all(answer in {label, Contrast.UNSURE} for label, answer in true)


def test_exactly_the_sagittal_t1_and_t2_that_may_be_lumbar_are_usable() -> None:
    wanted = [
        row["contrast"] in WEIGHTED and row["plane"] == Plane.SAGITTAL and row["lumbar"] != "no"
        for row, _ in LABELLED
    ]
    assert [identify(facts).usable for _, facts in LABELLED] == wanted
    assert sum(wanted) == 7


def test_planes_agree_with_the_labels_wherever_the_orientation_is_known() -> None:
    for row, facts in LABELLED:
        if facts.orientation is not None:
            assert identify(facts).plane == row["plane"]


def test_a_stripped_header_still_gets_the_same_answer_or_unsure() -> None:
    for row, facts in LABELLED:
        answer = identify(stripped(facts))
        if row["contrast"] in WEIGHTED:
            assert answer.contrast in {row["contrast"], Contrast.UNSURE}
        else:
            assert not answer.usable


def _lumbar(**told: object) -> AcquisitionFacts:
    """Return the facts of a usual sagittal stack, changed as given."""
    usual: dict[str, object] = {
        "scanning_sequence": ("SE",),
        "image_type": ("ORIGINAL", "PRIMARY", "M", "ND"),
        "flip_angle_deg": 90.0,
        "orientation": SAGITTAL,
        "rows": 384,
        "columns": 384,
        "slices": 15,
        "pixel_spacing_mm": (0.75, 0.75),
        "slice_spacing_mm": 4.4,
        "body_part": "LSPINE",
    }
    return AcquisitionFacts(**{**usual, **told})  # type: ignore[arg-type]  # keywords of many types


@pytest.mark.parametrize(
    ("repetition_ms", "echo_ms", "inversion_ms", "told", "contrast"),
    [
        (520.0, 11.0, None, {"series_description": "t1_tse_sag", "sequence_name": "*tse2d1_3"}, Contrast.T1),
        (650.0, 9.6, None, {"series_description": "LWS T1 nativ sag", "flip_angle_deg": 150.0}, Contrast.T1),
        (475.0, 24.0, 0.0, {"series_description": "T1 SAG", "vendor": "HITACHI"}, Contrast.T1),
        (2200.0, 24.0, 860.0, {"series_description": "Sag T1 FLAIR", "vendor": "GE"}, Contrast.T1),
        (600.0, 8.0, None, {"series_description": "SAG T1 w/o contrast"}, Contrast.T1),
        (500.0, 12.0, None, {"series_description": "Rachis lombaire T1 sagittal sans gado"}, Contrast.T1),
        (550.0, 10.0, None, {"series_description": "T1 SAG SIN CONTRASTE"}, Contrast.T1),
        (540.0, 10.0, None, {"series_description": "矢状T1 平扫"}, Contrast.T1),
        (540.0, 10.0, None, {"series_description": "造影前T1 SAG"}, Contrast.T1),
        (600.0, 10.0, None, {}, Contrast.T1),
        (3200.0, 96.0, None, {"series_description": "t2_tse_sag_p2"}, Contrast.T2),
        (1500.0, 130.0, None, {"series_description": "t2_spc_sag_iso", "sequence_name": "*spc"}, Contrast.T2),
        (3500.0, 110.0, None, {"series_description": "矢状 T2 腰椎"}, Contrast.T2),
        (2800.0, 100.0, None, {"series_description": "sT2W_TSE", "scan_options": ("FC", "PFP")}, Contrast.T2),
        (2500.0, 30.0, None, {"series_description": "PD sag"}, Contrast.PROTON_DENSITY),
        (2500.0, 30.0, None, {}, Contrast.PROTON_DENSITY),
        (3500.0, 60.0, 160.0, {"scanning_sequence": ("SE", "IR")}, Contrast.FAT_SUPPRESSED),
        (3500.0, 80.0, None, {"series_description": "t2_tirm_sag"}, Contrast.FAT_SUPPRESSED),
        (3500.0, 80.0, None, {"scan_options": ("FS",)}, Contrast.FAT_SUPPRESSED),
        (3500.0, 80.0, None, {"series_description": "T2W_SPAIR sag"}, Contrast.FAT_SUPPRESSED),
        (3500.0, 80.0, None, {"series_description": "T2 sag Fettsättigung"}, Contrast.FAT_SUPPRESSED),
        (3500.0, 80.0, None, {"series_description": "SAG T2 FATSAT"}, Contrast.FAT_SUPPRESSED),
        (3500.0, 80.0, None, {"series_description": "T2 SAG supresión grasa"}, Contrast.FAT_SUPPRESSED),
        (3500.0, 80.0, None, {"series_description": "矢状T2压脂"}, Contrast.FAT_SUPPRESSED),
        (3500.0, 80.0, None, {"series_description": "脂肪抑制T2"}, Contrast.FAT_SUPPRESSED),
        (600.0, 10.0, None, {"contrast_agent": "Gadovist"}, Contrast.POST_CONTRAST),
        (600.0, 10.0, None, {"series_description": "t1_tse_sag_KM"}, Contrast.POST_CONTRAST),
        (600.0, 10.0, None, {"series_description": "SAG T1+C"}, Contrast.POST_CONTRAST),
        (600.0, 10.0, None, {"series_description": "Sag T1 POST"}, Contrast.POST_CONTRAST),
        (600.0, 10.0, None, {"series_description": "T1 sag con mdc"}, Contrast.POST_CONTRAST),
        (600.0, 10.0, None, {"series_description": "T1 sag après injection gado"}, Contrast.POST_CONTRAST),
        (600.0, 10.0, None, {"series_description": "矢状T1增强"}, Contrast.POST_CONTRAST),
        (600.0, 10.0, None, {"series_description": "造影T1 SAG"}, Contrast.POST_CONTRAST),
        (600.0, 10.0, None, {"image_type": ("ORIGINAL", "PRIMARY", "M", "IN_PHASE")}, Contrast.DIXON_PART),
        (600.0, 10.0, None, {"series_description": "t1_tse_dixon_sag_W"}, Contrast.DIXON_PART),
        (600.0, 10.0, None, {"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, Contrast.LOCALISER),
        (500.0, 12.0, None, {"scanning_sequence": ("GR",), "series_description": "T1 FFE"}, Contrast.OTHER),
        (500.0, 18.0, None, {"series_description": "T2* sag"}, Contrast.OTHER),
        (500.0, 18.0, None, {"scanning_sequence": (), "flip_angle_deg": 28.0}, Contrast.OTHER),
        (9000.0, 100.0, 2500.0, {"series_description": "T2 FLAIR"}, Contrast.OTHER),
        (4000.0, 80.0, None, {"scanning_sequence": ("EP", "SE")}, Contrast.OTHER),
        (600.0, 10.0, None, {"image_type": ("DERIVED", "SECONDARY", "MPR")}, Contrast.OTHER),
        (600.0, 10.0, None, {"series_description": "T1 SUB"}, Contrast.OTHER),
        (3000.0, 100.0, None, {"series_description": "T1 sag"}, Contrast.UNSURE),
        (1200.0, 45.0, None, {}, Contrast.UNSURE),
        (None, None, None, {"series_description": "sag"}, Contrast.UNSURE),
        (None, None, None, {"series_description": "T1 T2 sag"}, Contrast.UNSURE),
    ],
)  # fmt: skip
def test_typical_protocols_are_told_apart(
    repetition_ms: float | None,
    echo_ms: float | None,
    inversion_ms: float | None,
    told: dict[str, object],
    contrast: Contrast,
) -> None:
    facts = _lumbar(
        repetition_time_ms=repetition_ms, echo_time_ms=echo_ms, inversion_time_ms=inversion_ms, **told
    )
    assert identify(facts).contrast is contrast, identify(facts).reasons


def test_a_ct_is_other_and_says_so() -> None:
    answer = identify(_lumbar(modality="CT", series_description="LWS sag T1"))
    assert answer.contrast is Contrast.OTHER
    assert "CT" in answer.reasons[-1]


def test_a_modality_that_is_no_code_is_not_repeated() -> None:
    assert "Doe" not in " ".join(identify(_lumbar(modality="Doe^Jane 1950")).reasons)


@given(st.text(st.characters(categories=["L"]), min_size=3, max_size=12))
def test_reasons_never_repeat_free_text(name: str) -> None:
    hidden = f"xq{name}xq"
    facts = _lumbar(repetition_time_ms=600.0, echo_time_ms=10.0, series_description=f"T1 sag {hidden}")
    assert hidden not in " ".join(identify(facts).reasons)


def _t1(**told: object) -> Identification:
    return identify(_lumbar(repetition_time_ms=600.0, echo_time_ms=10.0, **told))


def test_the_description_overrules_a_wrong_body_part() -> None:
    assert _t1(body_part="HEAD", series_description="T1 sag LWS").lumbar is True
    assert _t1(body_part="LSPINE", series_description="HWS sag T1").lumbar is False


def test_a_head_is_refused_by_its_body_part_or_by_its_size() -> None:
    head = {
        "rows": 256,
        "columns": 256,
        "pixel_spacing_mm": (0.9, 0.9),
        "slices": 24,
        "slice_spacing_mm": 5.5,
    }
    assert not _t1(body_part="HEAD", **head).usable
    assert not _t1(body_part="", **head).usable
    assert "head" in _t1(body_part="", **head).reasons[-1]


def test_a_body_part_that_cannot_be_true_is_not_believed() -> None:
    answer = _t1(body_part="HEAD")
    assert answer.lumbar is None
    assert answer.usable


def test_other_parts_of_the_spine_are_refused_when_they_are_told() -> None:
    assert not _t1(body_part="CSPINE").usable
    assert not _t1(body_part="", protocol_name="C-Spine Routine").usable
    assert not _t1(body_part="", series_description="T1 sag BWS").usable


def test_a_knee_is_refused_by_its_field_of_view() -> None:
    answer = _t1(body_part="", rows=512, columns=512, pixel_spacing_mm=(0.3125, 0.3125))
    assert not answer.usable
    assert "160 mm" in answer.reasons[-1]


@pytest.mark.parametrize("width_mm", [120.0, 150.0, 180.0, 200.0])
@pytest.mark.parametrize("pixels", [256, 320])
def test_a_wide_slab_that_is_called_lumbar_is_believed(width_mm: float, pixels: int) -> None:
    slab = {
        "acquisition_type": "3D",
        "rows": pixels,
        "columns": pixels,
        "pixel_spacing_mm": (1.0, 1.0),
        "slices": round(width_mm),
        "slice_spacing_mm": 1.0,
    }
    t2 = {"repetition_time_ms": 1500.0, "echo_time_ms": 130.0, **slab}
    for told in (
        {"body_part": "LSPINE"},
        {"body_part": "SPINE LUMBAR"},
        {"body_part": "", "protocol_name": "LWS"},
    ):
        answer = identify(_lumbar(**t2, **told))
        assert answer.usable, answer.reasons
        assert answer.lumbar is True


def test_what_nothing_calls_lumbar_is_judged_by_its_width() -> None:
    def answer(acquisition_type: str, width_mm: float, length_mm: float) -> Identification:
        size = {"rows": round(length_mm), "columns": round(length_mm), "pixel_spacing_mm": (1.0, 1.0)}
        stack = {"slices": 30, "slice_spacing_mm": width_mm / 30, "acquisition_type": acquisition_type}
        return _t1(body_part="", **size, **stack)

    assert answer("3D", 180.0, 300.0).lumbar is None
    for wide in (answer("3D", 180.0, 256.0), answer("3D", 300.0, 400.0), answer("2D", 180.0, 300.0)):
        assert not wide.usable
        assert "nothing calls it lumbar" in wide.reasons[-1]
    head = _t1(body_part="HEAD", acquisition_type="3D", slices=180, slice_spacing_mm=1.0)
    assert not head.usable
    assert "“head”, which is not the lumbar spine" in head.reasons[-1]


@pytest.mark.parametrize("acquisition_type", ["2D", "3D"])
@pytest.mark.parametrize(("width_mm", "length_mm"), [(180.0, 256.0), (200.0, 300.0), (280.0, 400.0)])
def test_the_description_of_the_study_keeps_the_width_from_deciding(
    acquisition_type: str, width_mm: float, length_mm: float
) -> None:
    size = {"rows": round(length_mm), "columns": round(length_mm), "pixel_spacing_mm": (1.0, 1.0)}
    stack = {"slices": 30, "slice_spacing_mm": width_mm / 30, "acquisition_type": acquisition_type}
    for body_part in ("", "SPINE"):
        answer = _t1(body_part=body_part, study_description="MRI LUMBAR SPINE W/O", **size, **stack)
        assert answer.usable, answer.reasons
        # It may describe several regions, so that the image decides.
        assert answer.lumbar is None
        assert answer.reasons[1] == "only its study is described as “lumbar”, the lumbar spine"
    elsewhere = _t1(body_part="BRAIN", study_description="MRI LUMBAR SPINE W/O", **size, **stack)
    assert not elsewhere.usable
    assert "“brain”, which is not the lumbar spine" in elsewhere.reasons[-1]
    assert not _t1(body_part="", study_description="MRI HEAD", series_description="T1 head", **size).usable


def test_a_reason_for_each_real_series_is_one_that_is_true_of_it() -> None:
    calculated = {"map", "mapping", "combined", "phase", "projection", "difference"}
    for row, facts in LABELLED:
        reason = identify(facts).reasons[-1]
        what = getattr(reason.values.get("what"), "code", reason.code)
        if facts.image_type[:1] == ("ORIGINAL",) and what in calculated:
            assert reason.code == "image_type_marks", (row["series_description"], reason)
        if "EP" in facts.scanning_sequence and facts.image_type[:1] == ("ORIGINAL",):
            assert what in {"echo_planar", "echo_planar_kind", "diffusion", "perfusion"}, reason
        if reason.code.startswith("gradient_echo"):
            assert "SE" not in facts.scanning_sequence, reason


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"series_description": "Ax DWI TENSOR R2", "scanning_sequence": ("EP", "SE")}, "diffusion"),
        ({"series_description": "TENSOR", "image_type": ("ORIGINAL", "PRIMARY")}, "diffusion"),
        ({"series_description": "gre_field_mapping", "scanning_sequence": ("GR",)}, "gradient_echo"),
        (
            {"series_description": "field mapping", "scanning_sequence": (), "sequence_name": "*fm2d2r"},
            "gradient_echo_name",
        ),
        ({"series_description": "T2 mapping sag"}, "mapping"),
        ({"series_description": "T2 map sag"}, "map"),
        ({"series_description": "T2 SPACE sag MPR"}, "reformatted_kind"),
        ({"series_description": "T2 sag MIP"}, "projection"),
        ({"series_description": "T1 SUB"}, "difference"),
        ({"series_description": "MR myelo sag"}, "fluid_only"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "P", "FFE"), "scanning_sequence": ("GR",)}, "phase"),
        ({"image_type": ("DERIVED", "SECONDARY", "ADC")}, "map"),
        ({"image_type": ("DERIVED", "PRIMARY", "DIFFUSION", "TRACEW")}, "combined"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "M", "MOSAIC"), "scanning_sequence": ("EP",)}, "echo_planar"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "M", "MOSAIC")}, "tiled"),
        ({"series_description": "T2W/FE-EPI", "scanning_sequence": ("GR",)}, "echo_planar_kind"),
        ({"image_type": ("DERIVED", "SECONDARY", "OTHER")}, "made_from_others"),
    ],
)
def test_the_stated_reason_is_the_true_one(told: dict[str, object], code: str) -> None:
    reason = identify(_lumbar(repetition_time_ms=3000.0, echo_time_ms=100.0, **told)).reasons[-1]
    assert code in {reason.code, getattr(reason.values.get("what"), "code", "")}, reason


@pytest.mark.parametrize(
    "described",
    ["T1 sag Myelom", "T1 sag myelopathy", "T1 diffuse lesions", "T1 sag perforation", "T1 sag post trauma",
     "T1 sag fluid collection"],
)  # fmt: skip
def test_a_finding_in_the_description_is_no_kind_of_image(described: str) -> None:
    assert _t1(series_description=described).usable


def test_axial_slices_are_refused_and_the_plane_is_the_last_reason() -> None:
    answer = _t1(orientation=AXIAL)
    assert not answer.usable
    assert "axial" in answer.reasons[-1]


def test_the_plane_is_read_from_words_only_without_an_orientation() -> None:
    assert _t1(orientation=None, series_description="T1 矢状").plane is Plane.SAGITTAL
    assert _t1(orientation=AXIAL, series_description="T1 sag").plane is Plane.AXIAL
    assert _t1(orientation=None, series_description="T1").plane is Plane.UNKNOWN


_words = st.sampled_from(
    ["T1", "T2*", "sag", "KM", "LWS", "STIR", "ohne", "+C", "dixon", "flair", "腰椎", "DWI", "\x00", "É", ""]
)
_texts = st.one_of(st.text(max_size=30), st.lists(_words, max_size=6).map("_".join))
_floats = st.one_of(st.none(), st.floats())
_codes_of = st.lists(st.sampled_from(["SE", "GR", "EP", "IR", "FS", "", "DERIVED", "SECONDARY", "W"])).map(
    tuple
)
any_facts = st.builds(
    AcquisitionFacts,
    modality=st.sampled_from(["MR", "CT", "", "mr"]),
    repetition_time_ms=_floats,
    echo_time_ms=_floats,
    inversion_time_ms=_floats,
    flip_angle_deg=_floats,
    scanning_sequence=_codes_of,
    sequence_variant=_codes_of,
    scan_options=_codes_of,
    image_type=_codes_of,
    contrast_agent=_texts,
    vendor=_texts,
    body_part=_texts,
    series_description=_texts,
    protocol_name=_texts,
    sequence_name=_texts,
    orientation=st.one_of(st.sampled_from([None, SAGITTAL, AXIAL]), st.tuples(*[st.floats()] * 6)),
    rows=st.integers(0, 2000),
    columns=st.integers(0, 2000),
    slices=st.integers(0, 500),
    pixel_spacing_mm=st.one_of(st.none(), st.tuples(st.floats(), st.floats())),
    slice_spacing_mm=_floats,
    slice_thickness_mm=_floats,
)


@given(any_facts)
def test_any_facts_get_the_same_answer_twice_with_reasons(facts: AcquisitionFacts) -> None:
    answer = identify(facts)
    assert answer == identify(facts)
    assert answer.reasons
    assert all(answer.reasons)
    assert 0.0 <= answer.score <= 1.0


@given(any_facts)
def test_nothing_but_mr_is_ever_usable(facts: AcquisitionFacts) -> None:
    assert not identify(replace(facts, modality="CT")).usable


@given(any_facts)
def test_a_named_contrast_agent_is_never_usable(facts: AcquisitionFacts) -> None:
    assert not identify(replace(facts, contrast_agent="Dotarem")).usable


def _series(uid: str, facts: AcquisitionFacts) -> SeriesInput:
    shape = (max(facts.slices, 1), 2, 2)
    spacing = (facts.slice_spacing_mm or 4.0, *(facts.pixel_spacing_mm or (1.0, 1.0)))
    grid = Grid(shape, spacing, (0.0, 0.0, 0.0), np.eye(3))
    return SeriesInput(uid, facts, Volume(np.zeros(shape, dtype=np.float32), grid), digest=uid)


T1 = _lumbar(repetition_time_ms=600.0, echo_time_ms=10.0, series_description="T1 sag")
T2 = _lumbar(repetition_time_ms=3000.0, echo_time_ms=100.0, series_description="T2 sag")


def test_one_t1_and_one_t2_are_chosen_in_this_order() -> None:
    choice = choose([_series("2", T2), _series("1", T1)])
    assert [found.contrast for _, found in choice.chosen] == [Contrast.T1, Contrast.T2]
    assert choice.set_aside == ()


@pytest.mark.parametrize(
    ("worse", "word"),
    [
        (replace(T1, image_type=("DERIVED", "PRIMARY")), "derived"),
        (replace(T1, body_part=""), "lumbar"),
        (replace(T1, slices=7), "covers"),
        (replace(T1, rows=256, columns=256), "more of the spine"),
        (replace(T1, pixel_spacing_mm=(0.9, 0.9)), "pixels"),
        (replace(T1, series_description="sag", protocol_name=""), "certainty"),
        (replace(T1, inversion_time_ms=900.0), "inversion"),
    ],
)
def test_the_better_of_two_is_chosen_and_the_other_is_told_why(worse: AcquisitionFacts, word: str) -> None:
    choice = choose([_series("1", worse), _series("2", T1)])
    assert [one.series_uid for one, _ in choice.chosen] == ["2"]
    (refusal,) = choice.set_aside
    assert refusal.series_uid == "1"
    assert word in refusal.reasons[-1]


def test_a_t1_after_contrast_is_set_aside_even_if_it_is_the_only_one() -> None:
    choice = choose([_series("1", replace(T1, contrast_agent="Dotarem"))])
    assert choice.chosen == ()
    assert "contrast agent" in choice.set_aside[0].reasons[-1]
    assert choice.set_aside[0].description == "sagittal post-contrast, 15 slices"


@given(
    st.permutations(
        [("1", T1), ("2", T1), ("3", T2), ("4", replace(T2, slices=9)), ("5", replace(T1, modality="CT"))]
    )
)
def test_the_choice_does_not_depend_on_the_order(studied: list[tuple[str, AcquisitionFacts]]) -> None:
    choice = choose([_series(uid, facts) for uid, facts in studied])
    assert [one.series_uid for one, _ in choice.chosen] == ["1", "3"]
    assert [one.series_uid for one in choice.set_aside] == [
        uid for uid, _ in studied if uid in {"2", "4", "5"}
    ]


@given(st.lists(any_facts, max_size=5))
def test_every_series_is_either_chosen_or_set_aside_with_reasons(studied: list[AcquisitionFacts]) -> None:
    sane = [
        replace(
            facts,
            slice_spacing_mm=4.0,
            pixel_spacing_mm=(1.0, 1.0),
            slices=min(facts.slices, 3),
        )
        for facts in studied
    ]
    choice = choose([_series(str(number), facts) for number, facts in enumerate(sane)])
    assert len(choice.chosen) + len(choice.set_aside) == len(studied)
    assert all(refusal.reasons for refusal in choice.set_aside)
    assert all(found.usable for _, found in choice.chosen)
