"""`osteonode verify` recognises a report that its inputs give, and says where another one differs."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from typer.testing import CliRunner

from analysis.domain.examination import Examination
from analysis.domain.priors import compare
from dicom_templates.options import Predecessor, ReportOptions
from dicom_templates.result_kinds import SrClass
from dicom_templates.result_set import build
from node.analyse.examinations import examination
from node.cli import application
from node.config import Configuration, ModelSettings, StorageSettings, default
from node.config.tables.models import DEMONSTRATION_MODEL
from node.decode import scan
from node.domain.completeness import Patience
from node.domain.records import Arrival, Instance
from node.domain.results import Compared, Lineage
from node.errors import PermanentError
from node.operate import verify as room
from node.operate.verify import CheckOutcome, ReportCheck, verify
from node.store.instance_store import DiskInstanceStore
from node.store.location import store_url
from node.store.sql import SqlStore
from tests.dicom_templates.cases import STUDY
from tests.node.by_hand import images_by_hand, science

NOW = datetime(2026, 1, 5, tzinfo=UTC)
MADE = datetime(2026, 3, 29, 2, 30, 15)  # noqa: DTZ001 - local; in many places, no clock ever showed it
Tamper = Callable[[Dataset], None]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "analyse_series", science)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a T1 and a T2 series as files, and their measurement report as the node does."""
    folder = tmp_path_factory.mktemp("originals")
    (folder / "images").mkdir()
    for image in images_by_hand():
        name = f"{image.SeriesInstanceUID[-1]}_{image.InstanceNumber - 1}.dcm"
        dcmwrite(folder / "images" / name, image, enforce_file_format=True)
    write_report(folder / "images", folder / "sr.dcm")
    return folder


@pytest.fixture
def images(originals: Path, tmp_path: Path) -> Path:
    """Return a copy of the images, which the test may alter."""
    return Path(shutil.copytree(originals / "images", tmp_path / "images"))


@pytest.fixture
def report(originals: Path, tmp_path: Path) -> Path:
    """Return a copy of their report."""
    return Path(shutil.copy2(originals / "sr.dcm", tmp_path / "sr.dcm"))


def write_report(
    images: Path, path: Path, bundle: Path | None = DEMONSTRATION_MODEL, /, **options: object
) -> Path:
    series, _ = scan(sorted(images.iterdir()))
    settings, place = default().analysis, default().segmentation
    findings, sources = science(series, settings, place, bundle)
    made = build(findings, sources, ReportOptions(MADE, **options))  # type: ignore[arg-type]
    dcmwrite(path, made.objects[0].dataset, enforce_file_format=True)
    return path


def outcomes(checks: Sequence[ReportCheck]) -> dict[str, CheckOutcome]:
    return {check.subject: check.outcome for check in checks}


def result(checks: Sequence[ReportCheck]) -> ReportCheck:
    return checks[-1]


def test_a_report_is_equal_to_what_its_images_give(images: Path, report: Path) -> None:
    checks = verify(report, default(), [images])
    assert list(outcomes(checks)) == [
        "software", "configuration", "model", f"input {STUDY}.1", f"input {STUDY}.2", "result",
    ]  # fmt: skip
    assert set(outcomes(checks).values()) == {CheckOutcome.EQUAL}, checks


@pytest.mark.parametrize(
    "options",
    [
        {"language": "de"},
        {"station": "OTHER", "institution": "A clinic"},
        {"next_step": "Rückfrage: Knochensprechstunde, Łódź.", "language": "de"},
        {"sr_classes": (SrClass.COMPREHENSIVE_3D, SrClass.COMPREHENSIVE)},
        {"predecessors": (Predecessor("1.2.840.10008.5.1.4.1.1.88.33", "1.2.3", "1.2.4", STUDY),)},
        # A predecessor of another class does not appear in this document.
        {"predecessors": (Predecessor("1.2.840.10008.5.1.4.1.1.88.22", "1.2.3", "1.2.4", STUDY),)},
    ],
    ids=[
        "language",
        "station",
        "next step",
        "one of two classes",
        "predecessor",
        "predecessor of the text report",
    ],
)
def test_how_a_report_is_written_is_read_from_itself(
    images: Path, tmp_path: Path, options: dict[str, object]
) -> None:
    path = write_report(images, tmp_path / "sr.dcm", **options)
    assert result(verify(path, default(), [images])) == ReportCheck("result", CheckOutcome.EQUAL)


def a_pixel(image: Dataset) -> None:
    pixels = image.pixel_array.copy()
    pixels[10, 10] += 1
    image.PixelData = pixels.tobytes()


def another_echo_time(image: Dataset) -> None:
    image.EchoTime = "80"


def another_place(image: Dataset) -> None:
    image.ImagePositionPatient = [0, 0, 300]


@pytest.mark.parametrize("tamper", [a_pixel, another_echo_time, another_place])
def test_altered_images_are_found_out(images: Path, report: Path, tamper: Tamper) -> None:
    # The acquisition facts of a series are those of its first image.
    first = min(images.glob("2_*.dcm"), key=lambda path: dcmread(path).SOPInstanceUID)
    alter(first, tamper)
    told = outcomes(verify(report, default(), [images]))
    assert told[f"input {STUDY}.1"] is CheckOutcome.EQUAL
    assert told[f"input {STUDY}.2"] is CheckOutcome.DIFFERENT
    assert told["result"] is CheckOutcome.NOT_CHECKED


def test_a_missing_image_is_found_out(images: Path, report: Path) -> None:
    (images / "1_6.dcm").unlink()
    assert outcomes(verify(report, default(), [images]))[f"input {STUDY}.1"] is CheckOutcome.DIFFERENT


def alter(path: Path, tamper: Tamper) -> None:
    dataset = dcmread(path)
    tamper(dataset)
    dcmwrite(path, dataset, enforce_file_format=True)


def items(dataset: Dataset) -> list[Dataset]:
    return [one for item in dataset.get("ContentSequence", ()) for one in (item, *items(item))]


def named(dataset: Dataset, meaning: str) -> Dataset:
    return next(one for one in items(dataset) if one.ConceptNameCodeSequence[0].CodeMeaning == meaning)


def a_probability(document: Dataset) -> None:
    named(document, "Probability of osteoporosis").MeasuredValueSequence[0].NumericValue = "61"


def a_verdict(document: Dataset) -> None:
    named(document, "Osteoporosis").ConceptCodeSequence[0].CodeMeaning = "Likely"


def an_outline(document: Dataset) -> None:
    named(document, "Outline").GraphicData[0] = 1.0


def a_level(document: Dataset) -> None:
    group = next(one for one in items(document) if "L3 T1" in str(one.get("ContentSequence", "")))
    del group.ContentSequence[-1]


def a_patient(document: Dataset) -> None:
    document.PatientName = "SOMEBODY^ELSE"


def a_time(document: Dataset) -> None:
    document.ContentTime = "235959"


def a_flag(document: Dataset) -> None:
    document.VerificationFlag = "VERIFIED"


def an_identifier(document: Dataset) -> None:
    document.SOPInstanceUID = "1.2.3"
    document.file_meta.MediaStorageSOPInstanceUID = document.SOPInstanceUID


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (a_probability, "Probability of osteoporosis > NumericValue: 61 instead of 12.5"),
        (a_verdict, "Osteoporosis > CodeMeaning: Likely instead of Probability"),
        (an_outline, "Outline > GraphicData"),
        (a_level, "ContentSequence holds"),
        (a_patient, "PatientName differs"),
        (a_time, "InstanceCreationTime differs"),
        (a_flag, "VerificationFlag differs"),
        (an_identifier, "SOPInstanceUID differs"),
    ],
)
def test_an_altered_report_is_found_out(images: Path, report: Path, tamper: Tamper, said: str) -> None:
    alter(report, tamper)
    check = result(verify(report, default(), [images]))
    assert check.outcome is CheckOutcome.DIFFERENT
    assert any(said in line for line in check.details), check.details
    assert "SOMEBODY" not in str(check)
    assert "PLANTED" not in str(check)


@pytest.mark.parametrize("cited", ["SHA-256 of the model", "SHA-256 of the configuration"])
def test_an_altered_digest_is_found_out(images: Path, report: Path, cited: str) -> None:
    def other(document: Dataset) -> None:
        named(document, cited).TextValue = "ff" * 32

    alter(report, other)
    checks = verify(report, default(), [images])
    assert outcomes(checks)[cited.removeprefix("SHA-256 of the ")] is CheckOutcome.DIFFERENT


def test_another_configuration_is_told(images: Path, report: Path) -> None:
    base = default()
    other = replace(base, analysis=replace(base.analysis, minimum_usable_levels=4))
    assert outcomes(verify(report, other, [images]))["configuration"] is CheckOutcome.DIFFERENT


def test_another_or_damaged_model_is_told(images: Path, report: Path, tmp_path: Path) -> None:
    other = replace(default(), models=replace(default().models, bundle=tmp_path / "no model"))
    assert outcomes(verify(report, other, [images]))["model"] is CheckOutcome.DIFFERENT


@pytest.mark.parametrize("models", [ModelSettings(None), default().models], ids=["none", "some"])
def test_a_report_without_a_model_is_made_again_without_one(
    images: Path, tmp_path: Path, models: ModelSettings
) -> None:
    report = write_report(images, tmp_path / "measured.dcm", None)
    checks = verify(report, replace(default(), models=models), [images])
    assert set(outcomes(checks).values()) == {CheckOutcome.EQUAL}, checks
    (model,) = (check for check in checks if check.subject == "model")
    assert "measurements and outlines only" in model.details[0]


def test_a_report_with_a_model_differs_where_there_is_none(images: Path, report: Path) -> None:
    (model,) = (
        check
        for check in verify(report, replace(default(), models=ModelSettings(None)), [images])
        if check.subject == "model"
    )
    assert model.outcome is CheckOutcome.DIFFERENT
    assert model.details[0].endswith("here it is none")


@pytest.mark.parametrize("kept", ["given", "in the database", "nowhere", "another"])
def test_the_earlier_examination_must_be_at_hand(
    images: Path, tmp_path: Path, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, earlier = write_comparison(images, tmp_path)
    configuration = replace(default(), storage=StorageSettings(directory=tmp_path / "var"))
    if kept == "in the database":
        put_in_storage(images, configuration)
        lineage = Lineage(compared=Compared(earlier.person, earlier))
        monkeypatch.setattr(SqlStore, "lineage", lambda *_: lineage)
    priors = {"given": [earlier], "another": [replace(earlier, model="other")]}.get(kept, [])
    told = outcomes(verify(path, configuration, [images], priors=priors))
    there = kept in {"given", "in the database"}
    expected = CheckOutcome.EQUAL if there else CheckOutcome.NOT_CHECKED
    assert (told["earlier examination"], told["result"]) == (expected, expected)


def test_an_altered_comparison_is_found_out(images: Path, tmp_path: Path) -> None:
    path, earlier = write_comparison(images, tmp_path)

    def another_score(document: Dataset) -> None:
        meaning = "Vertebral bone quality score of the earlier examination"
        named(document, meaning).MeasuredValueSequence[0].NumericValue = "1.5"

    alter(path, another_score)
    check = result(verify(path, default(), [images], priors=[earlier]))
    assert check.outcome is CheckOutcome.DIFFERENT
    assert any("1.5 instead of 2.71" in line for line in check.details), check.details


def write_comparison(images: Path, folder: Path) -> tuple[Path, Examination]:
    """Write a report that compares with an examination of two years before."""
    series, _ = scan(sorted(images.iterdir()))
    findings, sources = science(series, default().analysis, default().segmentation, DEMONSTRATION_MODEL)
    now = examination(findings, sources[f"{STUDY}.1"][0])
    earlier = replace(now, study_uid="1.2.3", day=date(2024, 3, 1))
    made = build(replace(findings, prior=compare(earlier, now)), sources, ReportOptions(MADE))
    path = folder / "sr.dcm"
    dcmwrite(path, made.objects[0].dataset, enforce_file_format=True)
    return path, earlier


def test_without_images_the_rest_is_compared_and_that_is_said(report: Path, tmp_path: Path) -> None:
    nowhere = replace(default(), storage=StorageSettings(directory=tmp_path / "never ran"))
    told = outcomes(verify(report, nowhere))
    assert told["configuration"] is told["model"] is CheckOutcome.EQUAL
    assert told[f"input {STUDY}.1"] is told["result"] is CheckOutcome.NOT_CHECKED


def test_the_images_in_the_storage_of_the_node_will_do(images: Path, report: Path, tmp_path: Path) -> None:
    configuration = replace(default(), storage=StorageSettings(directory=tmp_path / "var"))
    put_in_storage(images, configuration)
    assert set(outcomes(verify(report, configuration)).values()) == {CheckOutcome.EQUAL}


def put_in_storage(images: Path, configuration: Configuration) -> None:
    places = DiskInstanceStore(configuration.storage.directory)
    store = SqlStore(store_url(configuration))
    for path in images.iterdir():
        header = dcmread(path)
        instance = Instance(
            header.SOPInstanceUID, header.SeriesInstanceUID, STUDY, header.SOPClassUID,
            header.file_meta.TransferSyntaxUID, sha256(path.read_bytes()).hexdigest(), 1, "p",
        )  # fmt: skip
        places.path(instance).parent.mkdir(parents=True, exist_ok=True)
        places.path(instance).write_bytes(path.read_bytes())
        store.record_arrivals([Arrival(instance, "S", "h")], NOW, Patience(timedelta(0), timedelta(0)))
    store.close()


@pytest.mark.parametrize("kind", ["letter", "image", "cut"])
def test_what_is_no_report_of_ours_is_told_as_such(images: Path, report: Path, kind: str) -> None:
    if kind == "letter":
        report.write_text("Dear colleague")
    elif kind == "image":
        report.write_bytes((images / "1_0.dcm").read_bytes())
    else:
        report.write_bytes(report.read_bytes()[:3000])
    with pytest.raises(PermanentError, match=r"sr\.dcm"):
        verify(report, default(), [images])


def test_the_exit_status_says_how_it_ended(images: Path, report: Path, tmp_path: Path) -> None:
    def run(*words: object) -> int:
        return CliRunner().invoke(application, ["verify", *map(str, words)]).exit_code

    assert run(report, "--inputs", images) == 0
    assert run(report, "--inputs", images / "1_0.dcm") == 5
    config = tmp_path / "config.toml"
    config.write_text('[storage]\ndirectory = "never ran"\n')
    assert run(report, "--config", config) == 4
    assert run(images / "1_0.dcm", "--inputs", images) == 1
    assert run(report, "--inputs", tmp_path / "nowhere") == 2
    alter(report, a_probability)
    assert run(report, "--inputs", images) == 5
    told = CliRunner().invoke(application, ["verify", str(report), "--inputs", str(images), "--json"])
    assert [one["verdict"] for one in json.loads(told.stdout)][-1] == "different"


def test_numbers_do_not_depend_on_how_they_are_spelt(images: Path, report: Path) -> None:
    def spell(document: Dataset) -> None:
        named(document, "Probability of osteoporosis").MeasuredValueSequence[0].NumericValue = "12.500"

    alter(report, spell)
    assert result(verify(report, default(), [images])).outcome is CheckOutcome.EQUAL
