import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Prediction, SeriesFindings, Target, Verdict
from analysis.domain.reason import Reason
from analysis.domain.segmentation import Level
from analysis.prediction.model import Classifier, Model
from analysis.prediction.predict import predict
from analysis.prediction.series_check import objections_to_series
from analysis.settings import AnalysisSettings, FeatureSettings
from analysis.statistics.conformal import ConformalLimits
from analysis.statistics.error_band import ErrorBand
from tests.analysis.synthetic_cohort import findings_of, synthetic_table, with_facts, with_segmentation
from tests.analysis.synthetic_model import quick_model
from tests.thoroughness import share_of

TABLE = synthetic_table()
ROW = int(np.argsort(TABLE.bmd_mg_cm3)[3])  # weak bone, well inside the cohort


def study(row: int = ROW) -> tuple[SeriesFindings, SeriesFindings]:
    return (
        findings_of("T1", row, TABLE),
        findings_of("T2", row, TABLE),
    )


NARROW = ErrorBand((0.0, 0.0), (1e-6, 0.0, 0.0), (-1.0, 1.0))
"""Intervals that hold a threshold nearly never."""


def with_conformal(model: Model, present: float, absent: float, threshold: float = 0.5) -> Model:
    limits = ConformalLimits(0.8, present, absent)
    return replace(
        model,
        classifiers={
            key: replace(one, conformal=limits, decision_threshold=threshold, band=NARROW)
            for key, one in model.classifiers.items()
        },
    )


@cache
def decided() -> Model:
    """Return a model whose conformal sets hold one answer, so only the tested reason makes it abstain."""
    return with_conformal(quick_model(), present=0.5, absent=0.49999)


def answer(series: tuple[SeriesFindings, ...], model: Model | None = None) -> dict[Target, Prediction]:
    return {one.target: one for one in predict(series, model or decided(), AnalysisSettings())}


def test_each_target_is_read_from_its_sequence() -> None:
    answers = answer(study())
    assert answers[Target.OSTEOPOROSIS].sequence == "T1"
    assert answers[Target.ABNORMAL_DENSITY].sequence == "T2"
    for target, one in answers.items():
        assert one.features == quick_model().classifiers[target, one.sequence].features
    assert all(one.reasons == () for one in answers.values())


def test_the_preference_is_the_settings_and_not_the_codes() -> None:
    swapped = AnalysisSettings(
        preferred={Target.OSTEOPOROSIS: Contrast.T2, Target.ABNORMAL_DENSITY: Contrast.T1}
    )
    answers = {one.target: one for one in predict(study(), decided(), swapped)}
    for target, preferred in swapped.preferred.items():
        assert answers[target].sequence == preferred
        assert answers[target].preferred is preferred


def test_weak_bone_is_above_the_threshold_and_strong_bone_below() -> None:
    strong = int(np.argsort(TABLE.bmd_mg_cm3)[-4])
    weak, firm = answer(study()), answer(study(strong))
    assert weak[Target.ABNORMAL_DENSITY].verdict is Verdict.ABOVE
    assert firm[Target.ABNORMAL_DENSITY].verdict is Verdict.BELOW


def test_the_interval_holds_the_probability_and_stays_inside_0_and_1() -> None:
    for row in range(len(TABLE.patient_ids)):
        for one in predict(study(row), decided(), AnalysisSettings()):
            if one.probability is not None and one.interval is not None:
                assert 0 <= one.interval[0] < one.probability < one.interval[1] <= 1


def test_a_missing_sequence_is_replaced_and_named() -> None:
    only_t1 = answer(study()[:1])[Target.ABNORMAL_DENSITY]
    assert only_t1.sequence == "T1"
    assert only_t1.reasons == ("T2w was missing", "T1w was used instead")
    assert only_t1.probability is not None


def test_a_sequence_that_bears_no_answer_is_replaced_and_its_fault_named() -> None:
    t1, t2 = study()
    unclear = answer((with_segmentation(t1, levels_certain=False), t2))[Target.OSTEOPOROSIS]
    assert unclear.sequence == "T2"
    assert unclear.reasons == ("T1w: the vertebral levels are uncertain", "T2w was used instead")


def _fewer_levels(found: SeriesFindings) -> SeriesFindings:
    regions = [replace(region, usable=number < 2) for number, region in enumerate(found.segmentation.regions)]
    return with_segmentation(found, regions=tuple(regions))


HEIGHT_LOSS = Reason("height_loss", percent=31.0, grade=2)


def _concern(reason: Reason) -> Callable[[SeriesFindings], SeriesFindings]:
    def change(found: SeriesFindings) -> SeriesFindings:
        first, *others = found.segmentation.regions
        return with_segmentation(found, regions=(replace(first, concerns=(reason,)), *others))

    return change


def _no_csf(found: SeriesFindings) -> SeriesFindings:
    quality = replace(found.bone_quality, score=None, csf_signal=None, csf_quality=0.0)
    return replace(found, bone_quality=quality, patient_features={})


def _poor_csf(found: SeriesFindings) -> SeriesFindings:
    return replace(found, bone_quality=replace(found.bone_quality, csf_quality=0.4))


def _far_features(found: SeriesFindings) -> SeriesFindings:
    return replace(
        found, patient_features={name: value + 40.0 for name, value in found.patient_features.items()}
    )


def _fat_suppressed(found: SeriesFindings) -> SeriesFindings:
    return replace(found, identification=replace(found.identification, lumbar=False))


REASONS: dict[str, Callable[[SeriesFindings], SeriesFindings]] = {
    "2 usable lumbar vertebral bodies, and 3 are needed": _fewer_levels,
    "the vertebral levels are uncertain": lambda found: with_segmentation(found, levels_certain=False),
    "TR 2500 lies outside the training range": lambda found: with_facts(found, repetition_time_ms=2500.0),
    "TE 45 lies outside the training range": lambda found: with_facts(found, echo_time_ms=45.0),
    "field strength 0.3 lies outside": lambda found: with_facts(found, field_strength_t=0.3),
    "TR is unknown": lambda found: with_facts(found, repetition_time_ms=None),
    "TE is unknown": lambda found: with_facts(found, echo_time_ms=None),
    "cerebrospinal fluid, which signals refer to, was not valid": _no_csf,
    "fluid, which signals refer to": _poor_csf,
    "L1: fracture-like height loss": _concern(HEIGHT_LOSS),
    "L1: signal voids inside the body; metal": _concern(Reason("signal_void")),
    ": signal voids": lambda found: with_segmentation(found, concerns=(Reason("signal_void"),)),
    "features lie farther from the training patients": _far_features,
    "features could not be taken": lambda found: replace(found, patient_features={}),
    "is not a plain sagittal one of the lumbar spine": _fat_suppressed,
}


def _narrowed(model: Model, target: Target, sequence: str, **training: object) -> Model:
    """Return the model with another training range for one of its classifiers."""
    classifiers: dict[tuple[Target, str], Classifier] = dict(model.classifiers)
    one = classifiers[target, sequence]
    limit = training.pop("distance_limit", one.training.distance_limit)
    seen = {name: replace(of, **training) for name, of in one.training.protocols.items()}  # type: ignore[arg-type]  # fields of many types
    narrowed = replace(one.training, protocols=seen, distance_limit=limit)  # type: ignore[arg-type]
    classifiers[target, sequence] = replace(one, training=narrowed)
    return replace(model, classifiers=classifiers)


@pytest.mark.parametrize("narrow", list(Target))
@pytest.mark.parametrize(
    ("training", "reason"),
    [
        ({"distance_limit": 1e-6}, "features lie farther"),
        ({"echo_time_ms": (90.0, 95.0)}, "TE"),
        ({"repetition_time_ms": (90.0, 95.0)}, "TR"),
        ({"field_strength_t": (7.0, 7.0)}, "field strength"),
    ],
)
def test_a_series_outside_the_range_for_one_target_answers_none(
    narrow: Target, training: dict[str, object], reason: str
) -> None:
    narrowed = _narrowed(decided(), narrow, "T1", **training)
    alone = answer(study()[:1], narrowed)
    assert list(alone) == list(Target)
    for one in alone.values():
        assert one.verdict is Verdict.INDETERMINATE
        assert one.probability is None
        assert sum(reason in words for words in one.reasons) == 1, one.reasons
    # With both, the target that prefers T1 is answered from T2, whatever classifier of T1 was narrowed.
    both = answer(study(), narrowed)
    assert both[Target.OSTEOPOROSIS].sequence == "T2"
    assert both[Target.ABNORMAL_DENSITY].sequence == "T2"


@pytest.mark.parametrize(
    ("echo_time_ms", "told"),
    [
        ((9.50586, 10.4816), "TE 45 lies outside the training range of 9.51 to 10.48 ms"),
        ((9.50586, 9.50587), "TE 45 lies outside the training range of 9.51 ms"),
        ((1234.5678, 4018.6), "TE 45 lies outside the training range of 1234.57 to 4018.6 ms"),
    ],
)
def test_a_training_range_has_no_more_digits_than_a_protocol(
    echo_time_ms: tuple[float, float], told: str
) -> None:
    narrowed = _narrowed(decided(), Target.OSTEOPOROSIS, "T1", echo_time_ms=echo_time_ms)
    found = with_facts(study()[0], echo_time_ms=45.0001)
    assert f"T1w: {told}" in answer((found,), narrowed)[Target.OSTEOPOROSIS].reasons


def test_of_several_distances_the_farthest_beyond_its_limit_is_told_once() -> None:
    narrowed = _narrowed(decided(), Target.OSTEOPOROSIS, "T1", distance_limit=1e-3)
    narrowed = _narrowed(narrowed, Target.ABNORMAL_DENSITY, "T1", distance_limit=1e-6)
    for one in answer(study()[:1], narrowed).values():
        (far,) = (reason for reason in one.reasons if "farther" in reason)
        assert isinstance(far, Reason)
        assert far.values["limit"] == 1e-6


@pytest.mark.parametrize("reason", REASONS)
def test_it_abstains_and_says_why(reason: str) -> None:
    for one in answer(tuple(REASONS[reason](found) for found in study())).values():
        assert one.verdict is Verdict.INDETERMINATE
        assert one.probability is None
        assert one.interval is None
        assert sum(reason in words for words in one.reasons) == 2, one.reasons


def test_every_reason_is_named_and_not_only_the_first() -> None:
    t1 = with_segmentation(with_facts(study()[0], echo_time_ms=45.0), levels_certain=False)
    reasons = answer((t1,))[Target.OSTEOPOROSIS].reasons
    assert len(reasons) == 3  # levels, TE, and that T2 was missing


def test_other_concerns_and_small_departures_do_not_stop_it() -> None:
    t1, t2 = (_concern(Reason("touches_edge"))(found) for found in study())
    slower = with_facts(t1, repetition_time_ms=float(TABLE.sequences["T1"].repetition_time_ms.max()) * 1.05)
    assert all(one.probability is not None for one in answer((slower, t2)).values())


def test_a_fracture_in_a_body_that_was_left_out_does_not_stop_it_but_is_told() -> None:
    t1, t2 = study()
    first, *others = t1.segmentation.regions
    left_out = replace(first, usable=False, concerns=(HEIGHT_LOSS,))
    one = answer((with_segmentation(t1, regions=(left_out, *others)), t2))[Target.OSTEOPOROSIS]
    assert one.probability is not None
    assert one.reasons == ("T1w, L1, which was not used: fracture-like height loss of 31 % (Genant grade 2)",)


def test_without_the_csf_a_model_of_body_referenced_features_still_answers() -> None:
    by_body = AnalysisSettings(features=FeatureSettings(reference="body"))
    series = tuple(
        replace(found, bone_quality=replace(found.bone_quality, score=None, csf_signal=None))
        for found in study()
    )
    assert all(one.probability is not None for one in predict(series, decided(), by_body))


def test_strong_shading_leaves_no_answer_that_refers_to_the_csf() -> None:
    def told(code: str, settings: AnalysisSettings) -> set[str]:
        found = study()[0]
        quality = replace(found.bone_quality, concerns=(Reason(code, change=-35.0),))
        shaded = replace(found, bone_quality=quality)
        return {one.code for one in objections_to_series(shaded, "T1", settings)}

    by_body = AnalysisSettings(features=FeatureSettings(reference="body"))
    assert told("shading_strong", AnalysisSettings()) == {"reference_shaded"}
    assert told("shading", AnalysisSettings()) == set()
    assert told("shading_strong", by_body) == set()


def test_both_answers_in_the_set_are_indeterminate() -> None:
    for one in answer(study(), with_conformal(quick_model(), present=1.0, absent=1.0)).values():
        assert one.verdict is Verdict.INDETERMINATE
        assert one.probability is None
        assert "both answers remain possible at 80 % confidence" in one.reasons[-1]


def test_no_answer_in_the_set_is_indeterminate() -> None:
    for one in answer(study(), with_conformal(quick_model(), present=-1.0, absent=-1.0)).values():
        assert one.verdict is Verdict.INDETERMINATE
        assert "neither answer fits" in one.reasons[-1]


def test_an_answer_that_its_decision_threshold_contradicts_is_indeterminate() -> None:
    for one in answer(
        study(), with_conformal(quick_model(), present=1.0, absent=-1.0, threshold=1.0)
    ).values():
        assert one.verdict is Verdict.INDETERMINATE
        assert "disagree" in one.reasons[-1]


def test_an_interval_that_holds_the_threshold_leaves_the_answer_open() -> None:
    wide = ErrorBand((0.0, 0.0), (9.0, 0.0, 0.0), (-2.0, 2.0))
    unsure = {key: replace(one, band=wide) for key, one in decided().classifiers.items()}
    for one in answer(study(), replace(decided(), classifiers=unsure)).values():
        assert one.verdict is Verdict.INDETERMINATE
        assert one.probability is None
        assert isinstance(one.reasons[-1], Reason)
        assert one.reasons[-1].code == "threshold_in_interval"


def test_no_answer_lies_on_the_other_side_of_the_threshold_than_its_probability_and_interval() -> None:
    for model in (decided(), quick_model()):
        for row in range(len(TABLE.patient_ids)):
            for one in predict(study(row), model, AnalysisSettings()):
                if one.probability is None or one.interval is None:
                    continue
                above = one.verdict is Verdict.ABOVE
                assert above == (one.probability >= one.decision_threshold)
                assert above == (one.interval[0] >= one.decision_threshold)
                assert above == (one.interval[1] >= one.decision_threshold)


def test_every_answer_comes_with_the_figures_of_answers() -> None:
    for target, one in answer(study()).items():
        assert one.answers == quick_model().classifiers[target, one.sequence].performance.answers


@pytest.mark.parametrize("preferred", [Contrast.T1, Contrast.T2])
@pytest.mark.parametrize("missing", [True, False])
def test_every_answer_comes_with_the_card_of_its_classifier_and_the_figures_of_each_sequence(
    *, preferred: Contrast, missing: bool
) -> None:
    settings = AnalysisSettings(preferred=dict.fromkeys(Target, preferred))
    for one in predict(study()[: 1 if missing else 2], decided(), settings):
        used = decided().classifiers[one.target, one.sequence]
        assert one.trained_on == used.training.protocols
        assert set(one.trained_on) == {one.sequence}
        assert one.by_sequence == {
            sequence: decided().classifiers[one.target, sequence].performance.answers
            for sequence in ("T1", "T2")
        }


def test_a_disturbed_body_has_a_number_where_levels_have_no_names() -> None:
    t1, t2 = study()
    void = Reason("signal_void")
    for certain, name in ((True, "L1"), (False, "body ")):
        regions = tuple(
            replace(one, concerns=(void,)) if one.level is Level.L1 else one
            for one in t1.segmentation.regions
        )
        changed = with_segmentation(t1, regions=regions, levels_certain=certain)
        told = [
            str(one)
            for one in answer((changed, t2))[Target.OSTEOPOROSIS].reasons
            if one.code == "body_disturbed"
        ]
        assert len(told) == 1
        assert told[0].startswith(f"T1w, {name}"), told


def test_an_open_answer_is_not_asked_again_of_the_other_sequence() -> None:
    classifiers: dict[tuple[Target, str], Classifier] = dict(decided().classifiers)
    key = (Target.OSTEOPOROSIS, "T1")
    classifiers[key] = replace(classifiers[key], conformal=ConformalLimits(0.8, 1.0, 1.0))
    one = answer(study(), replace(decided(), classifiers=classifiers))[Target.OSTEOPOROSIS]
    assert one.sequence == "T1"
    assert one.verdict is Verdict.INDETERMINATE


def test_a_model_of_one_sequence_says_what_it_does_not_know() -> None:
    only_t1 = {key: one for key, one in decided().classifiers.items() if key[1] == "T1"}
    one = answer(study(), replace(decided(), classifiers=only_t1))[Target.ABNORMAL_DENSITY]
    assert one.sequence == "T1"
    assert one.reasons[0] == "the model was not trained on T2w"


def test_an_answer_takes_less_than_a_fifth_of_a_second_of_a_processor() -> None:
    series, model = study(), decided()
    started = time.process_time()
    answer(series, model)
    assert time.process_time() - started < 0.2


SETTLED = study()


@settings(max_examples=share_of(50))
@given(
    te=st.none() | st.floats(0.1, 500),
    tr=st.none() | st.floats(1, 20000),
    certain=st.booleans(),
    csf=st.floats(0, 1),
    shift=st.floats(-1e6, 1e6),
    sequences=st.sets(st.sampled_from(["T1", "T2"]), min_size=1),
)
def test_whatever_was_measured_there_is_an_answer_or_a_reason(
    *, te: float | None, tr: float | None, certain: bool, csf: float, shift: float, sequences: set[str]
) -> None:
    series = []
    for found in SETTLED:
        if found.identification.contrast.value in sequences:
            acquired = with_facts(found, echo_time_ms=te, repetition_time_ms=tr)
            changed = with_segmentation(acquired, levels_certain=certain)
            values = {name: value + shift for name, value in found.patient_features.items()}
            quality = replace(found.bone_quality, csf_quality=csf)
            series.append(replace(changed, patient_features=values, bone_quality=quality))
    answers = predict(tuple(series), quick_model(), AnalysisSettings())
    assert [one.target for one in answers] == list(Target)
    for one in answers:
        decided = one.verdict is not Verdict.INDETERMINATE
        assert decided == (one.probability is not None) == (one.interval is not None)
        assert decided or one.reasons
