"""The refusals of the pipeline; the measured values are tested with the modules that calculate them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from threading import Barrier, BrokenBarrierError

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from analysis import pipeline
from analysis.domain.acquisition import AcquisitionFacts, Contrast
from analysis.domain.findings import Findings, Refusal, SeriesInput
from analysis.domain.reason import Reason
from analysis.domain.segmentation import CsfSample, Grade, Level, Segmentation
from analysis.domain.volume import Volume
from analysis.errors import RefusedError
from analysis.identify import identify
from analysis.pipeline import analyse
from analysis.prediction.series_check import objections_to_series
from analysis.settings import AnalysisSettings, FeatureSettings
from tests.analysis.synthetic_bodies import LUMBAR, csf_on, grid, labels_on, segmentation_of, textured
from tests.patience import PATIENCE_S

SILENT = AcquisitionFacts(
    repetition_time_ms=600, echo_time_ms=10, scanning_sequence=("SE",), series_description="t1_tse_sag",
    orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0), rows=160, columns=90, slices=11, pixel_spacing_mm=(2.0, 2.0),
)  # fmt: skip
"""Facts of a sagittal T1 series without the region of the spine."""


def outcome_of(facts: AcquisitionFacts, *, levels_certain: bool) -> Findings | Refusal:
    where = grid()
    labels = labels_on(where)
    csf = CsfSample(csf_on(where), 1.0)
    found = segmentation_of(labels, where, csf=csf, levels_certain=levels_certain)

    def outlined(_source: SeriesInput, _contrast: Contrast) -> Segmentation:
        return found

    return analyse(
        [SeriesInput("1.2.3", facts, textured(labels, where), "0" * 64)],
        model=None,
        settings=AnalysisSettings(FeatureSettings(filters=("Original",))),
        software="test",
        segmenter=outlined,
    )


def test_the_digits_of_a_result_do_not_depend_on_the_number_of_cores() -> None:
    where = grid()
    threads: list[int] = []

    def outlined(_source: SeriesInput, _contrast: Contrast) -> Segmentation:
        threads.extend(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")
        return segmentation_of(labels_on(where), where)

    volume = textured(labels_on(where), where)
    with threadpool_limits(2, user_api="blas"):
        analyse(
            [SeriesInput("1.2.3", SILENT, volume, "0" * 64)],
            model=None,
            settings=AnalysisSettings(FeatureSettings(filters=("Original",))),
            software="test",
            segmenter=outlined,
        )
    assert set(threads) == {1}


@pytest.mark.parametrize(
    ("day", "frame", "told"),
    [
        (5, "1.1", []),
        (6, "1.1", ["next_day"]),
        (4, "1.1", ["next_day"]),
        (15, "1.1", ["days_apart"]),
        (None, "", []),
        (5, "1.2", ["other_frame_of_reference"]),
        (15, "1.2", ["days_apart", "other_frame_of_reference"]),
    ],
)
def test_another_day_or_frame_of_reference_is_told(day: int | None, frame: str, told: list[str]) -> None:
    where = grid()
    labels = labels_on(where)
    found = segmentation_of(labels, where, csf=CsfSample(csf_on(where), 1.0))
    volume = textured(labels, where)
    t2 = replace(SILENT, repetition_time_ms=3500, echo_time_ms=100, series_description="t2_tse_sag")
    # On T2 the fluid is brighter than the marrow.
    bright = np.where(csf_on(where), 600.0, volume.voxels).astype(np.float32)
    outcome = analyse(
        [
            SeriesInput("1", SILENT, volume, "0", "1.1", acquired=date(2026, 1, 5)),
            SeriesInput(
                "2",
                t2,
                Volume(bright, where),
                "0",
                frame,
                acquired=None if day is None else date(2026, 1, day),
            ),
        ],
        model=None,
        settings=AnalysisSettings(FeatureSettings(filters=("Original",))),
        software="test",
        segmenter=lambda _source, _contrast: found,
        remarks=(Reason("several_names"),),
    )
    assert isinstance(outcome, Findings)
    assert [one.code for one in outcome.remarks] == ["several_names", *told]


def test_a_header_that_does_not_tell_the_region_leaves_it_unknown() -> None:
    for description in ("t1_tse_sag", "sag t1", ""):
        answer = identify(AcquisitionFacts(series_description=description, orientation=SILENT.orientation))
        assert answer.lumbar is None


@pytest.mark.parametrize("described", ["", "lumbar "])
@pytest.mark.parametrize("levels_certain", [True, False])
def test_uncertain_levels_are_refused_whatever_the_header_says(
    described: str, *, levels_certain: bool
) -> None:
    facts = AcquisitionFacts(
        **{name: getattr(SILENT, name) for name in AcquisitionFacts.__slots__}
        | {"series_description": described + SILENT.series_description}
    )
    outcome = outcome_of(facts, levels_certain=levels_certain)
    assert isinstance(outcome, Findings) is levels_certain
    if isinstance(outcome, Refusal):
        (series,) = outcome.series
        *region, decisive = series.reasons
        assert "it is uncertain which of its bodies are L1 to L5" in decisive
        assert [one.code for one in region] == ([] if described else ["region_not_told"])


@pytest.mark.parametrize(
    ("usable", "minimum", "enough"), [(2, 2, True), (2, 3, False), (4, 4, True), (4, 5, False)]
)
def test_the_configured_minimum_of_levels_counts_for_refusal_score_and_grade(
    usable: int, minimum: int, *, enough: bool
) -> None:
    where = grid()
    labels = labels_on(where)
    found = segmentation_of(labels, where, usable=LUMBAR[:usable], csf=CsfSample(csf_on(where), 1.0))
    outcome = analyse(
        [SeriesInput("1.2.3", SILENT, textured(labels, where), "0" * 64)],
        model=None,
        settings=AnalysisSettings(FeatureSettings(filters=("Original",)), minimum_usable_levels=minimum),
        software="test",
        segmenter=lambda _source, _contrast: found,
    )
    if enough:
        assert isinstance(outcome, Findings)
        (series,) = outcome.series
        assert series.bone_quality.score is not None
        assert series.judgement.grade is not Grade.UNUSABLE
    else:
        assert isinstance(outcome, Refusal)
    assert (found.judge(minimum).grade is Grade.UNUSABLE) is not enough


T1_FACTS = replace(SILENT, series_description="lumbar t1_tse_sag")
T2_FACTS = replace(
    SILENT, series_description="lumbar t2_tse_sag", repetition_time_ms=3500.0, echo_time_ms=100.0
)


def with_fluid(facts: AcquisitionFacts, signal: float) -> Findings | Refusal:
    """Analyse boxes of marrow (about 280) with fluid of that signal and fat of 500 behind them."""
    where = grid()
    labels = labels_on(where)
    voxels = textured(labels, where).voxels.copy()
    behind = int(np.flatnonzero(labels.any(axis=(0, 1)))[-1]) + 1
    voxels[:, :, behind : behind + 16] = signal
    voxels[:, :, behind + 28 :] = 500.0
    return analyse(
        [SeriesInput("1.2.3", facts, Volume(voxels, where), "0" * 64)],
        model=None,
        settings=AnalysisSettings(FeatureSettings(filters=("Original",))),
        software="test",
        segmenter=lambda _source, _contrast: segmentation_of(labels, where),
    )


@pytest.mark.parametrize(("facts", "fluid"), [(T1_FACTS, 600.0), (T2_FACTS, 40.0)])
def test_a_series_whose_pixels_contradict_its_header_is_refused_whoever_outlined_it(
    facts: AcquisitionFacts, fluid: float
) -> None:
    outcome = with_fluid(facts, fluid)
    assert isinstance(outcome, Refusal)
    assert [reason.code for reason in outcome.series[0].reasons] == ["contrast_contradicted"]


def test_an_unclear_contrast_is_told_and_lets_the_prediction_abstain() -> None:
    outcome = with_fluid(T1_FACTS, 225.0)
    assert isinstance(outcome, Findings)
    (series,) = outcome.series
    (concern,) = (one for one in series.segmentation.concerns if one.code == "contrast_unclear")
    assert concern in series.judgement.reasons
    objections = list(objections_to_series(series, "T1", AnalysisSettings()))
    assert "series_disturbed" in [one.code for one in objections]


def with_focal_signal(levels: dict[str, tuple[Level, ...]]) -> Findings | Refusal:
    """Analyse T1 and T2 of boxes, with the upper third of these bodies doubled in brightness."""
    where = grid()
    labels = labels_on(where)
    series = []
    for facts, changed, fluid in ((T1_FACTS, "T1", 100.0), (T2_FACTS, "T2", 600.0)):
        voxels = np.where(csf_on(where), fluid, textured(labels, where).voxels)
        for level in levels.get(changed, ()):
            top = int(np.argwhere(labels == level)[:, 1].min())
            voxels[:, top : top + 9] *= np.where(labels[:, top : top + 9] == level, 2.0, 1.0)
        series.append(SeriesInput(changed, facts, Volume(voxels.astype(np.float32), where), "0", "1.1"))
    found = segmentation_of(labels, where, csf=CsfSample(csf_on(where), 1.0))
    return analyse(
        series,
        model=None,
        settings=AnalysisSettings(FeatureSettings(filters=("Original",))),
        software="test",
        segmenter=lambda _source, _contrast: found,
    )


def test_a_body_with_focal_signal_on_one_image_enters_no_score_of_either() -> None:
    outcome = with_focal_signal({"T1": (Level.L3,)})
    assert isinstance(outcome, Findings)
    codes = {}
    for series in outcome.series:
        assert series.bone_quality.levels == (Level.L1, Level.L2, Level.L4)
        measured = [one.level for one in series.measurements if one.features]
        assert measured == [Level.L1, Level.L2, Level.L4, Level.L5]
        region = series.segmentation.region(Level.L3)
        assert region is not None
        codes[series.identification.contrast.value] = [one.code for one in region.concerns]
    assert codes == {"T1": ["focal_bright"], "T2": ["focal_elsewhere"]}


def test_with_too_few_ordinary_bodies_the_series_is_refused_and_says_why() -> None:
    outcome = with_focal_signal({"T1": (Level.L1, Level.L2, Level.L4)})
    assert isinstance(outcome, Refusal)
    for series in outcome.series:
        assert [one.code for one in series.reasons] == ["too_few_bodies"]
        assert "signal unlike ordinary marrow at the upper endplate" in str(series.reasons[0])


def two_series_outlined_by(segmenter: Callable[[SeriesInput, Contrast], Segmentation]) -> Findings | Refusal:
    where = grid()
    labels = labels_on(where)
    series = []
    for facts, name, fluid in ((T1_FACTS, "T1", 100.0), (T2_FACTS, "T2", 600.0)):
        voxels = np.where(csf_on(where), fluid, textured(labels, where).voxels).astype(np.float32)
        series.append(SeriesInput(name, facts, Volume(voxels, where), "0", "1.1"))
    return analyse(
        series,
        model=None,
        settings=AnalysisSettings(FeatureSettings(filters=("Original",))),
        software="test",
        segmenter=segmenter,
    )


@pytest.mark.parametrize(
    ("voxels", "is_embedded", "threads", "together"),
    [
        (20_000_000, True, 2, True),
        (1_000, True, 2, False),
        (20_000_000, False, 2, False),
        (20_000_000, True, 1, False),
    ],
    ids=["usual size", "large", "another back end", "one thread"],
)
def test_t1_and_t2_are_outlined_together_only_by_the_network_and_at_a_usual_size(
    monkeypatch: pytest.MonkeyPatch, *, voxels: int, is_embedded: bool, threads: int, together: bool
) -> None:
    where = grid()
    found = segmentation_of(labels_on(where), where, csf=CsfSample(csf_on(where), 1.0))
    both = Barrier(2)
    met = []

    def outline(source: SeriesInput, _contrast: Contrast) -> Segmentation:
        try:
            both.wait(timeout=PATIENCE_S if together else 0.1)
            met.append(source.series_uid)
        except BrokenBarrierError:
            both.reset()
        return found

    monkeypatch.setattr(pipeline, "_SIDE_BY_SIDE_VOXELS", voxels)
    monkeypatch.setattr(pipeline, "threads_allowed", lambda: threads)
    if is_embedded:
        monkeypatch.setattr(pipeline, "embedded", outline)
    outcome = two_series_outlined_by(outline)
    assert isinstance(outcome, Findings)
    assert [one.source.series_uid for one in outcome.series] == ["T1", "T2"]
    assert sorted(met) == (["T1", "T2"] if together else [])


def test_a_refusal_of_one_series_leaves_the_other_that_is_outlined_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = grid()
    found = segmentation_of(labels_on(where), where, csf=CsfSample(csf_on(where), 1.0))

    def outline(_source: SeriesInput, contrast: Contrast) -> Segmentation:
        if contrast is Contrast.T1:
            raise RefusedError(Reason("nothing_like_a_body"))
        return found

    monkeypatch.setattr(pipeline, "threads_allowed", lambda: 2)
    monkeypatch.setattr(pipeline, "embedded", outline)
    outcome = two_series_outlined_by(outline)
    assert isinstance(outcome, Findings)
    assert [one.source.series_uid for one in outcome.series] == ["T2"]
    assert [one.reasons[0].code for one in outcome.set_aside] == ["nothing_like_a_body"]
