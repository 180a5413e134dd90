"""The machine-readable result: a measurement report by TID 1500.

References
----------
DICOM PS3.16 TID 1500 Measurement Report, 1501 Measurement and Qualitative Evaluation Group, 1411 Volumetric
ROI Measurements, 1600 Image Library.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from highdicom.sr import (
    AlgorithmIdentification,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    FindingSite,
    GraphicTypeValues,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegment,
    SourceSeriesForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes

from analysis.domain.findings import (
    Findings,
    LevelMeasurements,
    ModelIdentity,
    Prediction,
    SeriesFindings,
    Verdict,
)
from analysis.domain.segmentation import Level
from dicom_templates.codes import concepts
from dicom_templates.codes.radiomics import radiomic_code
from dicom_templates.objects.content_items import (
    CONTEXT,
    MODIFIER,
    code,
    container,
    device_observer,
    image,
    language_item,
    number,
    shape,
    text,
    uid_reference,
)
from dicom_templates.objects.segmentation import SegmentNumbers
from dicom_templates.origin.provenance import Provenance
from dicom_templates.origin.source_series import SourceSeries
from dicom_templates.words.levels import level_names
from dicom_templates.words.study_report import StudyReport
from dicom_templates.words.texts import LANGUAGES, Texts

__all__ = ["measurement_content"]

_PERCENT = 100.0
_ENGLISH = Texts("en")
"""Tracking identifiers are the same in reports of every language."""


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
    tag, meaning = LANGUAGES[report.texts.language]
    root = ContainerContentItem(name=codes.DCM.ImagingMeasurementReport, template_id="1500")
    groups: list[ContentItem] = list(_study_group(findings, provenance, sources, report.texts))
    for found in findings.series:
        if found.source.series_uid in segmentations:
            seg, segments = segmentations[found.source.series_uid]
            source = sources[found.source.series_uid]
            groups += _level_groups(found, findings, provenance, source, segmentation=seg, segments=segments)
    root.ContentSequence = ContentSequence(
        [
            *([text(codes.DCM.Comment, report.warning)] if report.warning else []),
            language_item(tag, meaning),
            *device_observer(provenance),
            code(codes.DCM.ProcedureReported, codes.LN.MRIUnspecifiedBodyRegion, MODIFIER),
            _image_library(findings, sources, report.texts),
            container(codes.DCM.ImagingMeasurements, groups),
            _evaluations(findings, report),
        ],
        is_root=False,
    )
    return root


# --- Study level (TID 1501) -----------------------------------------------------------------------


def _study_group(
    findings: Findings, provenance: Provenance, sources: Mapping[str, SourceSeries], texts: Texts
) -> Sequence[ContentItem]:
    first = findings.series[0]
    measurements = [one for found in findings.series for one in _vbq(found, findings)]
    for prediction in findings.predictions:
        measurements += _probability(prediction, findings.model)
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            identifier="Lumbar spine", uid=provenance.tracking_uid(provenance.study_uid, "lumbar spine")
        ),
        finding_sites=[FindingSite(anatomic_location=codes.SCT.LumbarSpine)],
        measurements=measurements,
        qualitative_evaluations=[
            QualitativeEvaluation(name=concepts.TARGET_OF[one.target], value=concepts.VERDICT_OF[one.verdict])
            for one in findings.predictions
        ],
    )
    reasons = [reason for one in findings.predictions for reason in texts.reasons(one.reasons)]
    group[0].ContentSequence.extend(text(concepts.ABSTENTION, reason) for reason in dict.fromkeys(reasons))
    # Without a shape in every group OHIF 3.11 to 3.14 shows nothing at all (its issue 3390).
    group[0].ContentSequence.append(
        shape(
            codes.DCM.ImageRegion,
            GraphicTypeValues.POINT,
            _centre_of_spine(first),
            sources[first.source.series_uid].images[first.mid_slice],
        )
    )
    items: Sequence[ContentItem] = group
    return items


def _probability(prediction: Prediction, model: ModelIdentity | None) -> list[Measurement]:
    """Write the numbers of one prediction; none when it abstains, because they would only be a guess."""
    if prediction.verdict is Verdict.INDETERMINATE or prediction.probability is None:
        return []
    algorithm = _algorithm(model.name, model.version) if model is not None else None
    target = prediction.target
    values = [(concepts.PROBABILITY_OF[target], prediction.probability)]
    if prediction.interval is not None:
        values += [
            (concepts.PROBABILITY_LOWER_OF[target], prediction.interval[0]),
            (concepts.PROBABILITY_UPPER_OF[target], prediction.interval[1]),
        ]
    return [
        Measurement(name=name, value=_PERCENT * value, unit=codes.UCUM.Percent, algorithm_id=algorithm)
        for name, value in values
    ]


def _vbq(found: SeriesFindings, findings: Findings) -> list[Measurement]:
    if found.bone_quality.score is None:
        return []
    return [
        Measurement(
            name=concepts.VBQ_OF[found.identification.contrast],
            value=found.bone_quality.score,
            unit=concepts.RATIO,
            algorithm_id=_software(findings),
        )
    ]


def _centre_of_spine(found: SeriesFindings) -> npt.NDArray[np.float64]:
    """Return a point in the middle of the measured bodies, or of the image."""
    points = [one.outline.points for one in found.measurements if one.outline is not None]
    if points:
        return np.asarray(np.concatenate(points).mean(axis=0, keepdims=True))
    _, rows, columns = found.source.volume.grid.shape
    return np.array([[columns / 2, rows / 2]])


# --- One group per vertebral body (TID 1411) ------------------------------------------------------


def _level_groups(
    found: SeriesFindings,
    findings: Findings,
    provenance: Provenance,
    source: SourceSeries,
    *,
    segmentation: Dataset,
    segments: SegmentNumbers,
) -> list[ContentItem]:
    names = level_names(found, _ENGLISH)
    groups: list[ContentItem] = []
    for measured in found.measurements:
        if measured.level not in segments:
            continue
        name = f"{names[measured.level]} {found.identification.contrast.value}"
        group = VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(
                identifier=name, uid=provenance.tracking_uid(source.series_uid, measured.level.name)
            ),
            referenced_segment=ReferencedSegment(
                sop_class_uid=segmentation.SOPClassUID,
                sop_instance_uid=segmentation.SOPInstanceUID,
                segment_number=segments[measured.level],
                source_series=SourceSeriesForSegmentation(source.series_uid),
            ),
            finding_sites=[
                FindingSite(
                    concepts.structure_of(measured.level, certain=found.segmentation.levels_certain),
                )
            ],
            measurements=_level_values(measured, found, findings),
            qualitative_evaluations=[_used(found, measured.level)],
        )
        _spell_as_standard(group[0])
        # highdicom accepts either a segment or a shape, but TID 1411 allows both.
        group[0].ContentSequence.append(_outline(measured, found, source))
        groups += group
    return groups


def _spell_as_standard(group: Dataset) -> None:
    """Write the meaning of 121232 as in PS3.16; validators report the capital letters of highdicom."""
    standard = codes.DCM.SourceSeriesForSegmentation
    for item in group.ContentSequence:
        concept = item.ConceptNameCodeSequence[0]
        if concept.CodeValue == standard.value:
            concept.CodeMeaning = standard.meaning


def _level_values(
    measured: LevelMeasurements, found: SeriesFindings, findings: Findings
) -> list[Measurement]:
    algorithm = _software(findings)
    contrast = found.identification.contrast
    values = [
        Measurement(codes.SCT.Volume, measured.volume_ml, codes.UCUM.CubicCentimeter, algorithm_id=algorithm)
    ]
    values += [
        Measurement(
            concepts.SIGNAL_OF[contrast],
            value,
            codes.UCUM.ArbitraryUnit,
            derivation=derivation,
            algorithm_id=algorithm,
        )
        for value, derivation in (
            (measured.mean_signal, codes.SCT.Mean),
            (measured.median_signal, codes.SCT.Median),
            (measured.sd_signal, codes.SCT.StandardDeviation),
        )
    ]
    if measured.vbq is not None:
        values.append(
            Measurement(concepts.VBQ_OF[contrast], measured.vbq, concepts.RATIO, algorithm_id=algorithm)
        )
    values += [
        Measurement(radiomic_code(name), measured.features[name], codes.UCUM.NoUnits, algorithm_id=algorithm)
        for name in _radiomics_used(findings, found)
        if name in measured.features
    ]
    return values


def _radiomics_used(findings: Findings, found: SeriesFindings) -> tuple[str, ...]:
    """Name the radiomic features of which the mean or SD over the bodies entered an answer."""
    contrast = found.identification.contrast.value
    return tuple(
        dict.fromkeys(
            name.removesuffix("_mean").removesuffix("_sd")
            for prediction in findings.predictions
            if contrast in prediction.sequence.split("+")
            for name in prediction.features
        )
    )


def _used(found: SeriesFindings, level: Level) -> QualitativeEvaluation:
    region = found.segmentation.region(level)
    used = region is not None and region.usable
    return QualitativeEvaluation(name=concepts.USED_FOR_RESULT, value=codes.SCT.Yes if used else codes.SCT.No)


def _outline(measured: LevelMeasurements, found: SeriesFindings, source: SourceSeries) -> ContentItem:
    if measured.outline is None:
        centre = _centre_of_spine(found)
        return shape(codes.DCM.ImageRegion, GraphicTypeValues.POINT, centre, source.images[found.mid_slice])
    return shape(
        codes.DCM.Outline,
        GraphicTypeValues.POLYLINE,
        measured.outline.points,
        source.images[measured.outline.slice_index],
    )


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
    why = texts.reasons(found.identification.reasons)
    items += [text(concepts.WEIGHTING_REASON, one, CONTEXT) for one in why]
    items += [image(codes.DCM.SourceImage, one) for one in source.images]
    return container(codes.DCM.ImageLibraryGroup, items)


# --- Model, digests and caveats -------------------------------------------------------------------


def _evaluations(findings: Findings, report: StudyReport) -> ContentItem:
    """Write model, intended use and the digests that `osteonode verify` recomputes."""
    model = findings.model
    items = [text(codes.DCM.Comment, report.warning)] if report.warning else []
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
    items += [text(codes.DCM.Comment, line) for line in report.caveats]
    return container(concepts.QUALITATIVE_EVALUATIONS, items)


def _software(findings: Findings) -> AlgorithmIdentification:
    name, _, version = findings.software.rpartition(" ")
    return _algorithm(name or "OsteoNode", version)


def _algorithm(name: str, version: str) -> AlgorithmIdentification:
    return AlgorithmIdentification(name=name, version=version)
