"""Programs of others accept every result object."""

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from analysis.domain.findings import Refusal, Verdict
from analysis.domain.reason import Reason, quoted
from dicom_templates.result_kinds import ResultKind, SrClass
from dicom_templates.result_set import build, build_refusal
from tests.dicom_templates import gates
from tests.dicom_templates.cases import SET_ASIDE, Case, make_case, with_prior
from tests.thoroughness import first_of

pytestmark = pytest.mark.peers

LEVELS = ("L1", "L2", "L3", "L4", "L5")


def english() -> Case:
    case = with_prior(make_case())
    return replace(case, options=replace(case.options, kinds=frozenset(ResultKind)))


def german() -> Case:
    return with_prior(make_case(language="de"))


def comprehensive_3d() -> Case:
    case = make_case()
    return replace(case, options=replace(case.options, sr_classes=(SrClass.COMPREHENSIVE_3D,)))


def abstaining() -> Case:
    case = make_case()
    silent = tuple(
        replace(
            one, verdict=Verdict.INDETERMINATE, probability=None, interval=None, reasons=(quoted("no CSF"),)
        )
        for one in case.findings.predictions
    )
    return replace(case, findings=replace(case.findings, predictions=silent))


def measured_only() -> Case:
    case = make_case()
    return replace(case, findings=replace(case.findings, model=None, predictions=()))


def body_part_untold() -> Case:
    case = make_case()
    for header in (header for headers in case.sources.values() for header in headers):
        header.pop("BodyPartExamined", None)
        header.Laterality = ""
    return case


@pytest.fixture(
    scope="module",
    params=first_of(
        english, german, comprehensive_3d, abstaining, measured_only, body_part_untold,
        why="the same programs read the objects of another case",
    ),
    ids=lambda one: one.__name__,
)  # fmt: skip
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(request.param(), tmp_path_factory.mktemp(request.param.__name__))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(make_case(), tmp_path_factory.mktemp("plain"))


def write(case: Case, folder: Path) -> Path:
    """Write sources and results of a case."""
    for uid, headers in case.sources.items():
        for index, header in enumerate(headers):
            header.file_meta = FileMetaDataset()
            header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            header.save_as(folder / f"source_{uid[-1]}_{index}.dcm", enforce_file_format=True)
    for one in build(case.findings, case.sources, case.options).objects:
        one.dataset.save_as(folder / f"{one.name}.dcm", enforce_file_format=True)
    return folder


def results(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.dcm")) if not path.name.startswith("source_")]


def test_dciodvfy_finds_no_error(folder: Path) -> None:
    assert len(results(folder)) in (5, 8)  # one case has a PDF and presentation states
    for path in results(folder):
        gates.no_dciodvfy_errors(path)


def test_source_and_results_are_one_consistent_study(folder: Path) -> None:
    gates.consistent_entities(sorted(folder.glob("*.dcm")))


def test_dcmtk_shows_every_value_beside_its_name(folder: Path) -> None:
    documents = [path for path in results(folder) if path.stem in {"sr", "sr_3d", "text"}]
    assert len(documents) == 2
    for path in documents:
        gates.dsrdump_text(path)
        page = unescape(gates.dsr2html_page(path, path.with_suffix(".html")))
        words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
        if path.stem != "text":
            assert re.search(r"Volume[^A-Za-z]*[\d.]+ cm3", words)
            assert re.search(r"Vertebral bone quality score \(T1\)[^A-Za-z]*2\.71 \{ratio\}", words)


def test_dcmqi_reads_the_same_measurement_groups(plain: Path, tmp_path: Path) -> None:
    case = make_case()
    groups = {
        one["TrackingIdentifier"]: one for one in gates.measurements_by_dcmqi(plain / "sr.dcm", tmp_path)
    }
    assert list(groups) == [
        "Lumbar spine",
        *(f"{level} {contrast}" for contrast in ("T1", "T2") for level in LEVELS),
    ]
    for found in case.findings.series:
        for one in found.measurements:
            group = groups[f"{one.level.name} {found.identification.contrast}"]
            values = {
                item["quantity"]["CodeMeaning"]: float(item["value"])
                for item in group["measurementItems"]  # type: ignore[attr-defined]
            }
            assert values["Volume"] == pytest.approx(one.volume_ml, rel=6e-6)
            assert group["SourceSeriesForImageSegmentation"] == found.source.series_uid


def test_dcmqi_reads_the_same_voxels(plain: Path, tmp_path: Path) -> None:
    segmentation = make_case().findings.series[0].segmentation
    masks = gates.segments_by_dcmqi(plain / "seg_t1.dcm", tmp_path)
    assert len(masks) == len(segmentation.regions) + 1
    for region in segmentation.regions:
        mask = masks[f"{region.level.name} vertebral body"]
        assert mask.shape == segmentation.grid.shape
        assert int(mask.sum()) == int((segmentation.labels == region.level).sum())
        # dcmqi may order the slices from the other side.
        wanted = segmentation.labels == region.level
        assert np.array_equal(mask, wanted) or np.array_equal(mask[::-1], wanted)


def test_a_refusal_passes_as_well(tmp_path: Path) -> None:
    case = make_case()
    refusal = Refusal((Reason("no_series"),), (SET_ASIDE,))
    source = next(iter(case.sources.values()))[0]
    (report,) = build_refusal(refusal, source, case.options, software="OsteoNode 0.1.0").objects
    path = tmp_path / "refusal.dcm"
    report.dataset.save_as(path, enforce_file_format=True)
    gates.no_dciodvfy_errors(path)
    assert "no sagittal T1w or T2w series" in gates.dsrdump_text(path)


@pytest.mark.slow
@pytest.mark.gate("a Java VM compiles a large style sheet for each of many documents")
def test_pixelmed_finds_no_error(plain: Path, tmp_path: Path) -> None:
    for path in [plain / "text.dcm", *gates.one_copy_per_group_template(plain / "sr.dcm", tmp_path)]:
        gates.no_pixelmed_errors(path)
