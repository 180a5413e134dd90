"""Write the result objects of a study to files, with the options that the site configured."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom import Dataset, dcmwrite

from dicom_templates.result_kinds import USUAL_KINDS, ResultKind
from node.config import USUAL_NEXT_STEP, Configuration
from node.decode.header_values import text
from node.domain.results import ResultFile

if TYPE_CHECKING:
    from dicom_templates.options import ReportOptions
    from dicom_templates.result_set import ResultSet

__all__ = ["latest_moment", "moment_of_results", "report_options", "write_results"]

_KINDS = ("Content", "Acquisition", "Series", "Study", "InstanceCreation")
_FIRST_YEAR = 1000
"""A date of a smaller year, such as 00010101, stands for none and cannot be written."""


def report_options(configuration: Configuration, headers: Iterable[Dataset]) -> "ReportOptions":
    """Return how the result objects of a study are to be made.

    Parameters
    ----------
    configuration : Configuration
        Its section [report], the AE title of the node, and the result kinds and SR classes that its
        destinations want.
    headers : iterable of Dataset
        Headers of the images that the results are about; they give the date and time of the results.
    """
    from dicom_templates.options import ReportOptions
    from dicom_templates.words.compose import usual_next_step

    language, next_step = configuration.report.language, configuration.report.next_step
    wanted = {kind for destination in configuration.destinations for kind in destination.results}
    return ReportOptions(
        created=moment_of_results(headers),
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


def moment_of_results(headers: Iterable[Dataset]) -> datetime:
    """Return the date and time that results carry instead of the present time.

    So the same images give the same bytes (docs/decisions/0002). If no header has a date, as in many
    anonymised studies, it is when the latest image was written here: a date of the images is not invented.

    Raises
    ------
    ValueError
        If there is neither.
    """
    read = list(headers)
    received = [stamp for header in read if (stamp := getattr(header, "timestamp", None)) is not None]
    known = latest_moment(read)
    return known or datetime.fromtimestamp(int(max(received)))  # noqa: DTZ006 - local to the site


def latest_moment(headers: Iterable[Dataset]) -> datetime | None:
    """Return the latest date and time in the headers; None if they have none."""
    moments = [moment for header in headers if (moment := _moment(header)) is not None]
    return max(moments, default=None)


def _moment(header: Dataset) -> datetime | None:
    told = [(text(header, f"{kind}Date"), text(header, f"{kind}Time")) for kind in _KINDS]
    told += [(both[:8], both[8:]) for both in [text(header, "AcquisitionDateTime")]]
    moments = (_parsed(date, time) for date, time in told)
    days = (_parsed(date, "") for date, _ in told)
    return next((moment for moment in (*moments, *days) if moment is not None), None)


def _parsed(date: str, time: str) -> datetime | None:
    # Dates had dots before the year 1993 (ACR-NEMA 2.0), times had colons.
    day, seconds = date.replace(".", "")[:8], time.replace(":", "")
    # Fractions are dropped and missing parts are zero: viewers show minutes.
    digits = day + seconds.partition(".")[0][:6].ljust(6, "0")
    try:
        moment = datetime.strptime(digits, "%Y%m%d%H%M%S")  # noqa: DTZ007 - local to the site
    except ValueError:
        return None
    return moment if moment.year >= _FIRST_YEAR else None
