"""The summary picture, and the page that contains it."""

import base64
import io
import json
import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Verdict
from analysis.domain.reason import Reason, quoted
from dicom_templates.pictures.canvas import Canvas
from dicom_templates.pictures.mid_sagittal import SagittalPicture, mid_sagittal, sagittal_pictures
from dicom_templates.pictures.summary_cards import VERDICT_COLOUR, VERDICT_INK
from dicom_templates.pictures.summary_picture import draw_summary
from dicom_templates.words.compose import compose
from dicom_templates.words.languages import LANGUAGES
from dicom_templates.words.study_report import SeriesCaption, StudyReport
from dicom_templates.words.texts import Texts
from node.config.tables.models import DEMONSTRATION_MODEL
from tests.dicom_templates.cases import make_case, with_prior
from tests.dicom_templates.views import only_written, report_html, report_words

YELLOW = (240, 228, 66)


def shown(language: str = "en", **changes: object) -> tuple[StudyReport, tuple[SagittalPicture, ...]]:
    """Return the report of changed findings, and its pictures."""
    findings = replace(make_case(slices=4, size=64).findings, **changes)  # type: ignore[arg-type]
    report = compose(findings, language=language, age_years=62)
    return report, sagittal_pictures(findings, report)


def share(picture: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> float:
    return float((picture == np.array(colour, dtype=np.uint8)).all(axis=-1).mean())


def test_it_is_large_enough_and_the_same_every_time() -> None:
    picture = draw_summary(*shown())
    assert picture.shape == (1152, 1536, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, draw_summary(*shown()))


def test_the_warning_runs_over_the_whole_top_and_only_for_simulated_models() -> None:
    model = make_case().findings.model
    assert model is not None
    top = draw_summary(*shown())[2]
    assert (top == np.array(YELLOW)).all()
    real = draw_summary(*shown(model=replace(model, simulated=False)))
    assert share(real, YELLOW) == 0.0


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_can_be_drawn_in_every_language(language: str, verdict: Verdict) -> None:
    changed = tuple(
        replace(one, verdict=verdict, reasons=(quoted("a reason of many words " * 20),))
        for one in make_case().findings.predictions
    )
    assert draw_summary(*shown(language, predictions=changed)).shape == (1152, 1536, 3)


def test_findings_without_predictions_and_with_one_series_can_be_drawn() -> None:
    findings = make_case(slices=4, size=64).findings
    for series in (findings.series[:1], findings.series[1:], findings.series):
        bare = tuple(replace(one, bone_quality=replace(one.bone_quality, score=None)) for one in series)
        assert draw_summary(*shown(series=bare, predictions=(), model=None)).any()


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("about", ["cohort", "intended_use"])
def test_what_the_demonstration_model_says_of_itself_is_there_to_its_last_word(
    language: str, about: str
) -> None:
    card = json.loads((DEMONSTRATION_MODEL / "card.json").read_text(encoding="utf-8"))
    model = make_case().findings.model
    assert model is not None
    told = replace(model, cohort=card["cohort"], intended_use=card["intended_use"])
    # If the last word is drawn, changing it changes the picture.
    changed = replace(told, **{about: f"{card[about][:-4]}####"})  # type: ignore[arg-type]
    whole, other = (draw_summary(*shown(language, model=one)) for one in (told, changed))
    assert not np.array_equal(whole, other)


def test_a_number_is_never_parted_from_its_unit() -> None:
    canvas = Canvas(200, 100, scale=1.0, background=(0, 0, 0))
    for width in range(20, 200, 3):
        lines = canvas.wrap("about 20 % of it, 7.5 mm apart", size=12, width=width)
        assert " ".join(lines).replace("\u00a0", " ") == "about 20 % of it, 7.5 mm apart"
        assert any("20\u00a0%" in line for line in lines)
        assert any("7.5\u00a0mm" in line for line in lines)


def test_no_line_begins_with_a_sign_that_has_a_space_before_it_in_french() -> None:
    canvas = Canvas(200, 100, scale=1.0, background=(0, 0, 0))
    for width in range(20, 200, 3):
        lines = canvas.wrap("Sa cohorte seule : 30 % de 160 ; « indécis » !", size=12, width=width)
        assert not [line for line in lines if line[0] in ":;!»"]


def test_the_levels_that_the_scores_come_from_stand_beside_them() -> None:
    with only_written() as written:
        draw_summary(*shown())
    assert "from L1-L4" in [str(call.args[2]) for call in written.call_args_list]


def test_what_must_be_known_with_an_answer_stands_beside_it() -> None:
    decided = make_case().findings.predictions[1]
    fallback = replace(decided, reasons=(Reason("sequence_missing", sequence="T2"),))
    with only_written() as written:
        draw_summary(*shown(predictions=(fallback,)))
    told = " ".join(str(call.args[2]) for call in written.call_args_list)
    assert "Abnormal bone density: T2w was missing" in told


@pytest.mark.parametrize("doubtful", [True, False])
@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_the_scores_of_an_earlier_examination_are_one_line_that_is_not_cut(
    language: str, *, doubtful: bool
) -> None:
    prior = with_prior(make_case(slices=4, size=64)).findings.prior
    assert prior is not None
    doubts = (Reason("prior_doubtful"),) if doubtful else ()
    changes = tuple(replace(one, obstacles=doubts or one.obstacles) for one in prior.scores)
    report, pictures = shown(language, prior=replace(prior, scores=changes))
    with only_written() as written:
        draw_summary(report, pictures)
    (call,) = (call for call in written.call_args_list if call.args[2] == report.prior)
    canvas, (left, _) = call.args[0], call.args[1]
    assert call.kwargs["size"] >= 10.0
    assert left + canvas.width_of(report.prior, size=call.kwargs["size"]) <= 992.0, "within the card"
    assert "2024" in report.prior
    assert report.prior.count(report.texts("prior_brief_incomparable")) == 1


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_score_that_is_missing_is_told_in_letters_that_can_be_read(language: str) -> None:
    findings = make_case(slices=4, size=64).findings
    why = (Reason("fluid_scarce"), Reason("fluid_not_good"))
    missing = tuple(
        replace(one, bone_quality=replace(one.bone_quality, score=None, concerns=why))
        for one in findings.series
    )
    words = Texts(language).reason(why[-1])
    with only_written() as written:
        draw_summary(*shown(language, series=missing))
    sizes = [call.kwargs["size"] for call in written.call_args_list]
    assert min(sizes) >= 10.0
    told = " ".join(str(call.args[2]) for call in written.call_args_list)
    assert words in told


@pytest.mark.parametrize(
    "axes",
    [
        [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
        [[-1, 0, 0], [0, 0, -1], [0, -1, 0]],
        [[1, 0, 0], [0, 0, 1], [0, 1, 0]],
        [[1, 0, 0], [0, 1, 0], [0, 0, -1]],
        [[1, 0, 0], [0, -1, 0], [0, 0, 1]],
    ],
)
def test_the_head_is_up_and_the_face_left_however_the_slice_is_stored(axes: list[list[float]]) -> None:
    found = make_case(slices=4, size=64).findings.series[0]
    grid = replace(found.source.volume.grid, axes=np.array(axes, dtype=np.float64))
    # A marked voxel and the outline around it must stay together.
    voxels = np.zeros(grid.shape, dtype=np.float32)
    middle = found.mid_slice
    voxels[middle, 10, 20] = 1.0
    marked = replace(
        found,
        source=replace(found.source, volume=replace(found.source.volume, voxels=voxels, grid=grid)),
        segmentation=replace(found.segmentation, grid=grid),
        measurements=(
            replace(
                found.measurements[0],
                outline=replace(
                    found.measurements[0].outline,  # type: ignore[type-var]
                    points=np.array([[20.5, 10.5], [20.5, 10.5]]),
                ),
            ),
        ),
    )
    picture = mid_sagittal(marked, SeriesCaption(Contrast.T1, "", ""), Texts("en"))
    row, column = np.argwhere(picture.pixels == 1.0)[0]
    assert np.allclose(picture.outlines[0].points[0], (column + 0.5, row + 0.5))
    place = grid.to_mm([middle, 10, 20]) - grid.to_mm([middle, 32, 32])
    assert (row < 32) == (place[2] > 0)
    assert (column < 32) == (place[1] < 0)


def test_the_page_stands_alone_and_says_the_same() -> None:
    page = report_html(*shown("de"))
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "<script" not in page
    embedded = re.search(r"data:image/png;base64,([^\"]+)", page)
    assert embedded is not None
    assert Image.open(io.BytesIO(base64.b64decode(embedded.group(1)))).size == (1536, 1152)
    assert page.index("SIMULIERTEN") < page.index("<h1>")
    # A number stays with its sign.
    for line in ("61\u00a0%", "Osteoporose", "Verminderte Knochendichte", "107"):
        assert line in page


def test_words_of_strangers_cannot_become_markup() -> None:
    refused = replace(make_case().findings.set_aside[0], reasons=(quoted("<script>alert(1)</script>"),))
    assert "<script>alert" not in report_words(shown(set_aside=(refused,))[0])


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_reference_is_drawn_only_beside_a_value(language: str) -> None:
    findings = make_case(slices=4, size=64).findings
    bare = tuple(
        replace(one, bone_quality=replace(one.bone_quality, score=None, concerns=(Reason("fluid_scarce"),)))
        for one in findings.series
    )
    for series, drawn in ((findings.series, True), (bare, False)):
        with only_written() as written:
            draw_summary(*shown(language, series=series))
        assert any(call.args[2] == "60-69" for call in written.call_args_list) is drawn


def test_an_age_beyond_the_reference_is_told() -> None:
    findings = make_case(slices=4, size=64).findings
    for age, told in ((69, False), (71, True), (None, False)):
        report = compose(findings, language="en", age_years=age)
        with only_written() as written:
            draw_summary(report, sagittal_pictures(findings, report))
        words = " ".join(str(call.args[2]) for call in written.call_args_list)
        # No decade of another age is shown instead.
        assert ("no published reference for the age of 71" in words) is told
        assert ("60-69" in words) is not told
        lines = " ".join(line for section in report.sections for line in section.lines)
        assert ("no published reference for the age of 71" in lines) is told
        assert ("3.27 ± 0.57" in lines) is not told


def luminance(colour: tuple[int, int, int]) -> float:
    """Return the relative luminance of WCAG 2."""
    linear = [one / 3294.6 if one <= 10 else ((one / 255 + 0.055) / 1.055) ** 2.4 for one in colour]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def contrast(first: tuple[int, int, int], second: tuple[int, int, int]) -> float:
    dark, bright = sorted((luminance(first), luminance(second)))
    return (bright + 0.05) / (dark + 0.05)


def test_badges_differ_in_luminance_in_word_and_in_sign() -> None:
    for one, other in combinations(Verdict, 2):
        assert contrast(VERDICT_COLOUR[one], VERDICT_COLOUR[other]) > 1.8, (one, other)
        assert VERDICT_COLOUR[one] != VERDICT_COLOUR[other]
    for one in Verdict:
        assert contrast(VERDICT_COLOUR[one], VERDICT_INK[one]) > 4.5, one
        findings = make_case(slices=4, size=64).findings
        changed = tuple(replace(given, verdict=one) for given in findings.predictions)
        page = report_words(shown(predictions=changed)[0])
        sign = {Verdict.ABOVE: "▲ ABOVE", Verdict.BELOW: "▼ BELOW", Verdict.INDETERMINATE: "? INDETERMINATE"}
        assert page.count(f'<span class="verdict">{sign[one]}') == 2
        assert "#{:02x}{:02x}{:02x}".format(*VERDICT_COLOUR[one]) in page


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_first_page_says_what_holds_for_real_patients_with_a_model_of_simulated_ones(
    language: str,
) -> None:
    model = make_case().findings.model
    assert model is not None
    words = Texts(language)("simulated_holds")
    assert "VBQ" in words
    for simulated in (True, False):
        with only_written() as written:
            report, pictures = shown(language, model=replace(model, simulated=simulated))
            draw_summary(report, pictures)
        drawn = " ".join(str(call.args[2]) for call in written.call_args_list)
        page = report_words(report)
        assert (words in drawn) is simulated
        assert (words in page[: page.index("<img")]) is simulated
        assert (report.sections[0].lines[0] == words) is simulated
    assert shown(language, model=None, predictions=())[0].holds == ""
