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

_OUTLINES = {ResultKind.SEG: "", ResultKind.GSPS: "GSPS "}
"""Kinds of which each analysed series has one, with what tells them apart."""


def series_description(report: StudyReport, kind: ResultKind, contrast: str = "", *, number: int = 1) -> str:
    """Write the SeriesDescription of a result object, with the answers in it.

    Parameters
    ----------
    report : StudyReport
        The report in words.
    kind : ResultKind
        Its kind.
    contrast : str
        T1 or T2, of a SEG or GSPS.
    number : int
        Number of the result set. From 2 it is told near the beginning, where every viewer shows it.

    Returns
    -------
    str
        At most 64 characters: "SIMULATED MODEL Report: risk of OP < 40%, low BMD > 50%".
    """
    texts = report.texts
    count = f" ({number})" if number > 1 else ""
    if kind in _OUTLINES:
        told = texts("series_outlines") + f"{count} {_OUTLINES[kind]}{texts.weighting(contrast)}"
    else:
        told = f"{texts(_KEY_OF[kind])}{count}: {_category(report)}"
    if report.warning:
        told = texts("simulated_tag") + " " + told
    # Viewers show some 25 characters, so the name of this program comes last, and only where it fits.
    signed = f"{told} (OsteoNode)"
    return signed if len(signed) <= _LONGEST else told[:_LONGEST]


def _category(report: StudyReport) -> str:
    if report.refused:
        return report.texts("series_refused")
    if report.measurements_only:
        return report.texts("measurements_only_short")
    # "Risk of", because "low BMD < 50%" alone could be taken for the density.
    return report.texts("risk_short", answers=", ".join(_short(answer, report) for answer in report.answers))


def _short(answer: TargetAnswer, report: StudyReport) -> str:
    return report.texts(
        f"{answer.verdict.name.lower()}_short",
        target=report.texts(f"{target_key(answer.target)}_short"),
        # Without the space before "%", for which there is no room.
        threshold=report.texts.percent(answer.threshold).replace(" %", "%"),
    )
