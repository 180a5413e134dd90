"""The machine-readable result: a measurement report by TID 1500.

References
----------
DICOM PS3.16 TID 1500 Measurement Report, TID 1600 Image Library.
"""

from collections.abc import Mapping

from highdicom.sr import ContainerContentItem, ContentItem, ContentSequence
from pydicom import Dataset
from pydicom.sr.codedict import codes

from analysis.domain.findings import AnswerFigures, Findings, SeriesFindings, Target
from dicom_templates.codes import concepts
from dicom_templates.objects.content_items import (
    CONTEXT,
    MODIFIER,
    code,
    container,
    device_observer,
    image,
    language_item,
    number,
    text,
    uid_reference,
)
from dicom_templates.objects.measurement_groups import level_groups, study_group
from dicom_templates.objects.prior_comparison import prior_comparison
from dicom_templates.objects.segmentation import SegmentNumbers
from dicom_templates.origin.provenance import Provenance
from dicom_templates.origin.source_series import SourceSeries
from dicom_templates.quantities import Quantity, answer_quantities, check_quantities, limit_of
from dicom_templates.words.languages import LANGUAGES
from dicom_templates.words.sections import figure_lines, quality_lines
from dicom_templates.words.study_report import StudyReport
from dicom_templates.words.texts import Texts

__all__ = ["measurement_content"]


def measurement_content(
    findings: Findings,
    report: StudyReport,
    provenance: Provenance,
    sources: Mapping[str, SourceSeries],
    segmentations: Mapping[str, tuple[Dataset, SegmentNumbers]],
) -> ContentItem:
    """Write the content tree of the measurement report.

    Parameters
    ----------
    findings : Findings
        What is reported.
    report : StudyReport
        The same findings in words.
    provenance : Provenance
        The maker.
    sources : mapping of str to SourceSeries
        By Series Instance UID.
    segmentations : mapping of str to (Dataset, SegmentNumbers)
        The SEG of each series and which segment is which level, by the source's Series Instance UID.

    Returns
    -------
    ContentItem
        The root container.
    """
    language = LANGUAGES[report.texts.language]
    root = ContainerContentItem(name=codes.DCM.ImagingMeasurementReport, template_id="1500")
    groups: list[ContentItem] = list(study_group(findings, provenance, sources, report.texts))
    for found in findings.series:
        if found.source.series_uid in segmentations:
            seg, segments = segmentations[found.source.series_uid]
            source = sources[found.source.series_uid]
            groups += level_groups(found, findings, provenance, source, segmentation=seg, segments=segments)
    root.ContentSequence = ContentSequence(
        [
            *([text(codes.DCM.Comment, report.notice)] if report.notice else []),
            language_item(language.tag, language.name),
            *device_observer(provenance),
            code(codes.DCM.ProcedureReported, codes.LN.MRIUnspecifiedBodyRegion, MODIFIER),
            _image_library(findings, sources, report.texts),
            container(codes.DCM.ImagingMeasurements, groups),
            _evaluations(findings, report),
        ],
        is_root=False,
    )
    return root


# --- Image library (TID 1600) ---------------------------------------------------------------------


def _image_library(findings: Findings, sources: Mapping[str, SourceSeries], texts: Texts) -> ContentItem:
    groups = [_library_group(found, sources[found.source.series_uid], texts) for found in findings.series]
    return container(codes.DCM.ImageLibrary, groups, template="1600")


def _library_group(found: SeriesFindings, source: SourceSeries, texts: Texts) -> ContentItem:
    """List the images of a series, after the header values that decided its weighting."""
    facts = found.source.facts
    items = [
        code(codes.DCM.Modality, codes.DCM.MagneticResonance, CONTEXT),
        uid_reference(codes.DCM.FrameOfReferenceUID, source.frame_of_reference_uid, CONTEXT),
        code(concepts.WEIGHTING, concepts.SIGNAL_OF[found.identification.contrast], CONTEXT),
    ]
    if found.identification.lumbar:
        items.append(code(codes.DCM.TargetRegion, codes.SCT.LumbarSpine, CONTEXT))
    plane = concepts.PLANE_OF.get(found.identification.plane)
    if plane is not None:
        items.append(code(codes.DCM.ImageView, plane, CONTEXT))
    for name, value in (
        (concepts.REPETITION_TIME, facts.repetition_time_ms),
        (concepts.ECHO_TIME, facts.echo_time_ms),
        (concepts.INVERSION_TIME, facts.inversion_time_ms),
    ):
        if value is not None:
            items.append(number(name, value, codes.UCUM.Millisecond, CONTEXT))
    why = texts.in_full.reasons(found.identification.reasons)
    items += [text(concepts.WEIGHTING_REASON, one, CONTEXT) for one in why]
    items += [image(codes.DCM.SourceImage, one) for one in source.images]
    return container(codes.DCM.ImageLibraryGroup, items)


# --- Model, digests and caveats -------------------------------------------------------------------


def _evaluations(findings: Findings, report: StudyReport) -> ContentItem:
    """Write model, intended use and the digests that `osteonode verify` recomputes."""
    model = findings.model
    items = [text(codes.DCM.Comment, report.notice)] if report.notice else []
    items.append(text(codes.DCM.Comment, report.texts("not_for")))
    if model is not None:
        items += [
            text(codes.DCM.Comment, report.model),
            text(concepts.MODEL_COHORT, model.cohort),
            text(concepts.INTENDED_USE, model.intended_use),
            text(concepts.MODEL_DIGEST, model.digest),
        ]
    items.append(text(concepts.CONFIGURATION_DIGEST, findings.configuration_digest))
    for found in findings.series:
        value = f"{found.source.series_uid} {found.source.digest}"
        items.append(text(concepts.INPUT_DIGEST, value))
    # Nothing in the images tells what the node knew of their scanner.
    items += [text(concepts.SCANNER_LEFT, str(one)) for one in findings.departures]
    items += [
        text(codes.DCM.Comment, line)
        for line in (
            *report.foremost,
            *report.caveats,
            *quality_lines(findings, report.texts.in_full),
            *figure_lines(report.answers, report.texts),
        )
    ]
    if report.next_step:
        items.append(text(codes.DCM.Recommendation, report.next_step))
    items += [_outline_checks(found) for found in findings.series]
    if findings.prior is not None:
        items.append(prior_comparison(findings.prior, report.texts))
    if model is not None:
        items += [_definition(target, limit) for target, limit in model.thresholds_mg_cm3.items()]
    items += [
        _answer_figures(one.target, one.answers) for one in findings.predictions if one.answers is not None
    ]
    return container(concepts.QUALITATIVE_EVALUATIONS, items)


def _outline_checks(found: SeriesFindings) -> ContentItem:
    """Write how good the outlines of one series are, its level names, and its sample of CSF."""
    return container(
        concepts.OUTLINES,
        [
            code(concepts.WEIGHTING, concepts.SIGNAL_OF[found.identification.contrast], MODIFIER),
            code(concepts.GRADE, concepts.GRADE_OF[found.judgement.grade]),
            *map(_number, check_quantities(found)),
        ],
    )


def _definition(target: Target, limit_mg_cm3: float) -> ContentItem:
    """Write what one target means.

    It is not among the measurements, where viewers would show the limit as the density of this patient.
    """
    return container(
        concepts.TARGET_DEFINITION,
        [
            code(codes.DCM.Finding, concepts.TARGET_OF[target], MODIFIER),
            _number(limit_of(limit_mg_cm3)),
        ],
    )


def _answer_figures(target: Target, figures: AnswerFigures) -> ContentItem:
    """Write how right the answers about one target were, also where this answer stays indeterminate."""
    return container(
        concepts.ANSWERS,
        [
            code(codes.DCM.Finding, concepts.TARGET_OF[target], MODIFIER),
            *map(_number, answer_quantities(figures)),
        ],
    )


def _number(quantity: Quantity) -> ContentItem:
    return number(quantity.concept, quantity.value, quantity.unit)
