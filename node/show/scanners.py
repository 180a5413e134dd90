"""The scanners as operators see them: their states, how many studies lie far, and how that went by month."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from analysis.errors import ModelRejectedError
from analysis.prediction.checksums import digest_of
from node.domain.drift import WINDOW, MonthFigures, Observation, ScannerRange, Subject, by_month
from node.errors import TransientError
from node.ports import Figures

__all__ = ["ScannerReader", "ScannerView", "scanner_id", "scanner_views"]

_AGE = timedelta(minutes=10)
"""Of the studies; every one of a year is read."""
_BACK = timedelta(days=400)


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


class ScannerReader:
    """Reads the scanners that a model has read: their states each time, and their studies every ten minutes.

    If a state has changed, the studies are read at once.

    Parameters
    ----------
    store : Figures
        Holds them.
    bundle : Path or None
        Folder of the model; there are no scanners without one that is whole.
    """

    def __init__(self, store: Figures, bundle: Path | None) -> None:
        self._store = store
        self._bundle = _digest(bundle)
        self._latest: tuple[datetime, tuple[ScannerView, ...]] | None = None

    def read(self, now: datetime) -> tuple[ScannerView, ...]:
        """Return them; none if the store does not answer."""
        if not self._bundle:
            return ()
        try:
            ranges = {
                subject: there
                for subject, there in self._store.scanner_ranges().items()
                if subject.bundle == self._bundle
            }
            if self._latest is None or not self._is_new(*self._latest, ranges, now):
                studies = self._store.observations(self._bundle, now - _BACK)
                self._latest = now, scanner_views(ranges, studies, self._bundle)
        except TransientError:
            return ()
        return tuple(replace(view, range=ranges[view.subject]) for view in self._latest[1])

    @staticmethod
    def _is_new(
        at: datetime, views: Sequence[ScannerView], ranges: Mapping[Subject, ScannerRange], now: datetime
    ) -> bool:
        read = {view.subject: view.range for view in views}
        return timedelta() <= now - at < _AGE and _told(read) == _told(ranges)


def _told(ranges: Mapping[Subject, ScannerRange]) -> Mapping[Subject, tuple[object, ...]]:
    # With another state the counts of before would contradict it; a study more is no reason to read a year.
    return {subject: (one.state, one.since, one.accepted_at) for subject, one in ranges.items()}


def _digest(bundle: Path | None) -> str:
    """Return the digest of a bundle, by which its studies are kept; empty if there is none that is whole."""
    try:
        return "" if bundle is None else digest_of(bundle)
    except ModelRejectedError:
        return ""
