"""`osteonode verify`: everything that a report cites is recomputed and compared.

A report is verified when its inputs, model and configuration still have the digests that it cites, and a new
analysis of these inputs gives the same report.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread, dcmwrite
from pydicom.errors import InvalidDicomError

from analysis.domain.examination import Examination
from analysis.domain.findings import Refusal
from analysis.domain.priors import compare
from analysis.errors import ModelRejectedError, RefusedError
from analysis.identify import identify
from dicom_templates.options import ReportOptions
from dicom_templates.read_back.citation import Citation, presentation_of, read_citation
from dicom_templates.read_back.comparison import differences
from dicom_templates.result_kinds import ResultKind
from node.analyse.examinations import examination
from node.analyse.findings import SOFTWARE, analyse_series, correction_remarks
from node.config import NO_MODEL, Configuration
from node.decode import SeriesHeaders, decode, files_below, scan
from node.domain.records import MR_IMAGE_CLASSES, mr_images
from node.errors import PermanentError
from node.operate.database import open_store
from node.ports import StoredFiles, StudyReader
from node.store import open_instance_store

__all__ = ["CheckOutcome", "ReportCheck", "stored_report", "verify"]

Progress = Callable[[str], None]

_WHOLE_STUDY = (
    "only its own identifiers differ: they also depend on the series that were set aside, "
    "so give all series of the study"
)


class CheckOutcome(StrEnum):
    """How one item that a report cites compares with what was recomputed."""

    EQUAL = "equal"
    DIFFERENT = "different"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class ReportCheck:
    """One comparison of a report with what was recomputed.

    Attributes
    ----------
    subject : str
        What was compared ("model", "input T1", "result").
    outcome : CheckOutcome
        Whether the two are equal, as far as that could be checked.
    details : tuple of str
        What differs, or why it was not checked. Never patient data.
    """

    subject: str
    outcome: CheckOutcome
    details: tuple[str, ...] = ()


def stored_report(store: StudyReader, files: StoredFiles, study_uid: str) -> Path:
    """Return the file with the current measurement report of a study.

    Raises
    ------
    PermanentError
        If the study has none, or its files were removed.
    """
    current = [one for one in store.results(study_uid) if one.current and one.kind is ResultKind.SR]
    if not current:
        raise PermanentError("the study has no measurement report")
    path = files.results / current[0].name
    if not path.is_file():
        raise PermanentError("the file of its measurement report was removed")
    return path


def verify(
    report: Path,
    configuration: Configuration,
    inputs: Sequence[Path] = (),
    *,
    priors: Sequence[Examination] = (),
    report_progress: Progress = lambda _step: None,
) -> tuple[ReportCheck, ...]:
    """Recompute what a measurement report cites and, where its inputs are available, the report itself.

    Parameters
    ----------
    report : Path
        A measurement report (TID 1500) made by OsteoNode.
    configuration : Configuration
        [analysis], [segmentation] and [models] are compared with the report; [storage] and [store] say where
        the node keeps images.
    inputs : sequence of Path
        Files or folders with the images. If empty, the images are taken from the node's storage.
    priors : sequence of Examination
        Earlier examinations of the patient; besides, those in the node's database.
    report_progress : callable
        Called with the name of each step when it begins.

    Returns
    -------
    tuple of ReportCheck
        The checks of software, configuration, model, each input series, the earlier examination if the report
        compares with one, and the result, in this order.

    Raises
    ------
    PermanentError
        If the file is not a measurement report made by OsteoNode.
    FileNotFoundError
        If a path does not exist.
    """
    report_progress("reading the report")
    read = _read(report)
    report_progress("digesting the inputs")
    study_uid = str(read.document.StudyInstanceUID)
    series = _images(study_uid, inputs, configuration)
    earlier = _earlier(read.citation, (*priors, *_kept(study_uid, configuration)))
    checks = [
        _compare("software", read.citation.software, SOFTWARE),
        _compare("configuration", read.citation.configuration, configuration.analysis.digest()),
        _model(read.citation, configuration),
        *_inputs(read.citation, series),
        *_earlier_check(read.citation, earlier),
    ]
    doubtful = [one.subject for one in checks if one.outcome is not CheckOutcome.EQUAL]
    if doubtful:
        reason = f"it can be compared only where these are equal: {', '.join(doubtful)}"
        return (*checks, ReportCheck("result", CheckOutcome.NOT_CHECKED, (reason,)))
    return (*checks, _result(read, configuration, series, earlier, report_progress))


@dataclass(frozen=True, slots=True, eq=False)
class _Report:
    """A measurement report, what it cites, and the options it was written with."""

    document: Dataset
    citation: Citation
    presentation: ReportOptions


def _read(path: Path) -> _Report:
    try:
        document = dcmread(path)
    except InvalidDicomError:
        raise PermanentError(f"{path.name} is not a DICOM file") from None
    except (AttributeError, EOFError, KeyError, NotImplementedError, ValueError) as error:
        raise PermanentError(f"{path.name} is damaged ({type(error).__name__})") from None
    try:
        return _Report(document, read_citation(document), presentation_of(document))
    except ValueError as error:
        raise PermanentError(f"{path.name} cannot be verified: {error}") from None
    except (AttributeError, IndexError, KeyError) as error:
        raise PermanentError(f"{path.name} is damaged ({type(error).__name__})") from None


def _images(
    study_uid: str, inputs: Sequence[Path], configuration: Configuration
) -> tuple[SeriesHeaders, ...]:
    """Return the series of a study that hold only MR images, as the node analyses them."""
    files = files_below(inputs) if inputs else _stored_images(study_uid, configuration)
    return tuple(
        one
        for one in scan(files)[0]
        if one.study_uid == study_uid and {str(each.SOPClassUID) for each in one.headers} <= MR_IMAGE_CLASSES
    )


def _stored_images(study_uid: str, configuration: Configuration) -> tuple[Path, ...]:
    """Return the files of a study in the node's storage; empty if the node has none or never ran."""
    try:
        store = open_store(configuration)
    except PermanentError:
        return ()
    places = open_instance_store(configuration)
    try:
        kept = mr_images(store.instances(study_uid))
        return tuple(path for path in map(places.path, kept) if path.is_file())
    finally:
        store.close()


def _kept(study_uid: str, configuration: Configuration) -> tuple[Examination, ...]:
    """Return the earlier examinations in the node's database that a report of a study may compare with."""
    try:
        store = open_store(configuration)
    except PermanentError:
        return ()
    try:
        lineage = store.lineage(study_uid)
    finally:
        store.close()
    compared = lineage.compared.earlier if lineage.compared is not None else None
    return (*((compared,) if compared is not None else ()), *lineage.priors)


def _earlier(citation: Citation, priors: Sequence[Examination]) -> Examination | None:
    return next((one for one in priors if one.digest() == citation.earlier), None)


def _earlier_check(citation: Citation, earlier: Examination | None) -> Iterator[ReportCheck]:
    if citation.earlier and earlier is None:
        told = "its scores are not at hand: give its findings.json as --prior"
        yield ReportCheck("earlier examination", CheckOutcome.NOT_CHECKED, (told,))
    elif earlier is not None:
        yield ReportCheck("earlier examination", CheckOutcome.EQUAL)


def _compare(subject: str, cited: str, here: str) -> ReportCheck:
    if cited == here:
        return ReportCheck(subject, CheckOutcome.EQUAL)
    return ReportCheck(subject, CheckOutcome.DIFFERENT, (f"the report cites {cited}, here it is {here}",))


def _model(citation: Citation, configuration: Configuration) -> ReportCheck:
    from analysis.prediction.bundle import digest_of

    bundle = configuration.models.bundle
    if not citation.model:
        # Whatever is configured here, the result is recomputed as it was made: without a model.
        return ReportCheck("model", CheckOutcome.EQUAL, ("none was used: measurements and outlines only",))
    if bundle is None:
        return _compare("model", citation.model, NO_MODEL)
    try:
        return _compare("model", citation.model, digest_of(bundle))
    except ModelRejectedError as error:
        return ReportCheck("model", CheckOutcome.DIFFERENT, (str(error),))


def _inputs(citation: Citation, series: Sequence[SeriesHeaders]) -> Iterator[ReportCheck]:
    # A multi-frame series may hold several stacks; the last one in this order is the one that was analysed.
    at_hand = {one.series_uid: one for one in sorted(series, key=lambda one: identify(one.facts).usable)}
    if not citation.inputs:
        yield ReportCheck("inputs", CheckOutcome.DIFFERENT, ("the report cites none",))
    for series_uid, digest in citation.inputs.items():
        subject = f"input {series_uid}"
        if series_uid not in at_hand:
            yield ReportCheck(subject, CheckOutcome.NOT_CHECKED, ("its images are not at hand",))
            continue
        try:
            here = decode(at_hand[series_uid])[0].digest
        except RefusedError as error:
            yield ReportCheck(subject, CheckOutcome.DIFFERENT, error.reasons)
        else:
            yield _compare(subject, digest, here)


def _result(
    report: _Report,
    configuration: Configuration,
    series: Sequence[SeriesHeaders],
    earlier: Examination | None,
    report_progress: Progress,
) -> ReportCheck:
    """Analyse the inputs again and compare the new report with this one."""
    from dicom_templates.result_set import build

    bundle = configuration.models.bundle if report.citation.model else None
    found, sources = analyse_series(
        series,
        configuration.analysis,
        configuration.segmentation,
        bundle,
        report_progress,
        remarks=correction_remarks(corrected=report.citation.corrected),
        # As the report was made: what the node knew of the scanner is cited in full.
        departures_of=lambda _scanner, _bundle: report.citation.departures,
    )
    if isinstance(found, Refusal):
        return ReportCheck("result", CheckOutcome.DIFFERENT, ("these inputs give no report", *found.reasons))
    if earlier is not None:
        header = sources[found.series[0].source.series_uid][0]
        found = replace(found, prior=compare(earlier, examination(found, header)))
    report_progress("comparing the result")
    # With the time when the report was made, which nothing but the report tells.
    (again,) = build(found, sources, report.presentation).objects
    different = differences(report.document, _as_read(again.dataset))
    if different and all("UID" in line for line in different):
        different = (_WHOLE_STUDY, *different)
    return ReportCheck("result", CheckOutcome.DIFFERENT if different else CheckOutcome.EQUAL, different)


def _as_read(dataset: Dataset) -> Dataset:
    """Write a dataset and read it back, so that its values have the types of values from a file."""
    stream = BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    stream.seek(0)
    return dcmread(stream)
