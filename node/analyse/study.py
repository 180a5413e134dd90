"""From the files of a study to its result files; used by the worker processes and by `osteonode analyse`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom import Dataset

from analysis.domain.examination import Comparison
from analysis.domain.findings import Findings, Refusal, SeriesRefusal
from analysis.domain.reason import Reason, told_once
from analysis.domain.remoteness import TrainingDistance
from dicom_templates.result_kinds import ResultKind
from node.analyse.examinations import compared, examination
from node.analyse.findings import (
    DeparturesOf,
    Progress,
    analyse_series,
    correction_remarks,
    no_progress,
    scanner_by_basis,
)
from node.analyse.model_answers import chosen_answers, question
from node.analyse.result_files import (
    SUMMARY_FILE,
    local_time,
    report_options,
    write_fhir,
    write_results,
)
from node.clock import SystemClock
from node.config import Configuration, ScannerDrift
from node.decode import SeriesHeaders, scan
from node.domain.drift import Subject
from node.domain.notice import Answer
from node.domain.results import Lineage, Outcome

if TYPE_CHECKING:
    from dicom_templates.words.study_report import StudyReport, TargetAnswer
    from dicom_templates.words.texts import Texts

__all__ = ["FINDINGS_FILE", "analyse_files", "warm_up"]

FINDINGS_FILE = "findings.json"
"""Beside the result objects; see docs/json.md."""

_IMPORTED_LATE = (
    "PIL.Image",
    "analysis.pipeline",
    "dicom_templates.findings_json",
    "dicom_templates.pictures.html_report",
    "dicom_templates.pictures.overlay",
    "dicom_templates.result_set",
    "radiomics.featureextractor",
)
"""Together they take seconds."""


def warm_up() -> None:
    """Load what the analysis of any study needs, so that the first one does not wait seconds for it."""
    for name in _IMPORTED_LATE:
        import_module(name)
    from analysis.prediction import bundle
    from analysis.segment.network import embedded_network
    from dicom_templates.objects.iod_tables import load_attribute_table

    bundle.warm_up()
    embedded_network()
    load_attribute_table()


def analyse_files(
    paths: Sequence[Path],
    configuration: Configuration,
    out: Path,
    lineage: Lineage = Lineage(),  # noqa: B008 - frozen
    now: datetime | None = None,
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
        The earlier results of this study, which new documents with another content name as predecessors, and
        the earlier examinations of its patient.
    now : datetime, optional
        When results are made that were not made before; by default, when they are written.
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
    return _analyse_study(series, configuration, out, lineage, now, report_progress=report_progress)


def _analyse_study(
    series: Sequence[SeriesHeaders],
    configuration: Configuration,
    out: Path,
    lineage: Lineage,
    now: datetime | None,
    *,
    report_progress: Progress,
) -> Outcome:
    found, sources = analyse_series(
        series,
        configuration.analysis,
        configuration.segmentation,
        configuration.models.bundle,
        report_progress,
        remarks=correction_remarks(corrected=lineage.corrected),
        departures_of=_departures_of(configuration, lineage),
    )
    if isinstance(found, Refusal):
        others = (one for one in found.series if one not in found.decisive)
        return _refused((*found.reasons, *_in_reasons(found.decisive)), _in_reasons(others))
    report_progress("writing the results")
    outcome = _write(found, sources, configuration, out, lineage, now=now or SystemClock().now())
    return replace(outcome, distances=_distances(found, sources))


def _departures_of(configuration: Configuration, lineage: Lineage) -> DeparturesOf:
    abstains = configuration.models.scanner_drift is ScannerDrift.ABSTAIN
    return lineage.departures_of if abstains else lambda _scanner, _bundle: ()


def _distances(
    found: Findings, sources: Mapping[str, Sequence[Dataset]]
) -> Mapping[Subject, TrainingDistance]:
    if found.model is None:
        return {}
    scanners = scanner_by_basis(
        {one.identification.contrast.value: sources[one.source.series_uid][0] for one in found.series}
    )
    return {
        Subject(scanner, found.model.digest, one.basis): one
        for one in found.distances
        if (scanner := scanners.get(one.basis))
    }


def _write(
    findings: Findings,
    sources: Mapping[str, Sequence[Dataset]],
    configuration: Configuration,
    out: Path,
    lineage: Lineage,
    *,
    now: datetime,
) -> Outcome:
    from dicom_templates.fhir import fhir_report
    from dicom_templates.findings_json import findings_document
    from dicom_templates.origin.patient_study import patient_digest
    from dicom_templates.origin.provenance import provenance_of
    from dicom_templates.pictures.html_report import page_html
    from dicom_templates.result_set import build

    source = sources[findings.series[0].source.series_uid][0]
    examined = examination(findings, source)
    if configuration.report.priors:
        findings = compared(findings, examined, lineage)
    options = report_options(configuration, local_time(now, source))
    patient = patient_digest(source)
    key = provenance_of(findings, str(source.StudyInstanceUID), options, patient=patient).key
    replaced, first_made = lineage.predecessors(key), lineage.made_at(key, now)
    options = replace(options, predecessors=replaced, made=local_time(first_made, source))
    made = build(findings, sources, options)
    out.mkdir(parents=True, exist_ok=True)
    # Side by side, because Pillow compresses without the interpreter's lock.
    with ThreadPoolExecutor(max_workers=1) as beside:
        overlays = beside.submit(_write_overlays, findings, made.report, out)
        files = write_results(made, out)
        overlays.result()
    page = page_html(made.report, (out / SUMMARY_FILE).read_bytes())
    (out / "report.html").write_text(page, encoding="utf-8")
    document = findings_document(findings, examined)
    (out / FINDINGS_FILE).write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    if ResultKind.FHIR in options.kinds:
        earlier = lineage.earlier_as_fhir(key)
        told = fhir_report(findings, made.report, source, options, first_made, replaces=bool(earlier))
        files = (*files, write_fhir(told, key, earlier, out))
    not_used = _in_reasons(findings.not_used)
    asked = question(findings, sources)
    return Outcome(
        files, (), _summary(made.report, findings.prior), key, replaced, not_used, first_made,
        # A site that does not want comparisons keeps no scores.
        examination=examined if configuration.report.priors else None,
        earlier=None if findings.prior is None else findings.prior.earlier,
        answers=_answers(findings),
        model_answers=chosen_answers(findings, asked),
        question=asked,
    )  # fmt: skip


def _write_overlays(findings: Findings, report: "StudyReport", out: Path) -> None:
    from dicom_templates.pictures.overlay import draw_overlay
    from dicom_templates.pictures.png import png_of

    for found in findings.series:
        picture = draw_overlay(found, report.texts, analysed=report.analysed)
        contrast = found.identification.contrast.value.lower()
        (out / f"overlay_{contrast}.png").write_bytes(png_of(picture))


def _summary(report: "StudyReport", prior: Comparison | None) -> dict[str, str]:
    weighting = report.texts.weighting
    lines = {answer.name: _in_one_line(answer, report.texts) for answer in report.answers}
    if report.measurements_only:
        lines["prediction"] = "none: measurements and outlines only"
    for line in report.bone_quality:
        lines[f"VBQ {weighting(line.contrast.value)}"] = "none" if line.score is None else f"{line.score:.2f}"
    for change in prior.scores if prior is not None else ():
        difference = change.difference
        told = "not comparable with the prior" if difference is None else f"{difference:+.2f} since the prior"
        lines[f"VBQ {weighting(change.contrast.value)} change"] = told
    for contrast in dict.fromkeys(row.contrast for row in report.levels):
        usable = [row.name for row in report.levels if row.contrast == contrast and row.usable]
        lines[f"levels {weighting(contrast)}"] = ", ".join(usable)
    return lines


def _answers(findings: Findings) -> tuple[Answer, ...]:
    model = findings.model
    if model is None:
        return ()
    return tuple(
        Answer(
            target=one.target,
            verdict=one.verdict.name.lower(),
            probability=one.probability,
            threshold=one.decision_threshold,
            model=f"{model.name} {model.version}",
            simulated=model.simulated,
        )
        for one in findings.predictions
    )


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
