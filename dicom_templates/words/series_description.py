"""The line in a list of series; many readers see nothing else of a structured report."""

from dicom_templates.result_kinds import ResultKind
from dicom_templates.words.study_report import StudyReport, TargetAnswer, target_key

__all__ = ["series_description"]

_LONGEST = 64
"""Characters in an LO."""
_KEY_OF = {
    ResultKind.SR: "series_values",
    ResultKind.TEXT: "series_report",
    ResultKind.SUMMARY: "series_picture",
    ResultKind.PDF: "series_document",
}


def series_description(report: StudyReport, kind: ResultKind, contrast: str = "") -> str:
    """Write the SeriesDescription of a result, with its category in it.

    Parameters
    ----------
    report : StudyReport
        What the reader is told.
    kind : ResultKind
        Which of the result objects.
    contrast : str
        Of a SEG.

    Returns
    -------
    str
        At most 64 characters: "SIMULATED - Report: OP unlikely, low BMD likely".
    """
    texts = report.texts
    if kind is ResultKind.SEG:
        told = texts("series_outlines") + " " + contrast
    else:
        told = f"{texts(_KEY_OF[kind])}: {_category(report)}"
    if report.warning:
        told = texts("simulated_tag") + " - " + told
    # Viewers cut the line after some 25 characters, so our name comes last, where there is room for it.
    signed = f"{told} (OsteoNode)"
    return signed if len(signed) <= _LONGEST else told[:_LONGEST]


def _category(report: StudyReport) -> str:
    if report.refused:
        return report.texts("series_refused")
    if not report.answers:
        return report.texts("bone_quality")
    return ", ".join(_short(answer, report) for answer in report.answers)


def _short(answer: TargetAnswer, report: StudyReport) -> str:
    target, verdict = f"{target_key(answer.target)}_short", f"{answer.verdict.value}_short"
    return f"{report.texts(target)} {report.texts(verdict)}"
