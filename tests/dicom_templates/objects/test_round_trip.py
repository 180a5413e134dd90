"""Whatever was found, readers of the objects get back what was written.

A failing example is not shrunk: building a result set takes a tenth of a second, so shrinking one wrong entry
takes minutes, and the failure names the entry anyway.
"""

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from highdicom.sr import srread
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from analysis.domain.basis import BASES, BOTH, name_within, sequences_of
from analysis.domain.findings import (
    Findings,
    LevelMeasurements,
    Outline,
    Prediction,
    SeriesFindings,
    SeriesRefusal,
    Target,
    Verdict,
)
from analysis.domain.reason import quoted
from dicom_templates.codes import concepts
from dicom_templates.codes.radiomics import radiomic_code
from dicom_templates.result_kinds import USUAL_KINDS, ResultKind
from dicom_templates.result_set import build
from tests.dicom_templates.cases import FEATURES, Case, make_case
from tests.thoroughness import share_of

UNSHRUNK = settings(deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))

finite = st.floats(-1e6, 1e6, allow_nan=False)
fraction = st.floats(0.0, 1.0)
words = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60).filter(str.strip)


@st.composite
def predictions(draw: st.DrawFn, target: Target) -> Prediction:
    verdict = draw(st.sampled_from(Verdict))
    low, middle, high = sorted(draw(st.tuples(fraction, fraction, fraction)))
    silent = verdict is Verdict.INDETERMINATE
    basis = draw(st.sampled_from(BASES))
    return Prediction(
        target=target,
        sequence=basis,
        preferred=draw(st.sampled_from(BASES)),
        verdict=verdict,
        probability=None if silent else middle,
        interval=None if silent else (low, high),
        decision_threshold=draw(fraction),
        reasons=tuple(draw(st.lists(words.map(quoted), max_size=2))),
        features=tuple(
            name_within(basis, sequence, f"{name}_{draw(st.sampled_from(['mean', 'sd']))}")
            for sequence in sequences_of(basis)
            for name in draw(st.lists(st.sampled_from(FEATURES), unique=True))
        ),
    )


@st.composite
def measured(draw: st.DrawFn, before: LevelMeasurements, size: int) -> LevelMeasurements:
    corner = st.floats(0.5, size - 0.5, width=32)
    points = draw(st.lists(st.tuples(corner, corner), min_size=3, max_size=6))
    assert before.outline is not None
    return replace(
        before,
        volume_ml=draw(st.floats(0.001, 200.0)),
        mean_signal=draw(finite),
        median_signal=draw(finite),
        sd_signal=draw(st.floats(0.0, 1e6)),
        vbq=draw(st.none() | st.floats(0.01, 20.0)),
        features={name: draw(finite) for name in FEATURES},
        outline=draw(
            st.none() | st.just(Outline(before.outline.slice_index, np.array([*points, points[0]])))
        ),
    )


@st.composite
def series(draw: st.DrawFn, before: SeriesFindings) -> SeriesFindings:
    size = before.source.volume.grid.shape[1]
    return replace(
        before,
        measurements=tuple(draw(measured(one, size)) for one in before.measurements),
        bone_quality=replace(before.bone_quality, score=draw(st.none() | st.floats(0.01, 20.0))),
        segmentation=replace(before.segmentation, levels_certain=draw(st.booleans())),
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    case = make_case(slices=4, size=32)
    chosen = draw(st.sampled_from([slice(0, 1), slice(1, 2), slice(0, 2)]))
    return replace(
        case,
        findings=replace(
            case.findings,
            series=tuple(draw(series(one)) for one in case.findings.series[chosen]),
            predictions=tuple(draw(predictions(target)) for target in Target),
        ),
    )


def read_back(case: Case) -> tuple[Dataset, Dataset]:
    """Write the measurement report and read it with highdicom."""
    only_this = replace(case.options, kinds=frozenset({ResultKind.SR}))
    (report,) = build(case.findings, case.sources, only_this).objects
    stream = io.BytesIO()
    report.dataset.save_as(stream, enforce_file_format=True)
    stream.seek(0)
    document = srread(stream)
    return document, document.content


def numbers(group: Dataset) -> dict[tuple[str, str], float]:
    """Return values by code and derivation."""
    return {
        (one.name.value, "" if one.derivation is None else one.derivation.value): one.value
        for one in group.get_measurements()
    }


def mismatches(where: str, read: Mapping[Any, object], expected: Mapping[Any, object]) -> list[str]:
    """Name what is missing, what is added and what differs."""
    return [
        *(f"{where}: {key} is missing" for key in expected if key not in read),
        *(f"{where}: {key} is added" for key in read if key not in expected),
        *(
            f"{where}: {key} is {read[key]} instead of {value}"
            for key, value in expected.items()
            if key in read and read[key] != value
        ),
    ]


def close(value: float) -> object:
    """Return an approximation of a value, within six significant digits."""
    return pytest.approx(value, rel=6e-6, abs=1e-12)


def expected_of_study(findings: Findings) -> dict[tuple[str, str], object]:
    expected: dict[tuple[str, str], object] = {}
    for found in findings.series:
        if found.bone_quality.score is not None:
            code = concepts.VBQ_OF[found.identification.contrast].value
            expected[code, ""] = close(found.bone_quality.score)
    for one in findings.predictions:
        if one.probability is not None and one.interval is not None:
            expected[concepts.PROBABILITY_OF[one.target].value, ""] = close(100 * one.probability)
            expected[concepts.THRESHOLD_OF[one.target].value, ""] = close(100 * one.decision_threshold)
            low, high = concepts.PROBABILITY_LOWER_OF[one.target], concepts.PROBABILITY_UPPER_OF[one.target]
            expected[low.value, "371885007"] = close(100 * one.interval[0])
            expected[high.value, "371886008"] = close(100 * one.interval[1])
    return expected


def expected_of_level(
    findings: Findings, found: SeriesFindings, one: LevelMeasurements
) -> dict[tuple[str, str], object]:
    contrast = found.identification.contrast
    signal = concepts.SIGNAL_OF[contrast].value
    region = found.segmentation.region(one.level)
    assert region is not None
    expected = {
        ("118565006", ""): close(one.volume_ml),
        (concepts.OUTLINE_QUALITY.value, ""): close(100 * region.quality),
        (signal, "373098007"): close(one.mean_signal),
        (signal, "373099004"): close(one.median_signal),
        (signal, "386136009"): close(one.sd_signal),
    }
    if one.vbq is not None:
        expected[concepts.VBQ_OF[contrast].value, ""] = close(one.vbq)
    for prediction in findings.predictions:
        of_both = prediction.sequence == BOTH
        for written in prediction.features:
            sequence, name = written.split("_", 1) if of_both else (prediction.sequence, written)
            if sequence == contrast.value:
                feature = name.removesuffix("_mean").removesuffix("_sd")
                expected[radiomic_code(feature).value, ""] = close(one.features[feature])
    return expected


@settings(UNSHRUNK, max_examples=share_of(12))
@given(case=cases())
@example(case=make_case(slices=4, size=32))
def test_highdicom_reads_back_every_value_under_its_own_name(case: Case) -> None:
    _, content = read_back(case)
    (study,) = content.get_image_measurement_groups()
    wrong = mismatches("study", numbers(study), expected_of_study(case.findings))
    verdicts = {one.name.value: one.value.value for one in study.get_qualitative_evaluations()}
    wrong += mismatches(
        "study",
        verdicts,
        {
            concepts.TARGET_OF[one.target].value: concepts.VERDICT_OF[one.verdict].value
            for one in case.findings.predictions
        },
    )
    groups = content.get_volumetric_roi_measurement_groups()
    wanted = [(found, one) for found in case.findings.series for one in found.measurements]
    assert len(groups) == len(wanted)
    for group, (found, one) in zip(groups, wanted, strict=True):
        where = f"{one.level.name} {found.identification.contrast}"
        wrong += mismatches(where, numbers(group), expected_of_level(case.findings, found, one))
        (site,) = group.finding_sites
        structure = concepts.structure_of(one.level, certain=found.segmentation.levels_certain)
        wrong += mismatches(where, {"site": site.value.value}, {"site": structure.value})
    assert not wrong, wrong[:5]


@settings(UNSHRUNK, max_examples=share_of(6))
@given(case=cases())
def test_every_uid_is_valid(case: Case) -> None:
    without_picture = replace(
        case.options, kinds=frozenset(ResultKind) - {ResultKind.SUMMARY, ResultKind.PDF}
    )
    for one in build(case.findings, case.sources, without_picture).objects:
        uids = [
            str(element.value) for element in one.dataset.iterall() if element.VR == "UI" and element.value
        ]
        assert uids
        for uid in uids:
            assert len(uid) <= 64
            assert all(part == "0" or not part.startswith("0") for part in uid.split("."))
            assert uid.replace(".", "").isdigit()


WITHOUT_PICTURES = frozenset(USUAL_KINDS) - {ResultKind.SUMMARY}


def written(case: Case) -> dict[str, Dataset]:
    """Write everything but the picture, and read it back."""
    options = replace(case.options, kinds=WITHOUT_PICTURES)
    read: dict[str, Dataset] = {}
    for one in build(case.findings, case.sources, options).objects:
        stream = io.BytesIO()
        one.dataset.save_as(stream, enforce_file_format=True)
        stream.seek(0)
        read[one.name] = dcmread(stream)
    return read


def uids(objects: dict[str, Dataset]) -> set[str]:
    return {
        str(one[keyword].value)
        for one in objects.values()
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID")
    }


@st.composite
def changes(draw: st.DrawFn, case: Case) -> Case:
    """Change one thing that decides the content of a result."""
    findings, options = case.findings, case.options
    assert findings.model is not None
    # A backslash separates values in DICOM.
    text = draw(words).replace("\\", "/")
    place = draw(st.integers(0, len(findings.series) - 1))
    other = draw(st.sampled_from(["input", "model", "configuration", "software", "set aside", "station"]))
    if other == "input":
        one = findings.series[place]
        changed = replace(one, source=replace(one.source, digest=one.source.digest + text))
        series = tuple(changed if number == place else same for number, same in enumerate(findings.series))
        return replace(case, findings=replace(findings, series=series))
    if other == "model":
        model = replace(findings.model, digest=findings.model.digest + text)
        return replace(case, findings=replace(findings, model=model))
    if other == "configuration":
        return replace(case, findings=replace(findings, configuration_digest=text))
    if other == "software":
        return replace(case, findings=replace(findings, software=f"{findings.software}{text}"))
    if other == "set aside":
        return replace(
            case, findings=replace(findings, set_aside=(SeriesRefusal("1.2", quoted(text), (quoted(text),)),))
        )
    return replace(case, options=replace(options, station="OTHER"))


@settings(UNSHRUNK, max_examples=share_of(6))
@given(data=st.data())
def test_same_inputs_have_the_same_uids_and_others_have_others(data: st.DataObject) -> None:
    case = data.draw(cases())
    first = written(case)
    assert uids(written(case)) == uids(first)
    assert not uids(written(data.draw(changes(case)))) & uids(first)


def sentences(item: Dataset) -> list[str]:
    own = [str(item.TextValue)] if item.get("ValueType") == "TEXT" else []
    return [*own, *(line for child in item.get("ContentSequence", ()) for line in sentences(child))]


@settings(UNSHRUNK, max_examples=share_of(6))
@given(case=cases())
def test_the_text_report_says_every_sentence_in_its_order(case: Case) -> None:
    made = build(case.findings, case.sources, replace(case.options, kinds=frozenset({ResultKind.TEXT})))
    told = sentences(written(case)["text"])
    report = made.report
    said = [report.warning, report.title, *(line for section in report.sections for line in section.lines)]
    # Trailing spaces are padding in DICOM.
    wanted = [line.rstrip() for line in said]
    assert [line for line in map(str.rstrip, told) if line in wanted] == wanted


@settings(UNSHRUNK, max_examples=share_of(8))
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.0, 0.4))
def test_every_voxel_of_every_body_comes_back(seed: int, share: float) -> None:
    case = make_case(slices=4, size=32)
    found = case.findings.series[0]
    rng = np.random.default_rng(seed)
    labels = found.segmentation.labels.copy()
    noisy = rng.random(labels.shape) < share
    labels[noisy] = rng.integers(0, 6, int(noisy.sum()))
    changed = replace(found, segmentation=replace(found.segmentation, labels=labels))
    seg = written(replace(case, findings=replace(case.findings, series=(changed,))))["seg_t1"]
    frames = seg.pixel_array.reshape(len(seg.SegmentSequence), *labels.shape).astype(bool)
    for number, region in enumerate(found.segmentation.regions):
        assert np.array_equal(frames[number], labels == region.level)
