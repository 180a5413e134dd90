"""Write the text report of a refusal from the files of the refused study; runs in a worker process."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from pydicom import Dataset

from analysis.domain.findings import Refusal
from analysis.domain.reason import Reason
from analysis.errors import RefusedError
from analysis.identify import identify
from dicom_templates.result_kinds import ResultKind
from node.analyse.findings import SOFTWARE, correction_remarks, identity_reasons
from node.analyse.result_files import local_time, report_options, write_fhir, write_results
from node.clock import SystemClock
from node.config import Configuration
from node.decode import SeriesHeaders, scan
from node.decode.damage import damage_refused
from node.domain.results import Lineage, Outcome

__all__ = ["write_refusal_report"]


def write_refusal_report(
    paths: Sequence[Path],
    configuration: Configuration,
    out: Path,
    reasons: tuple[Reason, ...],
    lineage: Lineage,
    *,
    now: datetime | None = None,
) -> Outcome:
    """Write a report that says in the archive why a study has no result.

    Parameters
    ----------
    paths : sequence of Path
        The MR instances of the study.
    configuration : Configuration
        Its section [report] and the AE title of the node.
    out : Path
        Folder for the report; made if it does not exist.
    reasons : tuple of Reason
        Why the study was refused, without patient data.
    lineage : Lineage
        The earlier results of this study, which the report names as its predecessors.
    now : datetime, optional
        When the report is made, if it was not made before; by default, when it is written.

    Returns
    -------
    Outcome
        The text report; none if the images name several patients, as it could be filed under the wrong one.
    """
    from dicom_templates.fhir import fhir_refusal
    from dicom_templates.origin.patient_study import patient_digest
    from dicom_templates.origin.provenance import refusal_provenance
    from dicom_templates.result_set import build_refusal

    series, _ = scan(paths)
    if not series or identity_reasons(series):
        return Outcome((), reasons, {})
    refusal = Refusal((*reasons, *correction_remarks(corrected=lineage.corrected)))
    # Without the series that the refusal is not about: if one of them comes late, the image from which the
    # report takes the patient and the study may not change.
    about = [one for one in series if identify(one.facts).usable] or series
    source = _readable(about)
    now = now or SystemClock().now()
    options = report_options(configuration, local_time(now, source))
    patient = patient_digest(source)
    key = refusal_provenance(refusal, SOFTWARE, series[0].study_uid, options, patient=patient).key
    replaced, first_made = lineage.predecessors(key), lineage.made_at(key, now)
    options = replace(options, predecessors=replaced, made=local_time(first_made, source))
    made = build_refusal(refusal, source, options, software=SOFTWARE)
    files = write_results(made, out)
    if ResultKind.FHIR in options.kinds:
        earlier = lineage.earlier_as_fhir(key)
        told = fhir_refusal(refusal, made.report, source, first_made, replaces=bool(earlier))
        files = (*files, write_fhir(told, key, earlier, out))
    return Outcome(files, reasons, {}, key, replaced, made=first_made)


def _readable(series: Sequence[SeriesHeaders]) -> Dataset:
    """Return the first header whose patient and study the report can take over; the first if none is so."""
    from dicom_templates.objects.source_check import check_source

    for one in series:
        with suppress(RefusedError), damage_refused("instance_damaged"):
            check_source(one.headers[0])
            return one.headers[0]
    return series[0].headers[0]
