"""What stands beside a VBQ: the published mean at its field strength, its repeatability, and its concerns."""

from dataclasses import replace
from typing import Any

import pytest

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import SeriesFindings
from analysis.domain.reason import Reason
from dicom_templates.result_kinds import ResultKind
from dicom_templates.result_set import ResultSet, build
from dicom_templates.words.checks import deciding_concern
from tests.dicom_templates.cases import make_case
from tests.dicom_templates.views import only_written


def line_of(
    contrast: Contrast, field_t: float | None, language: str = "en", concern: Reason | None = None
) -> tuple[str, str]:
    """Return the sentence about the VBQ of a series, and all words of the summary picture."""
    case = make_case(slices=4, size=64, language=language)

    def changed(found: SeriesFindings) -> SeriesFindings:
        if found.identification.contrast is not contrast:
            return found
        facts = replace(found.source.facts, field_strength_t=field_t)
        concerns = () if concern is None else (concern,)
        return replace(
            found,
            source=replace(found.source, facts=facts),
            bone_quality=replace(found.bone_quality, concerns=concerns),
        )

    findings = replace(case.findings, series=tuple(map(changed, case.findings.series)))
    options = replace(case.options, kinds=frozenset({ResultKind.SUMMARY}))
    with only_written() as drawn:
        made: ResultSet = build(findings, case.sources, options)
    (line,) = [one for one in made.report.bone_quality if one.contrast is contrast]
    return line.sentence, " ".join(str(call.args[2]) for call in drawn.call_args_list)


@pytest.mark.parametrize(
    ("field_t", "told"),
    [
        (1.5, "published mean ± 1 SD at 1.5 T: 2.77 ± 0.49; scan-rescan ICC 0.749"),
        (1.494, "published mean ± 1 SD at 1.5 T: 2.77 ± 0.49; scan-rescan ICC 0.749"),
        (3.0, "published mean ± 1 SD at 3.0 T: 2.20 ± 0.43; scan-rescan ICC 0.749"),
        (2.89, "published mean ± 1 SD at 2.9 T: 2.20 ± 0.43; scan-rescan ICC 0.749"),
        (0.3, "no published reference at 0.3 T; scan-rescan ICC 0.749"),
        (7.0, "no published reference at 7.0 T; scan-rescan ICC 0.749"),
        (None, "field strength unknown, so no published mean to compare with; scan-rescan ICC 0.749"),
    ],
)
def test_t1_is_compared_at_its_own_field_strength(field_t: float | None, told: str) -> None:
    sentence, _ = line_of(Contrast.T1, field_t)
    assert sentence.endswith(f"; {told}")


def test_t2_has_no_such_reference_and_no_figure_of_t1() -> None:
    sentence, _ = line_of(Contrast.T2, 1.5)
    assert sentence.endswith("no published reference by field strength")
    assert "2.77" not in sentence
    assert "0.749" not in sentence


def test_german_has_its_own_words_and_commas() -> None:
    sentence, _ = line_of(Contrast.T1, 3.0, "de")
    assert sentence.endswith(
        "publizierter Mittelwert ± 1 SD bei 3,0 T: 2,20 ± 0,43; Wiederholbarkeit: ICC 0,749"
    )


@pytest.mark.parametrize("language", ["en", "de"])
def test_shading_stands_on_the_picture_that_shows_the_value(language: str) -> None:
    _, picture = line_of(Contrast.T1, 1.5, language, Reason("shading", change=-21.6))
    assert "-22 %" in picture.replace("\u2212", "-").replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("csf_signal", "concerns", "deciding"),
    [
        (None, ("fluid_scarce", "fluid_not_good", "not_measured"), "fluid_scarce"),
        (300.0, ("fluid_scarce", "not_measured", "few_scored_bodies"), "few_scored_bodies"),
        (300.0, ("not_measured", "scored_bodies_uncertain", "shading"), "scored_bodies_uncertain"),
        (300.0, ("not_measured", "shading_strong"), "shading_strong"),
    ],
)
def test_the_reason_for_which_there_is_no_value_is_the_one_that_decided(
    csf_signal: float | None, concerns: tuple[str, ...], deciding: str
) -> None:
    values: dict[str, dict[str, Any]] = {
        "not_measured": {"levels": "L3"},
        "few_scored_bodies": {"minimum": 3},
        "shading": {"change": -21.6},
        "shading_strong": {"change": -21.6},
    }
    told = tuple(Reason(code, **values.get(code, {})) for code in concerns)
    found = make_case(slices=4, size=64).findings.series[0]
    quality = replace(found.bone_quality, score=None, csf_signal=csf_signal, concerns=told)
    (reason,) = deciding_concern(replace(found, bone_quality=quality))
    assert reason.code == deciding
    assert deciding_concern(replace(found, bone_quality=replace(quality, score=2.7))) == ()
