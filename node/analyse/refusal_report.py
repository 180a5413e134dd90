"""The text report that explains a refusal, from the files of the study it is about."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from analysis.domain.findings import Refusal
from analysis.domain.reason import Reason
from node.analyse.result_files import report_options, write_results
from node.analyse.study import SOFTWARE, patients
from node.config import Configuration
from node.decode import scan
from node.domain.results import Lineage, Outcome

__all__ = ["explain_refusal"]


def explain_refusal(
    paths: Sequence[Path],
    configuration: Configuration,
    out: Path,
    reasons: tuple[Reason, ...],
    lineage: Lineage,
) -> Outcome:
    """Write why a study has no result, so that silence is explained in the archive.

    Parameters
    ----------
    paths : sequence of Path
        Its MR instances.
    configuration : Configuration
        Its section [report] and the node's AE title.
    out : Path
        Folder for the file.
    reasons : tuple of Reason
        Why, without patient data.
    lineage : Lineage
        The earlier results of this study, which the new document names.

    Returns
    -------
    Outcome
        The text report; no results where the images name several patients, for then nobody knows whose it is.
    """
    from dicom_templates.origin.provenance import refusal_provenance
    from dicom_templates.result_set import build_refusal

    series, _ = scan(paths)
    if not series or patients(series) > 1:
        return Outcome((), reasons, {})
    refusal = Refusal(reasons)
    source = series[0].headers[0]
    options = report_options(configuration, (header for one in series for header in one.headers))
    key = refusal_provenance(refusal, SOFTWARE, series[0].study_uid, options).key
    replaced = lineage.predecessors(key)
    made = build_refusal(refusal, source, replace(options, predecessors=replaced), software=SOFTWARE)
    return Outcome(write_results(made, out), reasons, {}, key, replaced)
