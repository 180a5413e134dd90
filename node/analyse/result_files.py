"""Write the result objects of a study to files, with the options that the site configured."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import Dataset, dcmwrite

from dicom_templates.result_kinds import USUAL_KINDS, ResultKind
from node.config import USUAL_NEXT_STEP, Configuration
from node.decode.header_values import text
from node.domain.results import ResultFile

if TYPE_CHECKING:
    from dicom_templates.options import ReportOptions
    from dicom_templates.result_set import ResultSet

__all__ = ["SUMMARY_FILE", "local_time", "report_options", "write_fhir", "write_results"]

_FHIR_FILE = "fhir.json"
SUMMARY_FILE = "summary.png"
"""The summary image, beside the result objects."""


def report_options(configuration: Configuration, made: datetime) -> "ReportOptions":
    """Return how the result objects of a study are to be made.

    Parameters
    ----------
    configuration : Configuration
        Its section [report], the AE title of the node, and the result kinds and SR classes that its
        destinations want.
    made : datetime
        When the results were first made, from `local_time`.
    """
    from dicom_templates.options import ReportOptions
    from dicom_templates.words.compose import usual_next_step

    language, next_step = configuration.report.language, configuration.report.next_step
    wanted = {kind for destination in configuration.destinations for kind in destination.results}
    if configuration.report.fhir:
        wanted.add(ResultKind.FHIR)
    return ReportOptions(
        made=made,
        language=language,
        sr_classes=configuration.sr_classes,
        station=configuration.node.ae_title,
        kinds=frozenset(wanted.union(USUAL_KINDS)),
        next_step=usual_next_step(language) if next_step == USUAL_NEXT_STEP else next_step,
    )


def write_results(made: "ResultSet", out: Path) -> tuple[ResultFile, ...]:
    """Write a result set, and the summary image and the PDF report also as `summary.png` and `report.pdf`.

    Parameters
    ----------
    made : ResultSet
        The objects to write.
    out : Path
        Folder for the files; made if it does not exist.

    Returns
    -------
    tuple of ResultFile
        One for each DICOM object.
    """
    out.mkdir(parents=True, exist_ok=True)
    return tuple(_write(one.kind, one.name, one.dataset, out) for one in made.objects)


def write_fhir(bundle: Mapping[str, Any], key: str, earlier: int, out: Path) -> ResultFile:
    """Write the transaction for a FHIR server as `fhir.json`.

    It withdraws what earlier sets of the study observed and this one does not, as far as their files are kept
    in the folders beside `out`.

    Parameters
    ----------
    bundle : mapping
        From `dicom_templates.fhir`.
    key : str
        Of the result set.
    earlier : int
        How many were sent before it. A set that comes back after another is sent again, as it replaces that.
    out : Path
        Folder for the file, which exists.
    """
    from dicom_templates.fhir import withdraw_others
    from dicom_templates.origin.uids import derive_uid

    if earlier:
        bundle = withdraw_others(bundle, _earlier_bundles(out))
    uid = derive_uid(key, "fhir", str(earlier))
    path = out / _FHIR_FILE
    path.write_text(json.dumps(bundle, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return ResultFile(ResultKind.FHIR, path, "", uid, "")


def _earlier_bundles(out: Path) -> list[dict[str, Any]]:
    found = []
    for file in sorted(out.parent.glob(f"*/{_FHIR_FILE}")):
        with suppress(OSError, ValueError):  # a damaged one tells nothing
            found.append(json.loads(file.read_text(encoding="utf-8")))
    return found


def _write(kind: ResultKind, name: str, dataset: Dataset, out: Path) -> ResultFile:
    path = out / f"{name}.dcm"
    dcmwrite(path, dataset, enforce_file_format=True)
    if kind is ResultKind.SUMMARY:
        from dicom_templates.pictures.png import png_of

        (out / SUMMARY_FILE).write_bytes(png_of(dataset.pixel_array))
    if kind is ResultKind.PDF:
        document = dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength]
        (out / "report.pdf").write_bytes(document)
    identity = (dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.SeriesInstanceUID)
    return ResultFile(kind, path, *map(str, identity))


def local_time(moment: datetime, source: Dataset) -> datetime:
    """Return a moment as the times in an image are written, to the second and without its zone.

    A result takes over TimezoneOffsetFromUTC, which holds for all times in it. Without one, or with one that
    is none, times are local to the site.
    """
    told = text(source, "TimezoneOffsetFromUTC")
    try:
        zone = datetime.strptime(told, "%z").tzinfo
    except ValueError:
        zone = None
    return moment.astimezone(zone).replace(microsecond=0, tzinfo=None)
