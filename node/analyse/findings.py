"""Find what the series of one study show: identify, decode, measure and predict, without writing anything."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from pydicom import Dataset

from analysis.domain.findings import Findings, Refusal, SeriesInput, SeriesRefusal
from analysis.domain.reason import Reason
from analysis.errors import RefusedError
from analysis.identify import identify
from analysis.settings import AnalysisSettings
from node.config import BackEndPlace
from node.decode import SeriesHeaders, decode, faults_of, files_below, scan

__all__ = ["SOFTWARE", "Progress", "analyse_series", "count_patients", "measure_study", "no_progress"]

SOFTWARE = f"OsteoNode {version('osteonode')}"

Progress = Callable[[str], None]
"""Told each next step of an analysis, in words."""


def no_progress(_step: str) -> None:
    """Ignore the steps of an analysis."""


def analyse_series(
    series: Sequence[SeriesHeaders],
    settings: AnalysisSettings,
    place: BackEndPlace,
    bundle: Path | None,
    report_progress: Progress = no_progress,
) -> tuple[Findings | Refusal, Mapping[str, Sequence[Dataset]]]:
    """Analyse the series of one study.

    Parameters
    ----------
    series : sequence of SeriesHeaders
        All series of the study; those that cannot be used are set aside with their reasons.
    settings : AnalysisSettings
        Everything that influences the values.
    place : BackEndPlace
        Where to find the configured segmentation back end.
    bundle : Path or None
        Folder of the prediction model; None to measure only.
    report_progress : callable, optional
        Told each next step, in words.

    Returns
    -------
    Findings or Refusal
        What was found, or why the study is refused.
    mapping of str to sequence of Dataset
        Headers of the analysed series in slice order, by Series Instance UID.
    """
    if count_patients(series) > 1:
        return Refusal((Reason("several_patients"),)), {}
    decoded, sources, set_aside = _decode_candidates(series, report_progress)
    if (
        not decoded
    ):  # refused before the libraries of the analysis and the model are loaded, which takes seconds
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


def count_patients(series: Sequence[SeriesHeaders]) -> int:
    """Count the patients that the headers name, each by Patient ID and issuer."""
    return len(
        {
            (str(header.get("PatientID") or ""), str(header.get("IssuerOfPatientID") or ""))
            for one in series
            for header in one.headers
        }
    )


def _decode_candidates(
    series: Sequence[SeriesHeaders], report_progress: Progress
) -> tuple[list[SeriesInput], dict[str, Sequence[Dataset]], list[SeriesRefusal]]:
    """Decode only the sagittal T1 and T2 series: a study has many more, and decoding is slow."""
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


def measure_study(folder: Path, settings: AnalysisSettings, place: BackEndPlace) -> Findings | Refusal:
    """Measure the study in a folder for a cohort, as `analyse_series` does, without a prediction.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    """
    series, unreadable = scan(files_below([folder]))
    if len({one.study_uid for one in series}) != 1:
        return Refusal((Reason("several_studies"), *faults_of(unreadable)))
    found, _ = analyse_series(series, settings, place, bundle=None)
    return found
