"""Properties of every result set."""

import io
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from pydicom import DataElement, Dataset, config, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.sr.codedict import codes
from pydicom.tag import Tag
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedMRImageStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Agreement, Refusal, SeriesRefusal, Verdict
from analysis.domain.reason import Reason, quoted
from analysis.domain.remoteness import TrainingDistance
from analysis.domain.segmentation import Level
from dicom_templates.options import Predecessor
from dicom_templates.origin.provenance import MANUFACTURER, MODEL_NAME
from dicom_templates.read_back.citation import read_citation
from dicom_templates.result_kinds import ResultKind, SrClass
from dicom_templates.result_set import ResultSet, build, build_refusal
from dicom_templates.words.languages import LANGUAGES
from tests.dicom_templates.cases import (
    Case,
    enhanced_header,
    items,
    make_case,
    texts_of,
    with_departure,
)
from tests.dicom_templates.views import report_words


@pytest.fixture(scope="module")
def case() -> Iterator[Case]:
    """One case for all tests, which must not change it."""
    shared = make_case()
    yield shared
    assert shared.sources == make_case().sources


@pytest.fixture(scope="module")
def results(case: Case) -> dict[str, Dataset]:
    return by_name(build(case.findings, case.sources, case.options))


def by_name(made: ResultSet) -> dict[str, Dataset]:
    return {one.name: one.dataset for one in made.objects}


def build_case(case: Case) -> dict[str, Dataset]:
    return by_name(build(case.findings, case.sources, case.options))


def written(dataset: Dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def concept(item: Dataset) -> tuple[str, str]:
    name = item.ConceptNameCodeSequence[0]
    return (name.get("CodeValue", ""), name.CodingSchemeDesignator)


def groups(dataset: Dataset) -> list[Dataset]:
    return [one for one in items(dataset) if concept(one) == ("125007", "DCM")]


def test_there_is_one_object_for_each_reader(results: dict[str, Dataset]) -> None:
    assert list(results) == ["sr", "seg_t1", "seg_t2", "text", "summary"]
    assert results["sr"].SOPClassUID == ComprehensiveSRStorage
    assert results["text"].SOPClassUID == EnhancedSRStorage
    assert len({one.SeriesInstanceUID for one in results.values()}) == len(results)


def test_comprehensive_3d_is_a_matter_of_configuration(case: Case) -> None:
    wanted = replace(case, options=replace(case.options, sr_classes=(SrClass.COMPREHENSIVE_3D,)))
    results = build_case(wanted)
    assert "sr" not in results
    assert results["sr_3d"].SOPClassUID == Comprehensive3DSRStorage


def test_a_report_in_two_classes_says_the_same_in_both(case: Case, results: dict[str, Dataset]) -> None:
    both = build_case(replace(case, options=replace(case.options, sr_classes=tuple(SrClass))))
    alone = build_case(replace(case, options=replace(case.options, sr_classes=(SrClass.COMPREHENSIVE_3D,))))
    # Neither depends on the other, so that `osteonode verify` can write each of them again alone.
    assert {name: written(one) for name, one in both.items()} == {
        name: written(one) for name, one in (results | alone).items()
    }
    plain, three_d = both["sr"], both["sr_3d"]
    different = {element.keyword for element in plain if element != three_d.get(element.tag)}
    assert different == {"SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber"}


@pytest.mark.parametrize("written", [b"4,0 ", b"thin", b"NaN ", b""])
def test_a_thickness_that_is_no_number_is_that_of_no_slice(written: bytes) -> None:
    case = make_case(slices=4, size=32)
    tag = Tag("SliceThickness")
    for headers in case.sources.values():
        for header in headers:
            header[tag] = RawDataElement(tag, "DS", len(written), written, 0, False, True)
    segmentation = build_case(case)["seg_t1"]
    measures = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SliceThickness == case.findings.series[0].source.volume.grid.spacing_mm[0]


def test_the_same_inputs_give_the_same_bytes(results: dict[str, Dataset]) -> None:
    again = build_case(make_case())
    assert {name: written(one) for name, one in again.items()} == {
        name: written(one) for name, one in results.items()
    }


def test_when_it_was_made_is_on_every_object_and_page_and_changes_nothing_else(case: Case) -> None:
    first = replace(case.options, kinds=frozenset(ResultKind))
    later = replace(first, made=datetime(2027, 2, 3, 4, 5, 6))  # noqa: DTZ001
    results, again = (build(case.findings, case.sources, one) for one in (first, later))
    times = {f"{one}{part}" for one in ("Content", "InstanceCreation", "Series") for part in ("Date", "Time")}
    # Beside the times, the sentence that says so: on what is drawn, and in the text report.
    pixels = {"PixelData", "DateOfSecondaryCapture", "TimeOfSecondaryCapture"}
    state = {"PresentationCreationDate", "PresentationCreationTime", "GraphicAnnotationSequence"}
    told = {
        "gsps_t1": state,
        "gsps_t2": state,
        "summary": pixels,
        "pdf": {"EncapsulatedDocument"},
        "text": {"ContentSequence"},
    }
    for old, new in zip(results.objects, again.objects, strict=True):
        dataset, before = (dcmread(io.BytesIO(written(one.dataset))) for one in (new, old))
        changed = {element.keyword for element in dataset if element != before.get(element.tag)}
        # A compressed PDF may come out longer.
        assert changed - {"EncapsulatedDocumentLength"} == times | told.get(new.name, set()), new.name
        for one in times:
            assert dataset[one].value == ("20270203" if one.endswith("Date") else "040506"), new.name
    sentence = "Analysed on 2027-02-03 at 04:05 by OsteoNode 0.1.0"
    assert sentence in texts_of(by_name(again)["text"])
    assert report_words(again.report).count(sentence) == 1


@pytest.mark.parametrize(
    "what", ["input", "model", "configuration", "software", "language", "refused series"]
)
def test_whatever_decides_the_content_changes_every_uid(
    what: str, case: Case, results: dict[str, Dataset]
) -> None:
    findings, options = case.findings, case.options
    first = findings.series[0]
    assert findings.model is not None
    other = {
        "input": lambda: replace(
            findings, series=(replace(first, source=replace(first.source, digest="x")), findings.series[1])
        ),
        "model": lambda: replace(findings, model=replace(findings.model, digest="x")),
        "configuration": lambda: replace(findings, configuration_digest="x"),
        "software": lambda: replace(findings, software="OsteoNode 0.1.1"),
        "language": lambda: findings,
        "refused series": lambda: replace(findings, set_aside=()),
    }[what]()
    if what == "language":
        options = replace(options, language="de")
    changed = by_name(build(other, case.sources, options))
    for name, dataset in changed.items():
        assert dataset.SOPInstanceUID != results[name].SOPInstanceUID
        assert dataset.SeriesInstanceUID != results[name].SeriesInstanceUID


@pytest.mark.parametrize(
    ("keyword", "value", "is_another"),
    [
        ("PatientID", "corrected", True),
        ("IssuerOfPatientID", "HOSPITAL", True),
        ("PatientName", "Corrected^Name", True),
        ("PatientBirthDate", "19400229", True),
        ("PatientComments", "no identity", False),
    ],
)
def test_results_under_a_corrected_identity_are_other_objects(
    case: Case, results: dict[str, Dataset], keyword: str, value: str, *, is_another: bool
) -> None:
    sources = deepcopy(case.sources)
    for header in (header for headers in sources.values() for header in headers):
        setattr(header, keyword, value)
    made = {one.name: one.dataset for one in build(case.findings, sources, case.options).objects}
    uids = [(made[name].SOPInstanceUID, results[name].SOPInstanceUID) for name in made]
    assert uids
    assert all((one != other) is is_another for one, other in uids)


def test_results_belong_to_the_patient_and_study_of_their_source(
    case: Case, results: dict[str, Dataset]
) -> None:
    source = case.sources[case.findings.series[0].source.series_uid][0]
    for dataset in results.values():
        for keyword in (
            "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge",
            "PatientWeight", "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "StudyDescription",
            "AccessionNumber", "ReferringPhysicianName", "SpecificCharacterSet",
        ):  # fmt: skip
            assert dataset[keyword].value == source[keyword].value, keyword
    assert results["seg_t1"].BodyPartExamined == "LSPINE"
    assert results["seg_t1"].FrameOfReferenceUID == source.FrameOfReferenceUID


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (None, ""),
        ("", ""),
        ("2005.01.05", "2005-01-05"),
        ("00000000", ""),
        ("20261305", ""),
        ("long ago", ""),
    ],
)
def test_a_study_without_a_usable_date_gets_none_that_nobody_wrote(
    case: Case, written: str | None, told: str
) -> None:
    """Its results have the same, so that an archive files them there; reports have a day or none."""
    sources = deepcopy(case.sources)
    for header in (header for headers in sources.values() for header in headers):
        del header.StudyDate
        if written is not None:
            header.add(DataElement("StudyDate", "DA", written, validation_mode=config.IGNORE))
    made = build(case.findings, sources, case.options)
    for result in made.objects:
        assert result.dataset.StudyDate == (written or "")
        dates = [str(one.value) for one in result.dataset.iterall() if one.VR in {"DA", "DT"}]
        assert dates
        assert not [one for one in dates if one.startswith("1900")]
    assert made.report.study_date == told


def made_by(dataset: Dataset) -> tuple[str, str]:
    return dataset.Manufacturer, dataset.ManufacturerModelName


def test_results_name_this_software_as_their_maker(results: dict[str, Dataset]) -> None:
    makers = {made_by(dcmread(io.BytesIO(written(one)))) for one in results.values()}
    assert makers == {(MANUFACTURER, MODEL_NAME)}


def test_every_series_says_its_category_in_the_list_of_series(results: dict[str, Dataset]) -> None:
    for name in ("sr", "text", "summary"):
        description = results[name].SeriesDescription
        assert "risk of OP < 40%" in description
        assert "low BMD > 50%" in description
    assert all(len(one.SeriesDescription) <= 64 for one in results.values())


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("verdict", list(Verdict))
def test_series_descriptions_are_never_cut(language: str, verdict: Verdict) -> None:
    case = make_case(language=language)
    undecided = replace(
        case.findings, predictions=tuple(replace(one, verdict=verdict) for one in case.findings.predictions)
    )
    sentence = LANGUAGES[language].sentences[f"{verdict.name.lower()}_short"]
    last_of_all = sentence.format(target="", threshold="50%")
    last_words = ("(OsteoNode)", last_of_all)
    for one in build(
        undecided, case.sources, replace(case.options, kinds=frozenset({ResultKind.SR, ResultKind.SEG}))
    ).objects:
        assert len(one.dataset.SeriesDescription) <= 64
        assert one.dataset.SeriesDescription.endswith(last_words)


def test_a_simulated_model_is_named_as_such_first_of_all(results: dict[str, Dataset]) -> None:
    for name in ("sr", "text"):
        assert "SIMULATED" in texts_of(results[name])[0]
        assert "NOT FOR CLINICAL USE" in texts_of(results[name])[0]
    assert all(one.SeriesDescription.startswith("SIMULATED MODEL") for one in results.values())


def test_a_real_model_is_not_called_simulated(case: Case) -> None:
    assert case.findings.model is not None
    real = replace(case.findings, model=replace(case.findings.model, simulated=False))
    for one in build(real, case.sources, case.options).objects:
        assert "SIMULATED" not in one.dataset.SeriesDescription
        assert not any("SIMULATED" in line for line in texts_of(one.dataset))


def test_every_measurement_group_has_a_shape_on_an_image_of_the_study(
    case: Case, results: dict[str, Dataset]
) -> None:
    images = {header.SOPInstanceUID for headers in case.sources.values() for header in headers}
    found = groups(results["sr"])
    assert len(found) == 11
    for group in found:
        shapes = [item for item in group.ContentSequence if item.ValueType == "SCOORD"]
        assert len(shapes) == 1
        (selected,) = shapes[0].ContentSequence
        assert selected.RelationshipType == "SELECTED FROM"
        assert selected.ReferencedSOPSequence[0].ReferencedSOPInstanceUID in images


def test_every_container_keeps_names_beside_values(results: dict[str, Dataset]) -> None:
    for name in ("sr", "text"):
        assert results[name].ContinuityOfContent == "SEPARATE"
        containers = [one for one in items(results[name]) if one.ValueType == "CONTAINER"]
        assert containers
        assert {one.ContinuityOfContent for one in containers} == {"SEPARATE"}


def test_every_number_names_its_algorithm(results: dict[str, Dataset]) -> None:
    numbers = [
        item for group in groups(results["sr"]) for item in group.ContentSequence if item.ValueType == "NUM"
    ]
    assert numbers
    for item in numbers:
        assert ("111001", "DCM") in [concept(child) for child in item.ContentSequence]


def test_only_the_radiomics_behind_the_answer_of_a_sequence_are_listed(results: dict[str, Dataset]) -> None:
    listed = {
        group.ContentSequence[0].TextValue: [
            item.ConceptNameCodeSequence[0].CodeMeaning
            for item in group.ContentSequence
            if item.ValueType == "NUM"
        ]
        for group in groups(results["sr"])
    }
    assert "Contrast of GLCM" in listed["L3 T1"]
    assert "Contrast of GLCM" not in listed["L3 T2"]
    assert "firstorder Variance (log-2D-in-body-2-0-mm)" in listed["L3 T2"]


def test_an_abstention_gives_reasons_and_no_number(case: Case) -> None:
    silent = replace(
        case.findings.predictions[0],
        verdict=Verdict.INDETERMINATE,
        reasons=(quoted("TR lies outside the training range"),),
    )
    findings = replace(case.findings, predictions=(silent, case.findings.predictions[1]))
    objects = by_name(build(findings, case.sources, case.options))
    names = [
        item.ConceptNameCodeSequence[0].CodeMeaning
        for item in items(objects["sr"])
        if item.ValueType == "NUM"
    ]
    assert not [name for name in names if "osteoporosis" in name]
    assert "Osteoporosis: TR lies outside the training range" in texts_of(objects["sr"])
    answers = [line for line in texts_of(objects["text"]) if line.startswith("Osteoporosis: INDETERMINATE")]
    assert len(answers) == 1
    assert "INDETERMINATE" in answers[0]
    assert "TR lies outside the training range" in answers[0]
    assert "probability 12" not in answers[0]
    assert "OP undecided" in objects["sr"].SeriesDescription


def test_uncertain_levels_are_numbered_and_never_named(case: Case) -> None:
    first = case.findings.series[0]
    unsure = replace(first, segmentation=replace(first.segmentation, levels_certain=False))
    objects = by_name(build(replace(case.findings, series=(unsure,)), case.sources, case.options))
    labels = [one.SegmentLabel for one in objects["seg_t1"].SegmentSequence]
    assert labels[:2] == ["body 1 vertebral body", "body 2 vertebral body"]
    kinds = {
        one.SegmentedPropertyTypeCodeSequence[0].CodeMeaning for one in objects["seg_t1"].SegmentSequence
    }
    assert kinds == {"Vertebra", "Cerebrospinal Fluid"}
    assert not [
        one
        for one in items(objects["sr"])
        if one.get("ConceptCodeSequence")
        and one.ConceptCodeSequence[0].CodeMeaning == codes.SCT.L1Vertebra.meaning
    ]
    assert not [line for line in texts_of(objects["text"]) if line.startswith("L1 ")]


def test_a_body_that_was_not_usable_is_reported_as_not_used(case: Case) -> None:
    first = case.findings.series[0]
    regions = tuple(
        replace(one, usable=False, concerns=(quoted("metal"),)) if one.level is Level.L4 else one
        for one in first.segmentation.regions
    )
    worse = replace(first, segmentation=replace(first.segmentation, regions=regions))
    objects = by_name(build(replace(case.findings, series=(worse,)), case.sources, case.options))
    used = {
        group.ContentSequence[0].TextValue: item.ConceptCodeSequence[0].CodeMeaning
        for group in groups(objects["sr"])
        for item in group.ContentSequence
        if concept(item) == ("USED", "99OSTEONODE")
    }
    assert used["L4 T1"] == "No"
    assert used["L3 T1"] == "Yes"
    assert "L4 (T1w) was not used: metal" in texts_of(objects["text"])


def test_the_segmentation_holds_every_voxel_and_every_slice(case: Case, results: dict[str, Dataset]) -> None:
    first = case.findings.series[0]
    seg = dcmread(io.BytesIO(written(results["seg_t1"])))
    frames = seg.pixel_array.reshape(len(seg.SegmentSequence), *first.segmentation.grid.shape)
    for number, region in enumerate(first.segmentation.regions):
        assert np.array_equal(frames[number].astype(bool), first.segmentation.labels == region.level)
    assert np.array_equal(frames[-1].astype(bool), first.segmentation.csf.mask)  # type: ignore[union-attr]


def test_the_segmentation_repeats_the_geometry_of_its_source_digit_by_digit(
    case: Case, results: dict[str, Dataset]
) -> None:
    headers = {
        header.SOPInstanceUID: header for header in case.sources[case.findings.series[0].source.series_uid]
    }
    for frame in results["seg_t1"].PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        assert list(position) == list(headers[source].ImagePositionPatient)


def test_a_document_names_the_one_it_replaces(case: Case, results: dict[str, Dataset]) -> None:
    earlier = (
        Predecessor(str(ComprehensiveSRStorage), "1.2.3.1", "1.2.3.2", "1.2.3"),
        Predecessor(str(EnhancedSRStorage), "1.2.3.3", "1.2.3.4", "1.2.3"),
    )
    objects = by_name(build(case.findings, case.sources, replace(case.options, predecessors=earlier)))
    for name, uid in (("sr", "1.2.3.1"), ("text", "1.2.3.3")):
        assert objects[name].SOPInstanceUID != results[name].SOPInstanceUID
        (study,) = objects[name].PredecessorDocumentsSequence
        assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == uid


def test_every_referenced_object_is_listed_as_evidence(results: dict[str, Dataset]) -> None:
    for name in ("sr", "text"):
        listed = {
            one.ReferencedSOPInstanceUID
            for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
            for study in results[name].get(keyword, ())
            for series in study.ReferencedSeriesSequence
            for one in series.ReferencedSOPSequence
        }
        referenced = {
            one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            for one in items(results[name])
            if one.ValueType == "IMAGE"
        }
        assert referenced <= listed
        assert results["seg_t1"].SOPInstanceUID in listed


def test_the_digests_of_everything_decisive_are_cited(case: Case, results: dict[str, Dataset]) -> None:
    told = " ".join(texts_of(results["sr"]))
    assert case.findings.model is not None
    for digest in (case.findings.model.digest, case.findings.configuration_digest):
        assert digest in told
    for found in case.findings.series:
        assert f"{found.source.series_uid} {found.source.digest}" in told


def test_without_a_model_the_measurements_are_reported(case: Case) -> None:
    bare = replace(case.findings, model=None, predictions=())
    objects = by_name(build(bare, case.sources, case.options))
    assert len(groups(objects["sr"])) == 11
    for name in ("sr", "text"):
        assert "Measurements and outlines only" in texts_of(objects[name])[0]
    for name in ("sr", "text", "summary"):
        assert "measurements only" in objects[name].SeriesDescription
    for dataset in objects.values():
        told = " ".join([*texts_of(dataset), str(dataset.SeriesDescription)])
        assert not re.search(
            r"SIMULATED|likely|indeterminate|probability|this model|Risk", told, re.IGNORECASE
        )


@pytest.mark.parametrize("language", ["en", "de"])
def test_without_a_model_page_picture_and_pdf_say_so(case: Case, language: str) -> None:
    bare = replace(case.findings, model=None, predictions=())
    options = replace(case.options, language=language, kinds=frozenset(ResultKind))
    made = build(bare, case.sources, options)
    sentence = made.report.texts("no_model")
    assert sentence in report_words(made.report)
    assert made.report.sections[0].lines[0] == sentence
    assert made.report.title == made.report.texts("title_measurements")
    assert made.report.texts("title") not in report_words(made.report)
    for one in made.objects:
        told = str(one.dataset.SeriesDescription)
        outlines = one.kind in {ResultKind.SEG, ResultKind.GSPS}
        assert (made.report.texts("measurements_only_short") in told) is not outlines
        assert made.report.texts("simulated_tag") not in told


def test_one_series_alone_is_enough(case: Case) -> None:
    second = case.findings.of(Contrast.T2)
    assert second is not None
    objects = by_name(build(replace(case.findings, series=(second,)), case.sources, case.options))
    assert list(objects) == ["sr", "seg_t2", "text", "summary"]


def test_a_refusal_is_explained_in_a_report(case: Case) -> None:
    refusal = Refusal(
        (Reason("no_series"),),
        (SeriesRefusal("1.2", quoted("axial T2, 30 slices"), (quoted("not sagittal"),)),),
    )
    source = next(iter(case.sources.values()))[0]
    (report,) = build_refusal(refusal, source, case.options, software="OsteoNode 0.1.0").objects
    assert report.kind is ResultKind.TEXT
    told = texts_of(report.dataset)
    assert told[0] == "No bone density result for this study"
    assert refusal.reasons[0] in told
    assert any("axial T2, 30 slices" in line and "not sagittal" in line for line in told)
    assert "no result" in report.dataset.SeriesDescription
    assert report.dataset.PatientID == source.PatientID
    assert made_by(report.dataset) == (MANUFACTURER, MODEL_NAME)


def test_a_slice_without_its_image_is_a_fault_of_the_caller(case: Case) -> None:
    uid = case.findings.series[0].source.series_uid
    with pytest.raises(ValueError, match="no source image"):
        build(case.findings, case.sources | {uid: case.sources[uid][:-1]}, case.options)


def test_frames_of_an_enhanced_object_are_referenced_by_number(case: Case) -> None:
    first = case.findings.series[0]
    uid = first.source.series_uid
    enhanced = enhanced_header(case.sources[uid])
    objects = by_name(build(replace(case.findings, series=(first,)), {uid: [enhanced]}, case.options))
    references = [
        frame.DerivationImageSequence[0].SourceImageSequence[0]
        for frame in objects["seg_t1"].PerFrameFunctionalGroupsSequence
    ]
    assert {one.ReferencedSOPInstanceUID for one in references} == {enhanced.SOPInstanceUID}
    assert {one.ReferencedFrameNumber for one in references} == set(range(1, 8))
    shapes = [one for one in items(objects["sr"]) if one.RelationshipType == "SELECTED FROM"]
    assert {one.ReferencedSOPSequence[0].ReferencedFrameNumber for one in shapes} == {first.mid_slice + 1}
    (listed,) = (
        objects["sr"]
        .CurrentRequestedProcedureEvidenceSequence[0]
        .ReferencedSeriesSequence[0]
        .ReferencedSOPSequence[:1]
    )
    assert listed.ReferencedSOPClassUID == EnhancedMRImageStorage


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (["", "ISO 2022 IR 87"], b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"),
        ("ISO_IR 144", b"\xbb\xee\xda^\xd2\xd0\xdd"),
        ("GB18030", "Wang^XiaoDong=王^小东".encode("gb18030")),
        ("ISO_IR 192", "Müller^Jörg".encode()),
        ("", b"M\xfcller^J\xf6rg"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*decode.*:UserWarning")
def test_names_keep_their_bytes_and_our_words_adapt(charset: str | list[str], name: bytes) -> None:
    case = make_case(language="de")
    headers = {uid: [_reread(one, charset, name) for one in series] for uid, series in case.sources.items()}
    for one in build(case.findings, headers, case.options).objects:
        told = dcmread(io.BytesIO(written(one.dataset)))
        assert bytes(told.get_item("PatientName").value).rstrip(b" ") == name
        if one.name == "text":
            kept = charset in ("ISO_IR 192", "GB18030")
            sentence = "Ein höherer VBQ" if kept else "Ein hoeherer VBQ"
            assert any(line.startswith(sentence) for line in texts_of(told))


def _reread(header: Dataset, charset: str | list[str], name: bytes) -> Dataset:
    """Return a header as read from a file that has the name in these bytes."""
    plain = Dataset()
    plain.update({element.tag: element for element in header})
    plain.file_meta = FileMetaDataset()
    plain.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    plain.SpecificCharacterSet = charset
    plain.PatientName = "@" * (len(name) + len(name) % 2)
    plain.ReferringPhysicianName = ""
    stream = DicomBytesIO()
    plain.save_as(stream, enforce_file_format=True)
    padded = name + b" " * (len(name) % 2)
    return dcmread(io.BytesIO(stream.getvalue().replace(b"@" * len(padded), padded)))


def test_what_a_report_cites_can_be_read_back(case: Case, results: dict[str, Dataset]) -> None:
    citation = read_citation(dcmread(io.BytesIO(written(results["sr"]))))
    assert case.findings.model is not None
    assert citation.model == case.findings.model.digest
    assert citation.configuration == case.findings.configuration_digest
    assert citation.inputs == {found.source.series_uid: found.source.digest for found in case.findings.series}
    with pytest.raises(ValueError, match="no measurement report"):
        read_citation(results["text"])


def test_a_scanner_that_has_left_is_cited_and_makes_another_result() -> None:
    case = make_case(slices=4, size=32)
    left = with_departure(case)
    before = by_name(build(case.findings, case.sources, case.options))["sr"]
    after = by_name(build(left.findings, left.sources, left.options))["sr"]
    read = [read_citation(dcmread(io.BytesIO(written(one)))) for one in (before, after)]
    assert [one.departures for one in read] == [(), left.findings.departures]
    assert before.SOPInstanceUID != after.SOPInstanceUID
    again = replace(case.findings, distances=(TrainingDistance("T1", 1.0, 5.0, 4.0, in_protocol=True),))
    assert written(by_name(build(again, case.sources, case.options))["sr"]) == written(before)


def test_headers_in_implicit_syntax_give_the_same_patient() -> None:
    case = make_case()
    expected = by_name(build(case.findings, case.sources, case.options))
    implicit: dict[str, list[Dataset]] = {}
    for uid, headers in case.sources.items():
        implicit[uid] = []
        for header in headers:
            plain = Dataset()
            plain.update({element.tag: element for element in header})
            plain.file_meta = FileMetaDataset()
            plain.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            stream = io.BytesIO()
            plain.save_as(stream, enforce_file_format=True)
            implicit[uid].append(dcmread(io.BytesIO(stream.getvalue())))
    for one in build(case.findings, implicit, case.options).objects:
        assert written(one.dataset) == written(expected[one.name])


@pytest.mark.parametrize("registered", [False, True])
def test_the_report_tells_that_t1_and_t2_were_compared_and_programs_how_well_they_fit(
    *, registered: bool
) -> None:
    case = make_case()
    agreement = Agreement(3, registered, residual_mm=1.25, overlap=0.914, same_names=True)
    made = build(replace(case.findings, agreement=agreement), case.sources, case.options)
    told = " ".join(line for section in made.report.sections for line in section.lines)
    assert "3 bodies in common" in told
    assert ("were registered rigidly first" in told) is registered
    assert "91 %" not in told
    (line,) = (line for line in texts_of(by_name(made)["sr"]) if "their outlines overlap" in line)
    assert "91 %" in line
    assert "1.2 mm" in line
    without = build(case.findings, case.sources, case.options).report
    assert all("in common" not in line for section in without.sections for line in section.lines)
