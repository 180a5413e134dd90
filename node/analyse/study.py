"""From the files of a study to its result files; the node's worker and `osteonode analyse` both run this."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom import Dataset

import analysis
from analysis.domain.findings import Findings, Refusal, SeriesInput, SeriesRefusal
from analysis.domain.reason import Reason
from analysis.errors import RefusedError
from analysis.identify import identify
from analysis.settings import AnalysisSettings
from node.analyse.result_files import report_options, write_results
from node.config import BackEndPlace, Configuration
from node.decode import SeriesHeaders, UnreadableFile, decode, files_below, scan
from node.domain.results import Lineage, Outcome

if TYPE_CHECKING:
    from dicom_templates.words.study_report import StudyReport, TargetAnswer

__all__ = [
    "SOFTWARE",
    "StudyOutcome",
    "analyse_files",
    "analyse_series",
    "analyse_studies",
    "bundle_of",
    "measure_study",
    "patients",
]

SOFTWARE = f"OsteoNode {version('osteonode')}"

DEMONSTRATION_MODEL = Path(analysis.__file__).parent / "models" / "demonstration"
"""Trained on simulated patients only; what runs until a site names a bundle of its own."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """How one of several studies ended.

    Attributes
    ----------
    study_uid : str
        Which; empty for files that belong to none.
    outcome : Outcome
        Its result files or refusals.
    """

    study_uid: str
    outcome: Outcome


def analyse_files(
    paths: Sequence[Path],
    configuration: Configuration,
    out: Path,
    lineage: Lineage = Lineage(),  # noqa: B008 - frozen
    *,
    report_progress: Progress = lambda _step: None,
) -> Outcome:
    """Analyse the files of one study.

    Parameters
    ----------
    paths : sequence of Path
        Its instances, in any order.
    configuration : Configuration
        Its sections [analysis], [segmentation], [models], [report] and the node's AE title decide the result.
    out : Path
        Folder for the result files; made when there is something to write.
    lineage : Lineage
        The earlier results of this study, which the new documents name if they say something else.
    report_progress : callable
        Told each next step, in words.

    Returns
    -------
    Outcome
        The result files, or why there are none.
    """
    report_progress("reading headers")
    series, unreadable = scan(paths)
    if not series:
        return _refused(tuple(file.reason for file in unreadable) or (Reason("no_files"),))
    return _analyse_study(series, configuration, out, report_progress, lineage)


def analyse_studies(
    paths: Sequence[Path],
    configuration: Configuration,
    out: Path,
    *,
    report_progress: Progress = lambda _step: None,
) -> tuple[StudyOutcome, ...]:
    """Analyse whatever studies lie below the paths.

    One study is written to `out` itself, several to a folder each.

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
        reasons = tuple(_of_file(file) for file in unreadable)
        outcomes.append(StudyOutcome("", _refused(reasons)))
    if not outcomes:
        outcomes.append(StudyOutcome("", _refused((Reason("no_files"),))))
    return tuple(outcomes)


def measure_study(folder: Path, settings: AnalysisSettings, place: BackEndPlace) -> Findings | Refusal:
    """Measure the study in a folder for a cohort: the same code as ever, but no model and no report.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    """
    series, unreadable = scan(files_below([folder]))
    if len({one.study_uid for one in series}) != 1:
        return Refusal((Reason("several_studies"), *map(_of_file, unreadable)))
    found, _ = analyse_series(series, settings, place, None, lambda _step: None)
    return found


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
        bundle_of(configuration),
        report_progress,
    )
    if isinstance(found, Refusal):
        return _refused(_all_reasons(found))
    report_progress("writing the results")
    return _write(found, sources, configuration, out, lineage)


def bundle_of(configuration: Configuration) -> Path:
    """Return the folder of the model that predicts."""
    return configuration.models.bundle or DEMONSTRATION_MODEL


def analyse_series(
    series: Sequence[SeriesHeaders],
    settings: AnalysisSettings,
    place: BackEndPlace,
    bundle: Path | None,
    report_progress: Progress = lambda _step: None,
) -> tuple[Findings | Refusal, Mapping[str, Sequence[Dataset]]]:
    """Find what the series of one study show.

    Parameters
    ----------
    series : sequence of SeriesHeaders
        All series of the study; those of no use are set aside with their reasons.
    settings : AnalysisSettings
        What decides the values.
    place : BackEndPlace
        Where the back end that outlines the bodies lies.
    bundle : Path or None
        Folder of the model; None to measure only.
    report_progress : callable
        Told each next step, in words.

    Returns
    -------
    Findings or Refusal
        What was found, or why nothing is said.
    mapping of str to sequence of Dataset
        Headers of the analysed series in slice order, by Series Instance UID.
    """
    if patients(series) > 1:
        return Refusal((Reason("several_patients"),)), {}
    decoded, sources, set_aside = _decode_what_is_worth_it(series, report_progress)
    if not decoded:  # nothing that would need the science and its model loaded
        return Refusal((Reason("no_whole_series"),), tuple(set_aside)), {}
    from analysis.pipeline import analyse
    from analysis.prediction.bundle import load
    from node.analyse.segmenters import segmenter_for

    found = analyse(
        decoded,
        model=None if bundle is None else load(bundle, settings.features),
        settings=settings,
        software=SOFTWARE,
        set_aside=tuple(set_aside),
        segmenter=segmenter_for(settings.segmentation, place),
        report_progress=report_progress,
    )
    return found, sources


def patients(series: Sequence[SeriesHeaders]) -> int:
    """Count the patients that the headers name."""
    return len(
        {
            (str(header.get("PatientID") or ""), str(header.get("IssuerOfPatientID") or ""))
            for one in series
            for header in one.headers
        }
    )


def _decode_what_is_worth_it(
    series: Sequence[SeriesHeaders], report_progress: Progress
) -> tuple[list[SeriesInput], dict[str, Sequence[Dataset]], list[SeriesRefusal]]:
    """Decode the sagittal T1 and T2 series; a study has many more, and voxels are the slow part."""
    decoded: list[SeriesInput] = []
    sources: dict[str, Sequence[Dataset]] = {}
    set_aside: list[SeriesRefusal] = []
    identified = [(one, identify(one.facts)) for one in series]
    usable = Counter(one.series_uid for one, identification in identified if identification.usable)
    for one, identification in identified:
        if not identification.usable:
            set_aside.append(SeriesRefusal(one.series_uid, one.description, identification.reasons))
            continue
        if usable[one.series_uid] > 1:
            set_aside.append(SeriesRefusal(one.series_uid, one.description, (Reason("several_stacks"),)))
            continue
        report_progress(f"decoding the {identification.contrast} series")
        try:
            series_input, headers = decode(one)
        except RefusedError as error:
            set_aside.append(SeriesRefusal(one.series_uid, one.description, error.reasons))
        else:
            decoded.append(series_input)
            sources[one.series_uid] = headers
    return decoded, sources, set_aside


def _write(
    findings: Findings,
    sources: Mapping[str, Sequence[Dataset]],
    configuration: Configuration,
    out: Path,
    lineage: Lineage,
) -> Outcome:
    from PIL import Image

    from dicom_templates.origin.provenance import provenance_of
    from dicom_templates.pictures.html_report import report_html
    from dicom_templates.pictures.overlay import draw_overlay
    from dicom_templates.result_set import build

    options = report_options(configuration, (header for headers in sources.values() for header in headers))
    key = provenance_of(findings, _study_uid(sources), options).key
    replaced = lineage.predecessors(key)
    made = build(findings, sources, replace(options, predecessors=replaced))
    files = write_results(made, out)
    for found in findings.series:
        picture = draw_overlay(found, made.report.texts)
        Image.fromarray(picture).save(out / f"overlay_{found.identification.contrast.value.lower()}.png")
    (out / "report.html").write_text(report_html(made.report, made.pictures), encoding="utf-8")
    return Outcome(files, (), _summary(made.report), key, replaced)


def _study_uid(sources: Mapping[str, Sequence[Dataset]]) -> str:
    return next(str(headers[0].StudyInstanceUID) for headers in sources.values())


def _summary(report: "StudyReport") -> dict[str, str]:
    lines = {answer.name: _in_a_line(answer) for answer in report.answers}
    for line in report.bone_quality:
        lines[f"VBQ {line.contrast}"] = "none" if line.score is None else f"{line.score:.2f}"
    for contrast in dict.fromkeys(row.contrast for row in report.levels):
        usable = [row.name for row in report.levels if row.contrast == contrast and row.usable]
        lines[f"levels {contrast}"] = ", ".join(usable)
    return lines


def _in_a_line(answer: "TargetAnswer") -> str:
    if not answer.value:
        return f"{answer.verdict_text}: {'; '.join(answer.reasons)}"
    return f"{answer.value} ({answer.interval}), {answer.verdict_text}"


def _all_reasons(refusal: Refusal) -> tuple[Reason, ...]:
    details = (
        Reason("of_series", series=one.description, reason=reason)
        for one in refusal.series
        for reason in one.reasons[-1:]
    )
    return (*refusal.reasons, *details)


def _of_file(file: UnreadableFile) -> Reason:
    return Reason("of_file", file=file.path.name, reason=file.reason)


def _refused(reasons: tuple[Reason, ...]) -> Outcome:
    return Outcome((), reasons, {})
