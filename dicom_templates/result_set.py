"""The result set of one study: measurement report, segmentations, text report, summary image, PDF, GSPS."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

from highdicom.sr import ContentItem
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, EnhancedSRStorage

from analysis.domain.findings import Findings, Refusal, SeriesFindings
from dicom_templates.codes.concepts import procedure_of
from dicom_templates.objects.common_modules import ObjectIdentity, finish
from dicom_templates.objects.encapsulated_pdf import pdf_object
from dicom_templates.objects.measurement_report import measurement_content
from dicom_templates.objects.presentation_state import presentation_state
from dicom_templates.objects.segmentation import SegmentNumbers, segmentation_object
from dicom_templates.objects.sr_document import evidence, sr_document
from dicom_templates.objects.summary_image import summary_object
from dicom_templates.objects.text_report import text_content
from dicom_templates.options import ReportOptions
from dicom_templates.origin.patient_study import age_in_years, date_of, patient_digest
from dicom_templates.origin.provenance import Provenance, provenance_of, refusal_provenance
from dicom_templates.origin.source_series import ImageReference, SourceSeries, source_series
from dicom_templates.pictures.mid_sagittal import SagittalPicture, sagittal_pictures
from dicom_templates.pictures.pdf_report import draw_pdf
from dicom_templates.pictures.summary_picture import draw_summary
from dicom_templates.result_kinds import ResultKind, SrClass
from dicom_templates.words.compose import compose, compose_refusal
from dicom_templates.words.series_description import series_description
from dicom_templates.words.study_report import StudyReport
from dicom_templates.words.texts import Texts
from dicom_templates.words.whom import Whom

__all__ = ["ResultObject", "ResultSet", "build", "build_refusal"]

_SR_NAME = {SrClass.COMPREHENSIVE: "sr", SrClass.COMPREHENSIVE_3D: "sr_3d"}
_SERIES_NUMBER = {
    "sr": 9101, "text": 9102, "summary": 9103, "seg_t1": 9104, "seg_t2": 9105, "pdf": 9106, "sr_3d": 9107,
    "gsps_t1": 9108, "gsps_t2": 9109,
}  # fmt: skip
"""High enough that viewers list results after the series of the scanner."""


@dataclass(frozen=True, slots=True, eq=False)
class ResultObject:
    """One DICOM object to be sent.

    Attributes
    ----------
    kind : ResultKind
        Its kind.
    name : str
        Unique within the result set: "sr", "sr_3d", "seg_t1", "seg_t2", "text", "summary", "pdf", "gsps_t1",
        "gsps_t2".
    dataset : Dataset
        Complete, with file meta information, ready for `dcmwrite(..., enforce_file_format=True)`.
    """

    kind: ResultKind
    name: str
    dataset: Dataset


@dataclass(frozen=True, slots=True, eq=False)
class ResultSet:
    """All results of one study.

    Attributes
    ----------
    objects : tuple of ResultObject
        To be sent: SR, a SEG for each series, text, summary, PDF, a GSPS for each series, as far as
        `ReportOptions.kinds` has them.
    report : StudyReport
        The words that all objects share; for a page or a terminal.
    pictures : tuple of SagittalPicture
        One per analysed series; none for a refusal.
    """

    objects: tuple[ResultObject, ...]
    report: StudyReport
    pictures: tuple[SagittalPicture, ...]


def build(findings: Findings, sources: Mapping[str, Sequence[Dataset]], options: ReportOptions) -> ResultSet:
    """Write the result set of one study.

    Parameters
    ----------
    findings : Findings
        What the analysis found; at least one series.
    sources : mapping of str to sequence of Dataset
        The headers of the analysed series, without pixel data, by Series Instance UID.
    options : ReportOptions
        How to write it.

    Returns
    -------
    ResultSet
        The same for the same arguments, down to the byte.

    Raises
    ------
    ValueError
        If a slice of an analysed volume has no source header.
    """
    matched = {
        found.source.series_uid: source_series(found, sources[found.source.series_uid])
        for found in findings.series
    }
    header = matched[findings.series[0].source.series_uid].header
    provenance = provenance_of(
        findings, str(header.StudyInstanceUID), options, patient=patient_digest(header)
    )
    report = compose(
        findings,
        language=options.language,
        study_date=date_of(header, "StudyDate"),
        made=options.made,
        whom=_whom(header, options.language),
        age_years=age_in_years(header),
        next_step=options.next_step,
    )
    pictures = sagittal_pictures(findings, report)
    annotated = any(
        str(image.get("BurnedInAnnotation") or "").strip() == "YES"
        for found in findings.series
        for image in sources[found.source.series_uid]
    )
    writer = _Writer(header, provenance, options, report, annotated, procedure_of(findings))
    # Always made, because the measurement report refers to their segments.
    segs = {
        found.source.series_uid: writer.segmentation(found, matched[found.source.series_uid])
        for found in findings.series
        if found.segmentation.regions
    }
    listed = evidence(matched.values(), (seg.dataset for seg, _ in segs.values()))
    segmented = {uid: (seg.dataset, numbers) for uid, (seg, numbers) in segs.items()}
    wanted: list[ResultObject] = []
    for sr_class in options.sr_classes if ResultKind.SR in options.kinds else ():
        # Each document needs a tree of its own, because highdicom takes apart the one that it is given.
        content = measurement_content(findings, report, provenance, matched, segmented)
        wanted.append(writer.measurement_report(sr_class, content, listed))
    if ResultKind.SEG in options.kinds:
        wanted += [seg for seg, _ in segs.values()]
    if ResultKind.TEXT in options.kinds:
        wanted.append(writer.text_report(listed))
    if ResultKind.SUMMARY in options.kinds:
        wanted.append(writer.summary(pictures))
    if ResultKind.PDF in options.kinds:
        wanted.append(writer.pdf(pictures, [one for source in matched.values() for one in source.images]))
    if ResultKind.GSPS in options.kinds:
        wanted += [
            writer.presentation_state(found, matched[found.source.series_uid])
            for found in findings.series
            if found.segmentation.regions
        ]
    return ResultSet(tuple(wanted), report, pictures)


def build_refusal(refusal: Refusal, source: Dataset, options: ReportOptions, *, software: str) -> ResultSet:
    """Write the text report that tells the archive why a study has no result.

    Parameters
    ----------
    refusal : Refusal
        Why nothing is reported.
    source : Dataset
        Header of any image of the study.
    options : ReportOptions
        How to write it.
    software : str
        Name and version of this program.

    Returns
    -------
    ResultSet
        The text report alone.
    """
    provenance = refusal_provenance(
        refusal, software, str(source.StudyInstanceUID), options, patient=patient_digest(source)
    )
    report = compose_refusal(
        refusal,
        software,
        language=options.language,
        study_date=date_of(source, "StudyDate"),
        made=options.made,
        whom=_whom(source, options.language),
    )
    writer = _Writer(source, provenance, options, report)
    return ResultSet((writer.text_report(evidence((), [source])),), report, ())


@dataclass(frozen=True, slots=True, eq=False)
class _Writer:
    """Writes the objects of one result set, which share patient, maker and words."""

    header: Dataset
    provenance: Provenance
    options: ReportOptions
    report: StudyReport
    annotated: bool = False
    """Whether the source images may have the patient's name in their pixels, so pictures have it, too."""
    procedure: Code = codes.LN.MRIUnspecifiedBodyRegion

    def measurement_report(
        self, sr_class: SrClass, content: ContentItem, listed: Sequence[Dataset]
    ) -> ResultObject:
        return self._document(ResultKind.SR, _SR_NAME[sr_class], sr_class.storage, content, listed)

    def text_report(self, listed: Sequence[Dataset]) -> ResultObject:
        content = text_content(self.report, self.provenance)
        return self._document(ResultKind.TEXT, "text", EnhancedSRStorage, content, listed)

    def segmentation(
        self, found: SeriesFindings, source: SourceSeries
    ) -> tuple[ResultObject, SegmentNumbers]:
        name, identity = self._of_series(ResultKind.SEG, found)
        dataset, numbers = segmentation_object(found, source, self.provenance, identity)
        return self._finished(ResultKind.SEG, name, dataset, image=True), numbers

    def presentation_state(self, found: SeriesFindings, source: SourceSeries) -> ResultObject:
        name, identity = self._of_series(ResultKind.GSPS, found)
        dataset = presentation_state(found, source, self.report, self.options, identity)
        return self._finished(ResultKind.GSPS, name, dataset, image=True)

    def summary(self, pictures: Sequence[SagittalPicture]) -> ResultObject:
        identity = self._identity(ResultKind.SUMMARY, "summary")
        picture = draw_summary(self.report, pictures)
        dataset = summary_object(picture, self.options, identity, annotated=self.annotated)
        return self._finished(ResultKind.SUMMARY, "summary", dataset, image=True)

    def pdf(self, pictures: Sequence[SagittalPicture], images: Sequence[ImageReference]) -> ResultObject:
        identity = self._identity(ResultKind.PDF, "pdf")
        document = draw_pdf(self.report, pictures)
        dataset = pdf_object(document, self.report, images, identity, annotated=self.annotated)
        return self._finished(ResultKind.PDF, "pdf", dataset, image=False)

    def _document(
        self, kind: ResultKind, name: str, storage: UID, content: ContentItem, listed: Sequence[Dataset]
    ) -> ResultObject:
        replaced = tuple(one for one in self.options.predecessors if one.sop_class_uid == storage)
        # A document that replaces others names them, so it needs UIDs of its own.
        names = tuple(one.sop_instance_uid for one in replaced)
        identity = self._identity(kind, name, *names)
        dataset = sr_document(
            storage, content, listed, identity, procedure=self.procedure, predecessors=replaced
        )
        return self._finished(kind, name, dataset, image=False)

    def _of_series(self, kind: ResultKind, found: SeriesFindings) -> tuple[str, ObjectIdentity]:
        """Name and identify the object of a kind of which each analysed series has one."""
        contrast = found.identification.contrast.value
        name = f"{kind.value}_{contrast.lower()}"
        identity = ObjectIdentity(
            uid=self._uid(kind.value, contrast, "instance"),
            series_uid=self._uid(kind.value, contrast, "series"),
            series_number=_SERIES_NUMBER[name],
            description=series_description(self.report, kind, contrast, number=self.options.number),
        )
        return name, identity

    def _identity(self, kind: ResultKind, name: str, *replaced: str) -> ObjectIdentity:
        return ObjectIdentity(
            uid=self._uid(name, "instance", *replaced),
            series_uid=self._uid(name, "series", *replaced),
            series_number=_SERIES_NUMBER[name],
            description=series_description(self.report, kind, number=self.options.number),
        )

    def _uid(self, *parts: str) -> str:
        """Derive a UID, which depends on the number of the set because the description does."""
        number = self.options.number
        return self.provenance.uid(*parts, *((str(number),) if number > 1 else ()))

    def _finished(self, kind: ResultKind, name: str, dataset: Dataset, *, image: bool) -> ResultObject:
        # Kept there, because `verify` must know it, and a description may be cut.
        dataset.InstanceNumber = self.options.number
        finish(dataset, self.header, self.provenance, self.options, image=image)
        return ResultObject(kind, name, dataset)


def _whom(header: Dataset, language: str) -> Whom:
    # Of a copy: a name that was once decoded may no longer be written as the bytes that came.
    apart = deepcopy(header)

    def told(keyword: str) -> str:
        return " ".join(str(apart.get(keyword) or "").split())

    born = Texts(language).day(date_of(apart, "PatientBirthDate"))
    return Whom(
        name=told("PatientName"),
        patient_id=told("PatientID"),
        issuer=told("IssuerOfPatientID"),
        birth_date=born or told("PatientBirthDate"),
        accession_number=told("AccessionNumber"),
    )
