"""The measurement groups of the measurement report: one of the study, and one of each vertebral body.

References
----------
DICOM PS3.16 TID 1501 Measurement and Qualitative Evaluation Group, TID 1411 Volumetric ROI Measurements.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from highdicom.sr import (
    AlgorithmIdentification,
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
from dicom_templates.objects.content_items import (
    MODIFIER,
    code,
    shape,
    text,
)
from dicom_templates.objects.segmentation import SegmentNumbers
from dicom_templates.origin.provenance import Provenance
from dicom_templates.origin.source_series import SourceSeries
from dicom_templates.quantities import Quantity, level_quantities, probability_quantities, vbq_of
from dicom_templates.words.levels import level_names
from dicom_templates.words.study_report import target_key
from dicom_templates.words.texts import Texts

__all__ = ["level_groups", "study_group"]

_ENGLISH = Texts("en")
"""Tracking identifiers are the same in reports of every language."""

# --- Study level (TID 1501) -----------------------------------------------------------------------


def study_group(
    findings: Findings, provenance: Provenance, sources: Mapping[str, SourceSeries], texts: Texts
) -> Sequence[ContentItem]:
    """Write the group of the whole study: scores, probabilities, verdicts and why there are none.

    Parameters
    ----------
    findings : Findings
        What is reported.
    provenance : Provenance
        The maker.
    sources : mapping of str to SourceSeries
        By Series Instance UID.
    texts : Texts
        The sentences in the language of the report.

    Returns
    -------
    sequence of ContentItem
        The one group.
    """
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
    remarks = [
        (
            concepts.ABSTENTION if one.verdict is Verdict.INDETERMINATE else codes.DCM.Comment,
            f"{texts(target_key(one.target))}: {texts.in_full.listed(one.reasons)}",
        )
        for one in findings.predictions
        if one.reasons
    ]
    group[0].ContentSequence.extend(text(name, words) for name, words in remarks)
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
    """Write the numbers of one prediction, with what they are of, for readers that know no private codes."""
    algorithm = _algorithm(model.name, model.version) if model is not None else None
    target = code(codes.DCM.Finding, concepts.TARGET_OF[prediction.target], MODIFIER)
    measurements = []
    for quantity in probability_quantities(prediction):
        measurement = _measurement(quantity, algorithm)
        (item,) = measurement
        public = (
            [code(codes.DCM.EquivalentMeaningOfConceptName, quantity.public, MODIFIER)]
            if quantity.public is not None
            else []
        )
        item.ContentSequence = ContentSequence([*public, target, *item.get("ContentSequence", ())])
        measurements.append(measurement)
    return measurements


def _measurement(quantity: Quantity, algorithm: AlgorithmIdentification | None) -> Measurement:
    return Measurement(
        name=quantity.concept,
        value=quantity.value,
        unit=quantity.unit,
        derivation=quantity.derivation,
        algorithm_id=algorithm,
    )


def _vbq(found: SeriesFindings, findings: Findings) -> list[Measurement]:
    score = vbq_of(found)
    return [] if score is None else [_measurement(score, _software(findings))]


def _centre_of_spine(found: SeriesFindings) -> npt.NDArray[np.float64]:
    """Return a point in the middle of the measured bodies, or of the image."""
    points = [one.outline.points for one in found.measurements if one.outline is not None]
    if points:
        return np.asarray(np.concatenate(points).mean(axis=0, keepdims=True))
    _, rows, columns = found.source.volume.grid.shape
    return np.array([[columns / 2, rows / 2]])


# --- One group per vertebral body (TID 1411) ------------------------------------------------------


def level_groups(
    found: SeriesFindings,
    findings: Findings,
    provenance: Provenance,
    source: SourceSeries,
    *,
    segmentation: Dataset,
    segments: SegmentNumbers,
) -> list[ContentItem]:
    """Write a group for each vertebral body that has a segment.

    Parameters
    ----------
    found : SeriesFindings
        The series of the bodies.
    findings : Findings
        What is reported.
    provenance : Provenance
        The maker.
    source : SourceSeries
        The images of the series.
    segmentation : Dataset
        The SEG of the series.
    segments : SegmentNumbers
        Segment number of each level in it.

    Returns
    -------
    list of ContentItem
        From cranial to caudal.
    """
    names = level_names(found, _ENGLISH)
    software = _software(findings)
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
            measurements=[_measurement(one, software) for one in level_quantities(measured, found, findings)],
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


def _software(findings: Findings) -> AlgorithmIdentification:
    name, _, version = findings.software.rpartition(" ")
    return _algorithm(name or "OsteoNode", version)


def _algorithm(name: str, version: str) -> AlgorithmIdentification:
    return AlgorithmIdentification(name=name, version=version)
