"""A series that changes nothing of what is reported changes no byte of it, and `verify` accepts it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.uid import ComprehensiveSRStorage, EnhancedSRStorage

from analysis.domain.acquisition import AcquisitionFacts, Contrast
from analysis.domain.findings import SeriesInput
from analysis.domain.segmentation import CsfSample, Segmentation
from analysis.domain.volume import Volume
from analysis.settings import FeatureSettings
from dicom_templates.objects.mr_image import ImageIdentity, mr_images
from dicom_templates.options import Predecessor
from node.analyse import segmenters
from node.analyse.refusal_report import write_refusal_report
from node.analyse.study import analyse_files
from node.config import Configuration, ModelSettings, ReportSettings, default
from node.domain.results import Lineage, Outcome
from node.operate.verify import CheckOutcome, verify
from tests.analysis.synthetic_bodies import csf_on, grid, labels_on, segmentation_of, textured
from tests.analysis.test_pipeline import T1_FACTS, T2_FACTS

STUDY = "1.2.826.0.1.19"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
LOCALISER = replace(
    T1_FACTS, orientation=AXIAL, series_description="localizer", repetition_time_ms=8.0, echo_time_ms=4.0
)
AXIAL_T2 = replace(T2_FACTS, orientation=AXIAL, series_description="t2_tse_tra")
ANOTHER_T1 = replace(T1_FACTS, image_type=("DERIVED", "SECONDARY"))


@pytest.fixture(autouse=True)
def outlined(monkeypatch: pytest.MonkeyPatch) -> None:
    where = grid()
    found = segmentation_of(labels_on(where), where, csf=CsfSample(csf_on(where), 1.0))

    def segmenter(_source: SeriesInput, _contrast: Contrast) -> Segmentation:
        return found

    monkeypatch.setattr(segmenters, "segmenter_for", lambda *_settings: segmenter)


@pytest.fixture
def settings() -> Configuration:
    base = default()
    features = FeatureSettings(filters=("Original",))
    return replace(base, models=ModelSettings(None), analysis=replace(base.analysis, features=features))


def write_series(folder: Path, number: int, facts: AcquisitionFacts, *, time: str, cut: bool = False) -> None:
    """Write a series whose slices lie as sagittal ones do, whatever its header says of the plane."""
    where = grid()
    fluid = 600.0 if facts.repetition_time_ms == T2_FACTS.repetition_time_ms else 100.0
    voxels = np.where(csf_on(where), fluid, textured(labels_on(where), where).voxels).astype(np.float32)
    identity = ImageIdentity(
        patient_id="4711", patient_name="PLANTED^NAME", study_uid=STUDY, series_uid=f"{STUDY}.{number}",
        frame_of_reference_uid=f"{STUDY}.9", study_date="20260105", study_time=time, series_number=number,
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    for index, image in enumerate(mr_images(Volume(voxels, where), facts, identity)):
        if facts.orientation == AXIAL:
            image.ImageOrientationPatient = list(AXIAL)
        if facts.image_type:
            image.ImageType = list(facts.image_type)
        if not (cut and index == 4):
            dcmwrite(folder / f"{number}_{index}.dcm", image, enforce_file_format=True)


def write_pair(folder: Path) -> None:
    write_series(folder, 1, T1_FACTS, time="093000")
    write_series(folder, 2, T2_FACTS, time="093500")


def analysed(folder: Path, settings: Configuration, lineage: Lineage | None = None) -> Outcome:
    out = folder.with_name(f"{folder.name} results")
    outcome = analyse_files(sorted(folder.iterdir()), settings, out, lineage or Lineage())
    assert outcome.results, outcome.refusals
    return outcome


def again(outcome: Outcome) -> Lineage:
    """Return what the store tells of a set that was made and not sent."""
    return Lineage(outcome.key, outcome.replaced, made=outcome.made)


def contents(outcome: Outcome) -> dict[str, bytes]:
    return {one.path.name: one.path.read_bytes() for one in outcome.results}


@pytest.mark.parametrize(
    "later",
    [
        pytest.param([LOCALISER], id="localiser", marks=pytest.mark.gate("one of the three kinds")),
        pytest.param([LOCALISER, AXIAL_T2, ANOTHER_T1], id="three kinds"),
    ],
)
def test_a_later_series_that_is_not_used_changes_no_byte_and_the_report_is_verified(
    tmp_path: Path, settings: Configuration, later: Sequence[AcquisitionFacts]
) -> None:
    folder = tmp_path / "images"
    write_pair(folder)
    first = analysed(folder, settings)
    report = next(one.path for one in first.results if one.sop_class_uid == ComprehensiveSRStorage)
    before = contents(first)
    for number, facts in enumerate(later, start=3):
        write_series(folder, number, facts, time="101500")
    second = analysed(folder, settings, again(first))
    assert second.key == first.key
    assert (len(first.beside), bool(second.beside)) == (0, True)
    assert contents(second) == before
    checks = verify(report, settings, [folder])
    assert {one.outcome for one in checks} == {CheckOutcome.EQUAL}, checks


def refused(
    folder: Path, settings: Configuration, lineage: Lineage | None = None
) -> tuple[Outcome, Outcome, bytes]:
    """Return a refusal, the outcome of explaining it, and the bytes of its report."""
    paths, out = sorted(folder.iterdir()), folder.with_name(f"{folder.name} refusal")
    outcome = analyse_files(paths, settings, out)
    assert not outcome.results
    report = write_refusal_report(paths, settings, out, outcome.refusals, lineage or Lineage())
    return outcome, report, report.results[0].path.read_bytes()


def test_a_refusal_is_reported_anew_only_if_its_reasons_change(
    tmp_path: Path, settings: Configuration
) -> None:
    folder = tmp_path / "images"
    write_series(folder, 2, T2_FACTS, time="093500", cut=True)
    first, told, report = refused(folder, settings)
    assert first.beside == ()
    # Before and behind it in every order, and later.
    for number, facts in enumerate((LOCALISER, AXIAL_T2)):
        write_series(folder, number * 8 + 1, facts, time="101500")
    second = refused(folder, settings, again(told))
    assert second[0].refusals == first.refusals
    assert len(second[0].beside) == 2, "the operator is told all"
    assert (second[1].key, second[2]) == (told.key, report)
    write_series(folder, 5, T1_FACTS, time="093000", cut=True)
    assert refused(folder, settings)[1].key != told.key


def test_a_refusal_of_what_no_report_could_be_about_lists_all(
    tmp_path: Path, settings: Configuration
) -> None:
    folder = tmp_path / "images"
    write_series(folder, 2, LOCALISER, time="093500")
    outcome, *_ = refused(folder, settings)
    assert len(outcome.refusals) == 2
    assert outcome.beside == ()


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", b"Study: the identity of the patient was corrected after an earlier report of this study"),
        ("de", b"Untersuchung: die Patientendaten wurden nach einem vorigen Bericht dieser Untersuchung"),
    ],
)
def test_a_report_says_that_the_identity_was_corrected_and_is_verified(
    tmp_path: Path, settings: Configuration, language: str, sentence: bytes
) -> None:
    folder = tmp_path / "images"
    write_series(folder, 2, T2_FACTS, time="093500")
    settings = replace(settings, report=ReportSettings(language=language))
    before = analysed(folder, settings)
    assert sentence not in contents(before)["text.dcm"]
    earlier = Predecessor(ComprehensiveSRStorage, "1.2.3.1", "1.2.3.2", STUDY)
    after = analysed(folder, settings, Lineage("earlier", (), (earlier,), corrected=True))
    assert after.key != before.key
    assert all(sentence in contents(after)[name] for name in ("text.dcm", "sr.dcm"))
    report = next(one.path for one in after.results if one.sop_class_uid == ComprehensiveSRStorage)
    assert {one.outcome for one in verify(report, settings, [folder])} == {CheckOutcome.EQUAL}


def test_a_series_that_tells_why_a_sequence_is_missing_is_told_and_makes_a_new_set(
    tmp_path: Path, settings: Configuration
) -> None:
    folder = tmp_path / "images"
    write_series(folder, 2, T2_FACTS, time="093500")
    alone = analysed(folder, settings)
    before = contents(alone)
    write_series(folder, 1, T1_FACTS, time="093000", cut=True)
    damaged = analysed(folder, settings)
    assert damaged.key != alone.key
    assert b"Not analysed" not in before["text.dcm"]
    assert b"Not analysed: MR, 10 instances - a slice is missing" in contents(damaged)["text.dcm"]


def test_the_newest_set_can_be_told_without_predecessors(tmp_path: Path, settings: Configuration) -> None:
    """Its descriptions, times and UIDs differ from those of each earlier set, even of the same images."""
    folder = tmp_path / "images"
    write_pair(folder)
    sets, lineage = [], Lineage()
    for number in (1, 2, 3):
        outcome = analysed(folder, settings, lineage)
        made = [dcmread(one.path) for one in outcome.results]
        sets.append(made)
        documents = tuple(
            Predecessor(one.SOPClassUID, one.SOPInstanceUID, one.SeriesInstanceUID, STUDY, number)
            for one in made
            if one.SOPClassUID in {ComprehensiveSRStorage, EnhancedSRStorage}
        )
        # As if another model had made a set in between.
        lineage = Lineage(f"another {number}", outcome.replaced, documents, made=outcome.made)
        report = next(one.path for one in outcome.results if one.sop_class_uid == ComprehensiveSRStorage)
        assert {one.outcome for one in verify(report, settings, [folder])} == {CheckOutcome.EQUAL}
    for one, two, three in zip(*sets, strict=True):
        assert "(" not in one.SeriesDescription[:12]
        assert "(2)" in two.SeriesDescription[:12]
        assert "(3)" in three.SeriesDescription[:12]
        for kind in ("Series", "Content", "InstanceCreation"):
            first, second, third = (
                each[f"{kind}Date"].value + each[f"{kind}Time"].value for each in (one, two, three)
            )
            assert first < second < third
        assert one.InstanceNumber < two.InstanceNumber < three.InstanceNumber
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
            assert len({getattr(each, keyword) for each in (one, two, three)}) == 3
