"""Write the result objects of a study to files, with the options that the site configured."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom import Dataset, dcmwrite

from dicom_templates.result_kinds import USUAL_KINDS, ResultKind
from node.config import Configuration
from node.domain.results import ResultFile

if TYPE_CHECKING:
    from dicom_templates.options import ReportOptions
    from dicom_templates.result_set import ResultSet

__all__ = ["latest_moment", "report_options", "write_results"]

_NO_DATE = datetime(1900, 1, 1)  # noqa: DTZ001 - DICOM times are local to the site


def report_options(configuration: Configuration, headers: Iterable[Dataset]) -> "ReportOptions":
    """Return how the result objects of a study are to be made.

    Parameters
    ----------
    configuration : Configuration
        Its section [report], the AE title of the node, and the result kinds and SR classes that its
        destinations want.
    headers : iterable of Dataset
        Headers of the images that the results are about; the latest date and time in them becomes that of
        the results.
    """
    from dicom_templates.options import ReportOptions

    wanted = {kind for destination in configuration.destinations for kind in destination.results}
    return ReportOptions(
        created=latest_moment(headers),
        language=configuration.report.language,
        sr_classes=configuration.sr_classes,
        station=configuration.node.ae_title,
        kinds=frozenset(wanted.union(USUAL_KINDS)),
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


def _write(kind: ResultKind, name: str, dataset: Dataset, out: Path) -> ResultFile:
    path = out / f"{name}.dcm"
    dcmwrite(path, dataset, enforce_file_format=True)
    if kind is ResultKind.SUMMARY:
        from PIL import Image

        Image.fromarray(dataset.pixel_array).save(out / "summary.png")
    if kind is ResultKind.PDF:
        document = dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength]
        (out / "report.pdf").write_bytes(document)
    identity = (dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.SeriesInstanceUID)
    return ResultFile(kind, path, *map(str, identity))


def latest_moment(headers: Iterable[Dataset]) -> datetime:
    """Return the latest date and time in the headers; results carry it instead of the present time.

    So the same images give the same bytes (docs/decisions/0002).
    """
    moments = [moment for header in headers if (moment := _moment(header)) is not None]
    return max(moments, default=_NO_DATE)


def _moment(header: Dataset) -> datetime | None:
    for kind in ("Content", "Acquisition", "Series", "Study"):
        date, time = str(header.get(f"{kind}Date") or ""), str(header.get(f"{kind}Time") or "")
        # Fractions are dropped and missing parts are zero: viewers show minutes.
        digits = date[:8] + time.split(".", maxsplit=1)[0].replace(":", "")[:6].ljust(6, "0")
        try:
            return datetime.strptime(digits, "%Y%m%d%H%M%S")  # noqa: DTZ007 - local to the site
        except ValueError:
            continue
    return None
