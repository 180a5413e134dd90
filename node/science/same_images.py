"""The same person twice in a cohort: found by the UIDs, the pixels and the Patient ID of the images.

A person who is counted twice stands in both halves of a split, and the figures are too good.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from analysis.cohort.cohort_table import CohortRow
from analysis.domain.reason import quoted
from analysis.errors import RefusedError
from node.decode import files_below

__all__ = ["refuse_repeated_patients"]

_TAGS = ["PatientID", "IssuerOfPatientID", "SOPInstanceUID", "SeriesInstanceUID", "PixelData"]
_WORDS = {
    "uid": "the same series or instance (by UID)",
    "pixels": "the same images (by their pixels)",
    "person": "the same Patient ID in the images",
}
_PLACEHOLDER_ROWS = 3


def refuse_repeated_patients(rows: Sequence[CohortRow]) -> None:
    """Refuse a cohort in which two rows are of one person.

    Images without any contrast, such as an empty slice, are no evidence. Nor is a Patient ID that more than
    half of at least three rows share: that is a placeholder of anonymised images. Files that cannot be read
    are left to the measurement, which tells of them.

    Parameters
    ----------
    rows : sequence of CohortRow
        The cohort table.

    Raises
    ------
    RefusedError
        With one reason that names the lines of the table.
    """
    lines: dict[tuple[str, str], set[int]] = defaultdict(set)
    for row in rows:
        for mark in _marks(row.study):
            lines[mark].add(row.line)
    found: dict[tuple[int, ...], set[str]] = defaultdict(set)
    for (kind, _), those in lines.items():
        placeholder = kind == "person" and len(those) >= _PLACEHOLDER_ROWS and 2 * len(those) > len(rows)
        if len(those) > 1 and not placeholder:
            found[tuple(sorted(those))].add(kind)
    if found:
        told = "; ".join(
            f"lines {', '.join(map(str, those))}: "
            f"{', '.join(word for kind, word in _WORDS.items() if kind in kinds)}"
            for those, kinds in sorted(found.items())
        )
        raise RefusedError(
            quoted(f"a person stands in the cohort table more than once and would be counted twice. {told}")
        )


def _marks(study: Path) -> Iterator[tuple[str, str]]:
    """Yield what tells the images of one study from those of others; identifiers as digests."""
    for path in _files(study):
        try:
            image = dcmread(path, specific_tags=_TAGS)
        except (InvalidDicomError, OSError, ValueError, NotImplementedError):
            continue
        if person := str(image.get("PatientID", "")).strip():
            yield "person", sha256(f"{person}\0{image.get('IssuerOfPatientID', '')}".encode()).hexdigest()
        for tag in ("SOPInstanceUID", "SeriesInstanceUID"):
            if uid := str(image.get(tag, "")):
                yield "uid", uid
        pixels = image.get("PixelData")
        if pixels and len(set(pixels)) > 1:
            yield "pixels", sha256(pixels).hexdigest()


def _files(study: Path) -> Iterable[Path]:
    try:
        return list(files_below([study]))
    except OSError:
        return []
