"""The text report by TID 2000, which every SR viewer shows.

References
----------
DICOM PS3.16 TID 2000 Basic Diagnostic Imaging Report; CID 7001 headings; CID 7002 elements.
"""

from highdicom.sr import ContainerContentItem, ContentItem, ContentSequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from dicom_templates.codes.concepts import ABOUT
from dicom_templates.objects.content_items import container, device_observer, language_item, text
from dicom_templates.origin.provenance import Provenance
from dicom_templates.words.languages import LANGUAGES
from dicom_templates.words.study_report import Section, StudyReport

__all__ = ["text_content"]

_HEADING_AND_ELEMENT: dict[str, tuple[Code, Code]] = {
    "result": (codes.LN.Impressions, codes.DCM.Impression),
    "findings": (codes.LN.Findings, codes.DCM.Finding),
    "images": (codes.LN.CurrentProcedureDescriptions, codes.DCM.ProcedureDescription),
    "next": (codes.LN.Recommendations, codes.DCM.Recommendation),
    "about": (ABOUT, codes.DCM.Comment),
}


def text_content(report: StudyReport, provenance: Provenance) -> ContentItem:
    """Write the content tree of the text report.

    Parameters
    ----------
    report : StudyReport
        The report in words.
    provenance : Provenance
        The maker.

    Returns
    -------
    ContentItem
        The root container: the notice if there is one, the title, then the sections in order.
    """
    language = LANGUAGES[report.texts.language]
    root = ContainerContentItem(name=codes.LN.DiagnosticImagingReport, template_id="2000")
    opening = (report.notice, report.title) if report.notice else (report.title,)
    root.ContentSequence = ContentSequence(
        [
            # First, so that viewers show nothing before the warning.
            container(codes.LN.Summary, [text(codes.LN.Summary, line) for line in opening]),
            language_item(language.tag, language.name),
            *device_observer(provenance),
            *(_section(section) for section in report.sections),
        ],
        is_root=False,
    )
    return root


def _section(section: Section) -> ContentItem:
    heading, element = _HEADING_AND_ELEMENT[section.key]
    return container(heading, [text(element, line) for line in section.lines])
