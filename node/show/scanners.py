"""The scanners as operators see them: their states, how many studies lie far, and how that went by month."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from node.domain.drift import WINDOW, MonthFigures, Observation, ScannerRange, Subject, by_month

__all__ = ["ScannerView", "scanner_id", "scanner_views"]


@dataclass(frozen=True, slots=True)
class ScannerView:
    """One scanner, as a model reads one of its sequences.

    Attributes
    ----------
    identifier : str
        Short name of the scanner (`scanner_id`).
    subject : Subject
        The scanner, the model and the basis.
    range : ScannerRange
        Its state.
    far, studies : int
        How many of its latest studies are far, now.
    months : tuple of MonthFigures
        Its studies by month, the oldest first.
    """

    identifier: str
    subject: Subject
    range: ScannerRange
    far: int
    studies: int
    months: tuple[MonthFigures, ...]

    @property
    def total(self) -> int:
        """Number of its studies in these months."""
        return sum(one.studies for one in self.months)


def scanner_id(scanner: str) -> str:
    """Return the short name of a scanner: what its headers say is too long for a command or a label.

    Examples
    --------
    >>> scanner_id("SIEMENS, Aera, 1.5 T, no. 41234")
    'M-962a4db8'
    """
    return f"M-{sha256(scanner.encode()).hexdigest()[:8]}"


def scanner_views(
    ranges: Mapping[Subject, ScannerRange], observations: Iterable[Observation], bundle: str
) -> tuple[ScannerView, ...]:
    """Return the scanners that a model has read, ordered by name and basis.

    Parameters
    ----------
    ranges : mapping of Subject to ScannerRange
        All that are kept.
    observations : iterable of Observation
        Their studies, the oldest first.
    bundle : str
        Digest of the model.
    """
    of_each: dict[Subject, list[Observation]] = {}
    for one in observations:
        of_each.setdefault(one.subject, []).append(one)
    views = []
    for subject, there in sorted(ranges.items()):
        if subject.bundle != bundle:
            continue
        all_of_it = of_each.get(subject, [])
        since = there.accepted_at
        latest = [one for one in all_of_it if since is None or one.at > since][-WINDOW:]
        far = sum(one.found.is_far for one in latest)
        views.append(
            ScannerView(scanner_id(subject.scanner), subject, there, far, len(latest), by_month(all_of_it))
        )
    return tuple(views)
