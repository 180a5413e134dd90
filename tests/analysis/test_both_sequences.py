"""From pixels to an answer: a model of T1 and T2 together, with age and sex, is trained and asked."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from analysis.cohort.cohort_table import CohortRow
from analysis.cohort.record import StudyRecord, findings_record, table_of
from analysis.domain.acquisition import AcquisitionFacts, Contrast
from analysis.domain.basis import BOTH, AgeAndSex
from analysis.domain.findings import Findings, SeriesInput, Target
from analysis.domain.segmentation import CsfSample, Level, Segmentation
from analysis.domain.volume import Volume
from analysis.learning.train import train
from analysis.pipeline import analyse
from analysis.prediction.model import Model
from analysis.settings import AnalysisSettings, FeatureSettings
from tests.analysis.synthetic_bodies import LUMBAR, csf_on, grid, labels_on, segmentation_of, textured
from tests.analysis.synthetic_model import QUICK

TARGET = Target.ABNORMAL_DENSITY
SETTINGS = AnalysisSettings(FeatureSettings(filters=("Original",)), preferred={TARGET: BOTH})
T1 = AcquisitionFacts(
    repetition_time_ms=600, echo_time_ms=10, field_strength_t=1.5, scanning_sequence=("SE",),
    series_description="lumbar t1_tse_sag", orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    rows=160, columns=90, slices=11, pixel_spacing_mm=(2.0, 2.0),
)  # fmt: skip
T2 = replace(T1, repetition_time_ms=3500, echo_time_ms=100, series_description="lumbar t2_tse_sag")
PATIENTS = 60


def study(
    model: Model | None = None, person: AgeAndSex | None = None, *, in_t2: tuple[Level, ...] = LUMBAR
) -> Findings:
    """Analyse T1 and T2 of the same bodies, of which some can be unusable in T2."""
    where = grid()
    labels, csf = labels_on(where), CsfSample(csf_on(where), 1.0)
    volume = textured(labels, where)
    canal = np.zeros(where.shape, dtype=np.bool_)
    canal[:, :, 56:66] = True
    bright = Volume(np.where(canal, 600.0, volume.voxels).astype(np.float32), where)

    def outlined(_source: SeriesInput, contrast: Contrast) -> Segmentation:
        usable = in_t2 if contrast is Contrast.T2 else LUMBAR
        found = segmentation_of(labels, where, csf=csf, usable=usable)
        # With their true centres, by which T1 and T2 are compared.
        centres = {one.level: np.argwhere(labels == one.level).mean(axis=0) for one in found.regions}
        placed = (replace(one, centre_mm=tuple(where.to_mm(centres[one.level]))) for one in found.regions)
        return replace(found, regions=tuple(placed))

    found = analyse(
        [SeriesInput("1", T1, volume, "0" * 64), SeriesInput("2", T2, bright, "1" * 64)],
        model=model,
        settings=SETTINGS,
        software="test",
        segmenter=outlined,
        person=person,
    )
    assert isinstance(found, Findings)
    return found


def cohort_of(record: StudyRecord) -> tuple[list[CohortRow], list[StudyRecord]]:
    """Return patients whose features are those of one study, changed by their bone density and by chance."""
    rng = np.random.default_rng(0)
    rows, records = [], []
    for number in range(PATIENTS):
        bmd = float(rng.normal(115, 30))
        rows.append(
            CohortRow(number + 2, f"P{number}", Path(), bmd, float(rng.integers(50, 80)), "FM"[number % 2])
        )
        sequences = {
            name: one
            | {
                "features": {
                    feature: value + (0.1 + abs(value)) * (0.002 * (115 - bmd) + 0.1 * float(rng.normal()))
                    for feature, value in one["features"].items()
                }
            }
            for name, one in record["sequences"].items()
        }
        records.append(record | {"sequences": sequences})
    return rows, records


def test_a_model_of_both_answers_from_pixels_and_refuses_other_bodies_and_unknown_people() -> None:
    rows, records = cohort_of(findings_record(study(), None, SETTINGS))
    # Of one patient, T1 and T2 cannot be read together.
    records[0] = findings_record(study(in_t2=LUMBAR[1:]), None, SETTINGS)
    settings = replace(
        QUICK,
        learning=replace(QUICK.learning, refits=3),
        thresholds_mg_cm3={TARGET: 115.0},
        both_for=frozenset({TARGET}),
        age_and_sex=True,
    )
    model = train(table_of(rows, records, SETTINGS), settings)
    patients = {basis: one.performance.patients for (_, basis), one in model.classifiers.items()}
    assert patients == {"T1": PATIENTS, "T2": PATIENTS, BOTH: PATIENTS - 1}

    def reasons(person: AgeAndSex | None, in_t2: tuple[Level, ...] = LUMBAR) -> list[str]:
        (told,) = study(model, person, in_t2=in_t2).predictions
        assert (told.sequence, told.age_and_sex) == (BOTH, True)
        assert "used instead" not in str(told.reasons)
        return [getattr(one, "code", one) for one in told.reasons]

    undecided = {"threshold_in_interval", "both_answers", "neither_answer", "answers_disagree"}
    assert set(reasons(AgeAndSex(60, "F"))) <= undecided
    assert reasons(AgeAndSex(60, "F"), LUMBAR[1:])[0] == "other_bodies"
    assert reasons(AgeAndSex(None, "F")) == ["age_unknown"]
    assert reasons(None) == ["age_unknown", "sex_unknown"]
