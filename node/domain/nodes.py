"""The nodes that work with one database and one storage: what each tells of itself, and who may analyse."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

__all__ = ["REMEMBERED", "NodeEntry", "NodeRole", "SeenNode", "why_not_analyse"]

REMEMBERED = timedelta(days=7)
"""How long a node that has vanished is told; after that, the site is taken to have removed it."""

_CLOCKS_DIFFER_S = 30.0
"""What the nodes record is due at moments of their own clocks: the other one would act on it that much too
late, or too early. Well above what a database that is busy for a moment adds."""


class NodeRole(StrEnum):
    """What a node does."""

    MAIN = "main"
    ANALYSE = "analyse"


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """What a node tells of itself in the database.

    Attributes
    ----------
    owner : str
        Identifies the process in its leases.
    name : str
        By which people know the node; that of its machine, unless it was given another.
    role : NodeRole
        What it does.
    started_at : datetime
        Since when it works.
    decides : mapping of str to str
        A digest of each part of program and configuration that decides results, by name of the part.
    early : tuple of str
        Study Instance UIDs that the main node analyses before they have settled, and so keeps to itself.
    waits : str
        Why it begins no analysis, in words; empty if it does.
    """

    owner: str
    name: str
    role: NodeRole
    started_at: datetime
    decides: Mapping[str, str] = field(default_factory=dict)
    early: tuple[str, ...] = ()
    waits: str = ""


@dataclass(frozen=True, slots=True)
class SeenNode:
    """A node as the database knows it, at one moment of the clock of the database.

    Attributes
    ----------
    entry : NodeEntry
        What it told of itself.
    silent_for : timedelta
        Time since its last sign of life.
    is_alive : bool
        Whether that is less than the node itself said that it would be.
    studies : tuple of str
        Study Instance UIDs that it has leased.
    ahead_s : float
        Seconds by which its clock was ahead of that of the database at its last sign of life.
    """

    entry: NodeEntry
    silent_for: timedelta
    is_alive: bool
    studies: tuple[str, ...] = ()
    ahead_s: float = 0.0


def why_not_analyse(owner: str, decides: Mapping[str, str], seen: Sequence[SeenNode]) -> str:
    """Tell why an analysing node may begin no study; empty if it may.

    A main node that has vanished still says what decides results: it may be back in a moment, or another
    takes over. One that was stopped has no entry, and then nothing is begun, as it may be stopped for an
    upgrade.

    Parameters
    ----------
    owner : str
        The analysing node.
    decides : mapping of str to str
        Its own; see `NodeEntry`.
    seen : sequence of SeenNode
        All nodes.

    Examples
    --------
    >>> why_not_analyse("a", {}, [])
    'the database has not heard of this node for too long'
    """
    ours = next((one for one in seen if one.entry.owner == owner and one.is_alive), None)
    if ours is None:
        return "the database has not heard of this node for too long"
    mains = [one for one in seen if one.entry.role is NodeRole.MAIN]
    if not mains:
        return "no node that receives works with this database"
    latest = max(mains, key=lambda main: main.entry.started_at)
    names = sorted({*decides, *latest.entry.decides})
    different = [name for name in names if decides.get(name) != latest.entry.decides.get(name)]
    if different:
        return f"it differs from the node that receives in: {', '.join(different)}"
    if abs(ours.ahead_s - latest.ahead_s) > _CLOCKS_DIFFER_S:
        return f"its clock and that of the node that receives differ by more than {_CLOCKS_DIFFER_S:g} s"
    return ""
