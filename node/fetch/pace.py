"""How much may be asked of an archive at a moment."""

from dataclasses import dataclass
from datetime import time

from node.config import FetchLimits
from node.domain.wish import Eligible

__all__ = ["Load", "Permission", "permission"]


@dataclass(frozen=True, slots=True)
class Load:
    """What there is to do already.

    Attributes
    ----------
    begun_last_hour : int
        Studies of which fetching began within the last hour.
    unfinished : int
        Fetched studies that are still to be analysed.
    is_live_arriving : bool
        Whether images that nobody asked for are being received.
    """

    begun_last_hour: int = 0
    unfinished: int = 0
    is_live_arriving: bool = False


@dataclass(frozen=True, slots=True)
class Permission:
    """Which wishes may be worked on, and why not all of them; empty if all may."""

    which: Eligible
    reason: str = ""


def permission(limits: FetchLimits, load: Load, at: time) -> Permission:
    """Tell what may be fetched.

    Parameters
    ----------
    limits : FetchLimits
        Of the archive.
    load : Load
        What there is to do already.
    at : time
        The local time of the day.

    Examples
    --------
    >>> night = FetchLimits(window="18:00 to 06:00", studies_per_hour=10)
    >>> permission(night, Load(), time(20)).which
    <Eligible.ALL: 'all'>
    >>> permission(night, Load(), time(12)).reason
    'the backlog is fetched 18:00 to 06:00'
    >>> permission(night, Load(begun_last_hour=10), time(20)).reason
    '10 studies were begun within an hour, which is the limit'
    """
    if load.is_live_arriving:
        return Permission(Eligible.LIVE, "images that are being sent to this node go first")
    if load.unfinished >= limits.ahead:
        return Permission(Eligible.BEGUN, f"{load.unfinished} fetched studies wait to be analysed")
    if limits.studies_per_hour and load.begun_last_hour >= limits.studies_per_hour:
        told = f"{load.begun_last_hour} studies were begun within an hour, which is the limit"
        return Permission(Eligible.BEGUN, told)
    if limits.hours is not None and not limits.hours.holds(at):
        return Permission(Eligible.LIVE_OR_BEGUN, f"the backlog is fetched {limits.window}")
    return Permission(Eligible.ALL)
