"""The check of the clock, against the files of the node and against what peers tell of the time.

DICOM has no query for the time. An archive with DICOMweb tells it with each answer, and a PostgreSQL server
when it is asked.

References
----------
RFC 9110 6.6.1, Date; RFC 9111 5.1, Age.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from node.clock import SystemClock
from node.config import Configuration, Destination
from node.errors import PermanentError, TransientError
from node.operate.doctor.echo import PATIENCE_S
from node.operate.doctor.result import CheckResult, Severity
from node.store import server_time, store_url

__all__ = ["Reading", "clock"]

_BEHIND_FILES_S = 60.0
_WARN_S, _FAULT_S = 5.0, 60.0
_REMEDY = "Set the clock, and let NTP keep it right; deadlines, retries and the audit trail depend on it."


@dataclass(frozen=True, slots=True)
class Reading:
    """What a peer told of the time.

    Attributes
    ----------
    told : datetime
        The time that it told.
    step_s : float
        How exact that is: a peer that tells whole seconds may be ahead of them by 1 s.
    asked, answered : datetime
        When it was asked, and when its answer was here, by the clock of this machine.
    """

    told: datetime
    step_s: float
    asked: datetime
    answered: datetime

    @property
    def off_s(self) -> float:
        """Seconds by which this clock is at least ahead of that of the peer; negative if it is behind."""
        ahead = (self.asked - self.told).total_seconds() - self.step_s
        behind = (self.answered - self.told).total_seconds()
        return max(ahead, 0.0) + min(behind, 0.0)


def clock(configuration: Configuration) -> Iterator[CheckResult]:
    """Check that the clock is not behind the files of the node, and agrees with those of peers that tell."""
    yield _beside_files(configuration)
    peers = dict(_peers(configuration))
    compared = 0
    for name, ask in peers.items():
        try:
            reading = ask()
        except (TransientError, PermanentError) as error:
            yield CheckResult(
                Severity.GOOD, "clock", f"it could not be compared with that of {name}: {error}"
            )
            continue
        if reading is None:
            yield CheckResult(Severity.GOOD, "clock", f"{name} does not tell the time")
        else:
            compared += 1
            yield _judged(name, reading)
    if not compared:
        yield CheckResult(
            Severity.GOOD, "clock",
            "it was compared with no other: DICOM peers do not tell the time; an archive that is reached by "
            "stow_url or a PostgreSQL server would",
        )  # fmt: skip


def _beside_files(configuration: Configuration) -> CheckResult:
    now = SystemClock().now().timestamp()
    files = (path for path in configuration.storage.directory.glob("*") if path.is_file())
    newest = max((path.stat().st_mtime for path in files), default=0.0)
    if newest > now + _BEHIND_FILES_S:
        words = f"it is {newest - now:.0f} s behind the newest file in the storage"
        return CheckResult(Severity.FAULT, "clock", words, _REMEDY)
    return CheckResult(Severity.GOOD, "clock", "it is not behind the newest file in the storage")


def _judged(name: str, reading: Reading) -> CheckResult:
    off = reading.off_s
    if abs(off) < _WARN_S:
        return CheckResult(Severity.GOOD, "clock", f"it agrees with that of {name}")
    severity = Severity.FAULT if abs(off) >= _FAULT_S else Severity.WARNING
    words = f"it is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} that of {name}"
    return CheckResult(severity, "clock", words, f"Find out which of the two is wrong. {_REMEDY}")


def _peers(configuration: Configuration) -> Iterator[tuple[str, Callable[[], Reading | None]]]:
    """Return the configured peers that may tell the time, each with the question to it."""
    for destination in configuration.destinations:
        if destination.stow_url:
            yield f"destination {destination.name}", partial(_from_archive, destination)
    if configuration.store.is_server:
        yield "the database server", partial(_from_database, store_url(configuration))


def _from_archive(destination: Destination) -> Reading | None:
    # Imported here so that `osteonode --help` need not load the HTTP client.
    from node.deliver.carriers.stow import StowCarrier

    asked = SystemClock().now()
    told = StowCarrier(destination, Path(), PATIENCE_S).told_time()
    return None if told is None else Reading(told, 1.0, asked, SystemClock().now())


def _from_database(url: str) -> Reading | None:
    asked = SystemClock().now()
    told = server_time(url)
    return None if told is None else Reading(told, 0.0, asked, SystemClock().now())
