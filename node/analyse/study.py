"""From the files of a study to its result files; used by the worker processes and by `osteonode analyse`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom import Dataset

from analysis.domain.findings import Findings, Refusal, SeriesRefusal
from analysis.domain.reason import Reason, told_once
from node.analyse.findings import Progress, analyse_series, correction_remarks, no_progress
from node.analyse.result_files import report_options, write_results
from node.config import Configuration
from node.decode import SeriesHeaders, faults_of, files_below, scan
from node.domain.results import Lineage, Outcome

if TYPE_CHECKING:
    from dicom_templates.words.study_report import StudyReport, TargetAnswer
    from dicom_templates.words.texts import Texts

__all__ = ["FINDINGS_FILE", "StudyOutcome", "analyse_files", "analyse_studies"]

FINDINGS_FILE = "findings.json"
"""Beside the result objects; see docs/json.md."""


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """The outcome of one of several studies.

    Attributes
    ----------
    study_uid : str
        Study Instance UID; empty for the files that could not be read.
    outcome : Outcome
        Result files or refusals.
    """

    study_uid: str
    outcome: Outcome


def analyse_files(
    paths: Sequence[Path],
    configuration: Configuration,
    out: Path,
    lineage: Lineage = Lineage(),  # noqa: B008 - frozen
    *,
    report_progress: Progress = no_progress,
) -> Outcome:
    """Analyse the files of one study.

    Parameters
    ----------
    paths : sequence of Path
        The instances of the study, in any order.
    configuration : Configuration
        Its sections [analysis], [segmentation], [models], [report] and the AE title of the node determine the
        result.
    out : Path
        Folder for the result files; made only if there is a result.
    lineage : Lineage, optional
        The earlier results of this study, which new documents with another content name as predecessors.
    report_progress : callable, optional
        Told each next step, in words.

    Returns
    -------
    Outcome
        The result files, or the reasons for a refusal.
    """
    report_progress("reading headers")
    series, unreadable = scan(paths)
    if not series:
        return _refused(told_once(file.reason for file in unreadable) or (Reason("no_files"),))
    return _analyse_study(series, configuration, out, report_progress, lineage)


def analyse_studies(
    paths: Sequence[Path],
    configuration: Configuration,
    out: Path,
    *,
    report_progress: Progress = no_progress,
) -> tuple[StudyOutcome, ...]:
    """Analyse all studies found at or below the paths.

    The results of a single study go to `out` itself, those of several to a subfolder each.

    Raises
    ------
    FileNotFoundError
        If one of the paths does not exist.
    """
    report_progress("reading headers")
    series, unreadable = scan(files_below(paths))
    studies = {uid: tuple(group) for uid, group in groupby(series, key=lambda one: one.study_uid)}
    outcomes = []
    for number, (uid, group) in enumerate(studies.items(), start=1):
        folder = out if len(studies) == 1 else out / f"study_{number}"
        outcomes.append(StudyOutcome(uid, _analyse_study(group, configuration, folder, report_progress)))
    if unreadable:
        outcomes.append(StudyOutcome("", _refused(faults_of(unreadable))))
    if not outcomes:
        outcomes.append(StudyOutcome("", _refused((Reason("no_files"),))))
    return tuple(outcomes)


def _analyse_study(
    series: Sequence[SeriesHeaders],
    configuration: Configuration,
    out: Path,
    report_progress: Progress,
    lineage: Lineage = Lineage(),  # noqa: B008 - frozen
) -> Outcome:
    found, sources = analyse_series(
        series,
        configuration.analysis,
        configuration.segmentation,
        configuration.models.bundle,
        report_progress,
        remarks=correction_remarks(corrected=lineage.corrected),
    )
    if isinstance(found, Refusal):
        others = (one for one in found.series if one not in found.decisive)
        return _refused((*found.reasons, *_in_reasons(found.decisive)), _in_reasons(others))
    report_progress("writing the results")
    return _write(found, sources, configuration, out, lineage)


def _write(
    findings: Findings,
    sources: Mapping[str, Sequence[Dataset]],
    configuration: Configuration,
    out: Path,
    lineage: Lineage,
) -> Outcome:
    from PIL import Image

    from dicom_templates.findings_json import findings_document
    from dicom_templates.origin.patient_study import patient_digest
    from dicom_templates.origin.provenance import provenance_of
    from dicom_templates.pictures.html_report import report_html
    from dicom_templates.pictures.overlay import draw_overlay
    from dicom_templates.result_set import build

    options = report_options(configuration, (header for headers in sources.values() for header in headers))
    patient = patient_digest(sources[findings.series[0].source.series_uid][0])
    key = provenance_of(findings, _study_uid(sources), options, patient=patient).key
    replaced = lineage.predecessors(key)
    made = build(findings, sources, replace(options, predecessors=replaced))
    files = write_results(made, out)
    for found in findings.series:
        picture = draw_overlay(found, made.report.texts)
        Image.fromarray(picture).save(out / f"overlay_{found.identification.contrast.value.lower()}.png")
    (out / "report.html").write_text(report_html(made.report, made.pictures), encoding="utf-8")
    document = findings_document(findings, _study_uid(sources))
    (out / FINDINGS_FILE).write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return Outcome(files, (), _summary(made.report), key, replaced, _in_reasons(findings.not_used))


def _study_uid(sources: Mapping[str, Sequence[Dataset]]) -> str:
    return next(str(headers[0].StudyInstanceUID) for headers in sources.values())


def _summary(report: "StudyReport") -> dict[str, str]:
    lines = {answer.name: _in_one_line(answer, report.texts) for answer in report.answers}
    if report.measurements_only:
        lines["prediction"] = "none: measurements and outlines only"
    for line in report.bone_quality:
        lines[f"VBQ {line.contrast}"] = "none" if line.score is None else f"{line.score:.2f}"
    for contrast in dict.fromkeys(row.contrast for row in report.levels):
        usable = [row.name for row in report.levels if row.contrast == contrast and row.usable]
        lines[f"levels {contrast}"] = ", ".join(usable)
    return lines


def _in_one_line(answer: "TargetAnswer", texts: "Texts") -> str:
    if not answer.value:
        return f"{answer.verdict_text}: {'; '.join(answer.reasons)}"
    interval = f" ({answer.interval})" if answer.interval else ""
    return f"{texts('probability', value=answer.value)}{interval}, {answer.verdict_text}"


def _in_reasons(series: Iterable[SeriesRefusal]) -> tuple[Reason, ...]:
    return told_once(
        Reason("of_series", series=one.description, reason=reason)
        for one in series
        for reason in one.reasons[-1:]
    )


def _refused(reasons: tuple[Reason, ...], beside: tuple[Reason, ...] = ()) -> Outcome:
    return Outcome((), reasons, {}, beside=beside)
