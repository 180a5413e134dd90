"""The whole result set of one study: measurement report, segmentations, text report, summary image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from highdicom.sr import ContentItem
from pydicom import Dataset
from pydicom.uid import (
    UID,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from analysis.domain.findings import Findings, Refusal, SeriesFindings
from dicom_templates.objects.encapsulated_pdf import pdf_object
from dicom_templates.objects.measurement_report import measurement_content
from dicom_templates.objects.segmentation import SegmentNumbers, segmentation_object
from dicom_templates.objects.sr_document import evidence, sr_document
from dicom_templates.objects.summary_image import summary_object
from dicom_templates.objects.text_report import text_content
from dicom_templates.options import ReportOptions, SrClass
from dicom_templates.parts.finish import Identity, finish
from dicom_templates.parts.patient_study import age_in_years
from dicom_templates.parts.provenance import Provenance, provenance_of, refusal_provenance
from dicom_templates.parts.source_series import ImageReference, SourceSeries, source_series
from dicom_templates.pictures.mid_sagittal import SagittalPicture, sagittal_pictures
from dicom_templates.pictures.pdf_report import draw_pdf
from dicom_templates.pictures.summary_picture import draw_summary
from dicom_templates.words.compose import compose, compose_refusal
from dicom_templates.words.series_description import describe
from dicom_templates.words.study_report import StudyReport

__all__ = ["STORAGE_CLASSES", "ResultObject", "ResultSet", "build", "build_refusal"]

STORAGE_CLASSES: dict[str, tuple[UID, ...]] = {
    "sr": tuple(sr_class.storage for sr_class in SrClass),
    "seg": (SegmentationStorage,),
    "text": (EnhancedSRStorage,),
    "summary": (SecondaryCaptureImageStorage,),
    "pdf": (EncapsulatedPDFStorage,),
}
"""The SOP classes of each kind of result object."""
_SR_NAME = {SrClass.COMPREHENSIVE: "sr", SrClass.COMPREHENSIVE_3D: "sr_3d"}
_SERIES_NUMBER = {
    "sr": 9101, "text": 9102, "summary": 9103, "seg_t1": 9104, "seg_t2": 9105, "pdf": 9106, "sr_3d": 9107,
}  # fmt: skip
"""High enough to stand behind the scanner's own in every list of series."""


@dataclass(frozen=True, slots=True, eq=False)
class ResultObject:
    """One object to be sent.

    Attributes
    ----------
    kind : str
        "sr", "seg", "text", "summary" or "pdf".
    name : str
        Unique within the result set: "sr", "sr_3d", "seg_t1", "seg_t2", "text", "summary", "pdf".
    dataset : Dataset
        Complete, with file meta information, ready for `dcmwrite(..., enforce_file_format=True)`.
    """

    kind: str
    name: str
    dataset: Dataset


@dataclass(frozen=True, slots=True, eq=False)
class ResultSet:
    """All that one study gets.

    Attributes
    ----------
    objects : tuple of ResultObject
        To be sent: SR, a SEG for each series, text, summary, PDF, as far as they are wanted.
    report : StudyReport
        The words that all of them share; for a page or a terminal.
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
    provenance = provenance_of(findings, str(header.StudyInstanceUID), options)
    report = compose(
        findings, language=options.language, study_date=_study_date(header), age_years=age_in_years(header)
    )
    pictures = sagittal_pictures(findings, report)
    writer = _Writer(header, provenance, options, report)
    segs = {
        uid: writer.segmentation(found, matched[uid])
        for uid, found in ((found.source.series_uid, found) for found in findings.series)
        if found.segmentation.regions
    }
    listed = evidence(matched.values(), (seg.dataset for seg, _ in segs.values()))
    segmented = {uid: (seg.dataset, numbers) for uid, (seg, numbers) in segs.items()}
    wanted: list[ResultObject] = []
    for sr_class in options.sr_classes if "sr" in options.kinds else ():
        # A tree of its own for each: a document takes the one that it is given to pieces.
        content = measurement_content(findings, report, provenance, matched, segmented)
        wanted.append(writer.document("sr", sr_class.storage, content, listed, name=_SR_NAME[sr_class]))
    if "seg" in options.kinds:
        wanted += [seg for seg, _ in segs.values()]
    if "text" in options.kinds:
        wanted.append(writer.document("text", EnhancedSRStorage, text_content(report, provenance), listed))
    if "summary" in options.kinds:
        wanted.append(writer.summary(pictures))
    if "pdf" in options.kinds:
        wanted.append(writer.pdf(pictures, [one for source in matched.values() for one in source.images]))
    return ResultSet(tuple(wanted), report, pictures)


def build_refusal(refusal: Refusal, source: Dataset, options: ReportOptions, *, software: str) -> ResultSet:
    """Write the text report that explains a refusal, so that silence is explained in the archive.

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
    provenance = refusal_provenance(refusal, software, str(source.StudyInstanceUID), options)
    report = compose_refusal(refusal, software, language=options.language, study_date=_study_date(source))
    writer = _Writer(source, provenance, options, report)
    content = text_content(report, provenance)
    document = writer.document("text", EnhancedSRStorage, content, evidence((), [source]))
    return ResultSet((document,), report, ())


@dataclass(frozen=True, slots=True, eq=False)
class _Writer:
    """Writes the objects of one result set, which share their patient, their maker and their words."""

    header: Dataset
    provenance: Provenance
    options: ReportOptions
    report: StudyReport

    def document(
        self, kind: str, storage: UID, content: ContentItem, listed: Sequence[Dataset], *, name: str = ""
    ) -> ResultObject:
        name = name or kind
        replaced = tuple(one for one in self.options.predecessors if one.sop_class_uid == storage)
        # A document that replaces others says so, and so is another one than the first of the same inputs.
        names = tuple(one.sop_instance_uid for one in replaced)
        dataset = sr_document(
            storage,
            content,
            listed,
            uid=self.provenance.uid(name, "instance", *names),
            series_uid=self.provenance.uid(name, "series", *names),
            series_number=_SERIES_NUMBER[name],
            description=describe(self.report, kind),
            predecessors=replaced,
        )
        return self._finished(kind, name, dataset, image=False)

    def segmentation(
        self, found: SeriesFindings, source: SourceSeries
    ) -> tuple[ResultObject, SegmentNumbers]:
        contrast = found.identification.contrast.value
        name = f"seg_{contrast.lower()}"
        dataset, numbers = segmentation_object(
            found,
            source,
            self.provenance,
            description=describe(self.report, "seg", contrast),
            series_number=_SERIES_NUMBER[name],
        )
        return self._finished("seg", name, dataset, image=True), numbers

    def summary(self, pictures: Sequence[SagittalPicture]) -> ResultObject:
        dataset = summary_object(draw_summary(self.report, pictures), self.options, self._identity("summary"))
        return self._finished("summary", "summary", dataset, image=True)

    def pdf(self, pictures: Sequence[SagittalPicture], images: Sequence[ImageReference]) -> ResultObject:
        dataset = pdf_object(draw_pdf(self.report, pictures), self.report, images, self._identity("pdf"))
        return self._finished("pdf", "pdf", dataset, image=False)

    def _identity(self, kind: str) -> Identity:
        return Identity(
            uid=self.provenance.uid(kind, "instance"),
            series_uid=self.provenance.uid(kind, "series"),
            series_number=_SERIES_NUMBER[kind],
            description=describe(self.report, kind),
        )

    def _finished(self, kind: str, name: str, dataset: Dataset, *, image: bool) -> ResultObject:
        finish(dataset, self.header, self.provenance, self.options, image=image)
        return ResultObject(kind, name, dataset)


def _study_date(header: Dataset) -> date | None:
    told = str(header.get("StudyDate") or "").strip()
    if len(told) != 8 or not told.isdigit():
        return None
    try:
        return date(int(told[:4]), int(told[4:6]), int(told[6:]))
    except ValueError:
        return None
