"""Find what the series of one study show: identify, decode, measure and predict, without writing anything."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom import Dataset

from analysis.domain.basis import SEQUENCES, AgeAndSex
from analysis.domain.findings import Findings, Refusal, SeriesInput, SeriesRefusal
from analysis.domain.reason import Reason
from analysis.domain.remoteness import Departure
from analysis.errors import RefusedError
from analysis.identify import choose, identify
from analysis.settings import AnalysisSettings
from node.config import BackendSettings
from node.decode import SeriesHeaders, decode, faults_of, files_below, scan
from node.decode.damage import damage_refused
from node.decode.header_values import scanner_of, text
from node.domain.person import Patient, Person, contradictions, leave_out_issuer

if TYPE_CHECKING:
    from analysis.segment import Segmenter

__all__ = [
    "SOFTWARE",
    "DeparturesOf",
    "Progress",
    "age_and_sex",
    "analyse_series",
    "correction_remarks",
    "departures_in",
    "identity_reasons",
    "measure_study",
    "no_progress",
    "scanner_by_basis",
]

SOFTWARE = f"OsteoNode {version('osteonode')}"

DeparturesOf = Callable[[str, str], tuple[Departure, ...]]
"""Returns the bases in which a scanner (`scanner_key`) has left the range of a model (digest of its
bundle).
"""

Progress = Callable[[str], None]
"""Told each next step of an analysis, in words."""


def no_progress(_step: str) -> None:
    """Ignore the steps of an analysis."""


def analyse_series(
    series: Sequence[SeriesHeaders],
    settings: AnalysisSettings,
    place: BackendSettings,
    bundle: Path | None,
    report_progress: Progress = no_progress,
    *,
    remarks: tuple[Reason, ...] = (),
    segmenter: "Segmenter | None" = None,
    departures_of: DeparturesOf = lambda _scanner, _bundle: (),
) -> tuple[Findings | Refusal, Mapping[str, Sequence[Dataset]]]:
    """Analyse the series of one study.

    Parameters
    ----------
    series : sequence of SeriesHeaders
        All series of the study; those that cannot be used are set aside with their reasons.
    settings : AnalysisSettings
        Everything that influences the values.
    place : BackendSettings
        Where to find the configured segmentation back end.
    bundle : Path or None
        Folder of the prediction model; None to measure only.
    report_progress : callable, optional
        Told each next step, in words.
    remarks : tuple of Reason, optional
        What the reader must know of the study, and its images do not tell.
    segmenter : Segmenter, optional
        Outlines the bodies in the place of the configured back end.
    departures_of : callable, optional
        Returns the bases in which a scanner, by its key, has left the range of a model, by its digest.

    Returns
    -------
    Findings or Refusal
        What was found, or why the study is refused.
    mapping of str to sequence of Dataset
        Headers of the analysed series in slice order, by Series Instance UID.
    """
    if reasons := identity_reasons(series):
        return Refusal(reasons), {}
    decoded, sources, not_used = _decode_candidates(series, report_progress)
    if (
        not decoded
    ):  # refused before the libraries of the analysis and the model are loaded, which takes seconds
        return Refusal((Reason("no_whole_series"),), tuple(not_used)), {}
    from analysis.pipeline import analyse
    from analysis.prediction.bundle import load
    from node.analyse.segmenters import segmenter_for

    model = None if bundle is None else load(bundle, settings.features)
    # Only of the series that are analysed: another one may come from another scanner, or from a workstation.
    chosen = choose(decoded).chosen
    scanners = scanner_by_basis({of.contrast.value: sources[one.series_uid][0] for one, of in chosen})
    found = analyse(
        decoded,
        model=model,
        settings=settings,
        software=SOFTWARE,
        set_aside=tuple(not_used),
        segmenter=segmenter or segmenter_for(settings.segmentation, place),
        report_progress=report_progress,
        remarks=(*remarks, *name_remarks(sources)),
        person=age_and_sex(sources),
        departures=() if model is None else departures_in(scanners, model.identity.digest, departures_of),
    )
    if isinstance(found, Refusal):
        return found, sources
    # Without those that were not chosen, so that nothing in the results depends on them.
    return found, {one.source.series_uid: sources[one.source.series_uid] for one in found.series}


def identity_reasons(series: Sequence[SeriesHeaders]) -> tuple[Reason, ...]:
    """Return why the patient of a study is not certain; nothing if all images name the same one.

    A patient is named by Patient ID and issuer, and has one birth date and one sex. A study without birth
    dates, as many anonymised ones are, is none of several patients. Images without an issuer belong to those
    with one if all else agrees.
    """
    patients = {_patient(image) for one in series for image in one.objects}
    if len({one.patient_id for one in patients}) > 1:
        return (Reason("several_patients"),)
    if len({one.issuer for one in patients}) > 1 and not leave_out_issuer(patients):
        return (Reason("several_issuers"),)
    told = contradictions({one.person for one in patients})
    reasons = {"birth date": Reason("several_birth_dates"), "sex": Reason("several_sexes")}
    return tuple(reasons[one] for one in told)


def _patient(image: Dataset) -> Patient:
    keywords = ("PatientID", "IssuerOfPatientID", "PatientName")
    patient_id, issuer, name = (text(image, keyword) for keyword in keywords)
    return Patient(
        patient_id, issuer, name, Person.of(text(image, "PatientBirthDate"), text(image, "PatientSex"))
    )


def age_and_sex(sources: Mapping[str, Sequence[Dataset]]) -> AgeAndSex:
    """Return age and sex as the headers tell them; what they contradict each other about is unknown."""
    from dicom_templates.origin.patient_study import age_in_years

    images = [image for one in sources.values() for image in one]
    ages = {age_in_years(image) for image in images} - {None}
    sexes = {Person.of("", text(image, "PatientSex")).sex for image in images} - {""}
    sex = sexes.pop() if len(sexes) == 1 else None
    return AgeAndSex(ages.pop() if len(ages) == 1 else None, sex if sex in {"F", "M"} else None)


def scanner_by_basis(first_images: Mapping[str, Dataset]) -> Mapping[str, str]:
    """Return the key of the scanner by basis; empty where it is unknown, or not the same for both sequences.

    Parameters
    ----------
    first_images : mapping of str to Dataset
        The first image of each series that is analysed, by sequence ("T1", "T2").
    """
    keys = {sequence: scanner_of(image) for sequence, image in first_images.items()}
    of_both = {keys.get(sequence, "") for sequence in SEQUENCES}
    return {**keys, "+".join(SEQUENCES): of_both.pop() if len(of_both) == 1 else ""}


def departures_in(
    scanners: Mapping[str, str], bundle: str, departures_of: DeparturesOf
) -> tuple[Departure, ...]:
    """Return the bases from which a model must not answer: each is asked of the scanner of its own images."""
    return tuple(
        one
        for basis, scanner in scanners.items()
        for one in departures_of(scanner, bundle)
        if one.basis == basis
    )


def correction_remarks(*, corrected: bool) -> tuple[Reason, ...]:
    """Tell that the identity of the patient was corrected after an earlier report; see `Lineage`."""
    return (Reason("identity_corrected"),) if corrected else ()


def name_remarks(sources: Mapping[str, Sequence[Dataset]]) -> tuple[Reason, ...]:
    """Tell that analysed images spell the name of the patient in several ways, without repeating it."""
    names = {_plain_name(text(image, "PatientName")) for images in sources.values() for image in images}
    return (Reason("several_names"),) if len(names - {""}) > 1 else ()


def _plain_name(written: str) -> str:
    """Reduce a name to its alphabetic group in small letters without accents and delimiters."""
    group = unicodedata.normalize("NFKD", written.partition("=")[0])
    return "".join(letter for letter in group.casefold() if letter.isalnum())


def _decode_candidates(
    series: Sequence[SeriesHeaders], report_progress: Progress
) -> tuple[list[SeriesInput], dict[str, Sequence[Dataset]], list[SeriesRefusal]]:
    """Decode only the sagittal T1 and T2 series: a study has many more, and decoding is slow."""
    decoded: list[SeriesInput] = []
    sources: dict[str, Sequence[Dataset]] = {}
    not_used: list[SeriesRefusal] = []
    identified = [(one, identify(one.facts)) for one in series]
    usable = Counter(one.series_uid for one, identification in identified if identification.usable)
    for one, identification in identified:
        if not identification.usable:
            not_used.append(SeriesRefusal(one.series_uid, one.description, identification.reasons))
            continue
        if usable[one.series_uid] > 1:
            several = (Reason("several_stacks"),)
            not_used.append(SeriesRefusal(one.series_uid, one.description, several, identification.contrast))
            continue
        report_progress(f"decoding the {identification.contrast} series")
        try:
            series_input, headers = _decode(one)
        except RefusedError as error:
            not_used.append(
                SeriesRefusal(one.series_uid, one.description, error.reasons, identification.contrast)
            )
        else:
            decoded.append(series_input)
            sources[one.series_uid] = headers
    return decoded, sources, not_used


def _decode(series: SeriesHeaders) -> tuple[SeriesInput, Sequence[Dataset]]:
    """Decode a series, and refuse it if results could not take over what its headers say.

    Raises
    ------
    RefusedError
        With the reason.
    """
    from dicom_templates.objects.source_check import check_sources

    series_input, headers = decode(series)
    with damage_refused("instance_damaged"):
        check_sources(headers, series_input.frames)
    return series_input, headers


def measure_study(
    folder: Path, masks: Mapping[str, Path | None], *, settings: AnalysisSettings, place: BackendSettings
) -> Findings | Refusal:
    """Measure the study in a folder for a cohort, as `analyse_series` does, without a prediction.

    Parameters
    ----------
    folder : Path
        Folder or file of the study.
    masks : mapping of str to Path or None
        Masks of a reader by sequence, in the place of the configured back end.
    settings, place
        As for `analyse_series`.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    """
    series, unreadable = scan(files_below([folder]))
    if len({one.study_uid for one in series}) != 1:
        return Refusal((Reason("several_studies"), *faults_of(unreadable)))
    segmenter = None
    if masks:
        from node.analyse.segmenters import segmenter_for
        from node.analyse.segmenters.reader_masks import readers_segmenter

        segmenter = readers_segmenter(
            masks, settings.segmentation, segmenter_for(settings.segmentation, place)
        )
    found, _ = analyse_series(series, settings, place, bundle=None, segmenter=segmenter)
    return found
