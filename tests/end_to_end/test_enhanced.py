"""A study of two Enhanced MR objects gives the same results as the same study of classic images."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import EnhancedMRImageStorage

from node.analyse.study import analyse_files
from node.config import default
from node.decode import files_below
from node.domain.results import Outcome
from tests.dicom_templates.gates import (
    consistent_entities,
    dsrdump_text,
    no_dciodvfy_errors,
    segments_by_dcmqi,
)
from tests.enhanced_mr import enhanced_mr

pytestmark = pytest.mark.gate("two whole analyses; `tests/node/decode/test_enhanced.py` has it in short")

OBJECTS = {"t1_sag": "1.2.826.0.1.3680043.10.1.1", "t2_sag": "1.2.826.0.1.3680043.10.1.2"}


@pytest.fixture(scope="module")
def studies(sample_study: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the folders of the classic study and of the same study in objects with unordered frames."""
    (study,) = (sample_study / "studies").iterdir()
    folder = tmp_path_factory.mktemp("enhanced")
    for name, uid in OBJECTS.items():
        images = [dcmread(path) for path in sorted((study / name).iterdir())]
        interleaved = [*range(0, len(images), 2), *range(1, len(images), 2)]
        enhanced_mr(images, uid=uid, frame_order=interleaved).save_as(
            folder / f"{name}.dcm", enforce_file_format=True
        )
    return study, folder


@pytest.fixture(scope="module")
def outcomes(studies: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Outcome]:
    """Return the outcomes of the classic and of the enhanced study."""
    classic, enhanced = (
        analyse_files(files_below([study]), default(), tmp_path_factory.mktemp("out")) for study in studies
    )
    return classic, enhanced


def objects_of(outcome: Outcome) -> dict[str, Dataset]:
    return {result.path.stem: dcmread(result.path) for result in outcome.results}


def test_both_forms_of_a_study_have_the_same_answers(outcomes: tuple[Outcome, Outcome]) -> None:
    classic, enhanced = outcomes
    assert not enhanced.refusals
    assert enhanced.summary == classic.summary
    assert {result.kind for result in enhanced.results} == {result.kind for result in classic.results}


def test_masks_are_the_same_and_refer_to_frames(
    studies: tuple[Path, Path], outcomes: tuple[Outcome, Outcome]
) -> None:
    classic, enhanced = (objects_of(outcome) for outcome in outcomes)
    for contrast in ("t1", "t2"):
        seg, plain = enhanced[f"seg_{contrast}"], classic[f"seg_{contrast}"]
        assert seg.PixelData == plain.PixelData
        source = dcmread(studies[1] / f"{contrast}_sag.dcm", stop_before_pixels=True)
        for groups in seg.PerFrameFunctionalGroupsSequence:
            (reference,) = groups.DerivationImageSequence[0].SourceImageSequence
            assert reference.ReferencedSOPClassUID == EnhancedMRImageStorage
            assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
            frame = source.PerFrameFunctionalGroupsSequence[int(reference.ReferencedFrameNumber) - 1]
            lies_at = groups.PlanePositionSequence[0].ImagePositionPatient
            assert lies_at == pytest.approx(frame.PlanePositionSequence[0].ImagePositionPatient, abs=1e-3)


def test_every_image_that_the_report_refers_to_is_a_frame(outcomes: tuple[Outcome, Outcome]) -> None:
    report = objects_of(outcomes[1])["sr"]
    references = [
        item.ReferencedSOPSequence[0] for item in _items(report) if item.get("ValueType") == "IMAGE"
    ]
    frames = [one for one in references if one.ReferencedSOPClassUID == EnhancedMRImageStorage]
    assert {one.ReferencedSOPInstanceUID for one in frames} == set(OBJECTS.values())
    assert all(int(one.ReferencedFrameNumber) > 0 for one in frames)
    listed = [
        one.ReferencedSOPInstanceUID
        for series in report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    ]
    assert all(listed.count(uid) == 1 for uid in OBJECTS.values())


def _items(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", ()):
        yield child
        yield from _items(child)


@pytest.mark.peers
def test_foreign_programs_accept_the_results(
    studies: tuple[Path, Path], outcomes: tuple[Outcome, Outcome], tmp_path: Path
) -> None:
    paths = {result.path.stem: result.path for result in outcomes[1].results}
    for path in paths.values():
        no_dciodvfy_errors(path)
    consistent_entities([*files_below([studies[1]]), *paths.values()])
    dsrdump_text(paths["sr"])
    assert segments_by_dcmqi(paths["seg_t1"], tmp_path)
