"""The SeriesDescription of results: in a list of series, often all that is read of a structured report."""

from dicom_templates.result_kinds import ResultKind
from dicom_templates.words.study_report import StudyReport, TargetAnswer, target_key

__all__ = ["series_description"]

_LONGEST = 64
"""Maximum number of characters of an LO value."""
_KEY_OF = {
    ResultKind.SR: "series_values",
    ResultKind.TEXT: "series_report",
    ResultKind.SUMMARY: "series_picture",
    ResultKind.PDF: "series_document",
}


def series_description(report: StudyReport, kind: ResultKind, contrast: str = "") -> str:
    """Write the SeriesDescription of a result object, with the answers in it.

    Parameters
    ----------
    report : StudyReport
        The report in words.
    kind : ResultKind
        Its kind.
    contrast : str
        T1 or T2, of a SEG.

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
    # Viewers show some 25 characters, so the name of this program comes last, and only where it fits.
    signed = f"{told} (OsteoNode)"
    return signed if len(signed) <= _LONGEST else told[:_LONGEST]


def _category(report: StudyReport) -> str:
    if report.refused:
        return report.texts("series_refused")
    if report.measurements_only:
        return report.texts("measurements_only_short")
    return ", ".join(_short(answer, report) for answer in report.answers)


def _short(answer: TargetAnswer, report: StudyReport) -> str:
    target, verdict = f"{target_key(answer.target)}_short", f"{answer.verdict.name.lower()}_short"
    return f"{report.texts(target)} {report.texts(verdict)}"
