"""Makes a node known to the others of the same database, and takes up what vanished ones leave."""

import socket
import threading
from collections import deque
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import timedelta

from node.app.decisive import decisive_parts
from node.app.resources import Resources
from node.domain.nodes import NodeEntry, NodeRole, why_not_analyse
from node.settle.early_work import EarlyWork
from node.store import storage_mark

__all__ = ["Presence"]

_SIGNS = 5
"""Signs of life in the time after which a node counts as vanished."""
_NAME_LENGTH = 64
_BROKEN = 256
"""Studies that are remembered of which an attempt failed here."""


class Presence:
    """One node among those that work with a database.

    Parameters
    ----------
    resources : Resources
        Of the node.
    role : NodeRole
        What it does.
    name : str
        By which people know it; empty for that of the machine.
    early_work : EarlyWork or None
        What the node analyses before it has settled; other nodes leave it alone.
    """

    def __init__(
        self, resources: Resources, role: NodeRole, *, name: str = "", early_work: EarlyWork | None = None
    ) -> None:
        self._resources = resources
        self._role = role
        self._name = (name or socket.gethostname())[:_NAME_LENGTH]
        self._early_work = early_work
        self._started_at = resources.clock.now()
        self._mark = storage_mark(resources.configuration.storage.directory)
        self._lock = threading.Lock()
        self._decides = self._decisive()
        self._waits = ""
        self._broken: deque[str] = deque(maxlen=_BROKEN)

    @property
    def every_s(self) -> float:
        """Interval of its signs of life in seconds."""
        return self._resources.configuration.engine.vanished_s / _SIGNS

    def sweep(self) -> int:
        """Give a sign of life, and take up what vanished nodes leave; return how many studies those had."""
        # A model is read for each study, so another one in its folder counts without a reload. While files
        # are being replaced, one may be gone that was there a moment ago.
        with suppress(OSError):
            self._decides = self._decisive()
        resources, entry = self._resources, self._sign()
        freed = resources.nodes.free_vanished(entry, resources.clock.now())
        if freed:
            resources.log.warning("vanished_node_replaced", count=freed)
        return freed

    def note_early(self) -> None:
        """Let other nodes know what this one analyses before it has settled."""
        self._resources.nodes.note_early(self._resources.owner, self._early())

    def note_broken(self, study_uid: str) -> None:
        """Remember that an attempt at a study failed here, so that the main node makes the next one."""
        self._broken.append(study_uid)

    def left_to_others(self) -> Collection[str] | None:
        """Return the studies that are for the main node; None while this node may begin none.

        Asked before each study, because the storage may have gone and the main node may have been changed.
        """
        resources = self._resources
        seen = resources.nodes.nodes()
        waits = why_not_analyse(resources.owner, self._decides, seen)
        if storage_mark(resources.configuration.storage.directory) != self._mark:
            waits = "the storage directory is not what it was when this node started"
        elif not resources.instance_store.takes_results():
            # A mount that has become read-only: this node would take up and break one study after the other.
            waits = "it cannot write to the storage directory"
        self._tell(waits)
        if waits:
            return None
        alive = [one.entry for one in seen if one.is_alive]
        # What broke here may be the fault of this machine: it has less memory, say. The main node tries it.
        has_main = any(one.role is NodeRole.MAIN for one in alive)
        return {uid for one in alive for uid in one.early}.union(tuple(self._broken) if has_main else ())

    def _tell(self, waits: str) -> None:
        """Tell a change of what this node waits for, once for all that ask at the same time."""
        with self._lock:
            is_new, self._waits = waits != self._waits, waits
        if is_new and waits:
            self._resources.log.warning("analysis_waits", reason=waits)
        elif is_new:
            self._resources.log.info("analysis_goes_on")
        if is_new:
            self._sign()

    def _sign(self) -> NodeEntry:
        entry = self._entry()
        lasts = timedelta(seconds=self._resources.configuration.engine.vanished_s)
        self._resources.nodes.sign(entry, lasts, self._resources.clock.now())
        return entry

    def _entry(self) -> NodeEntry:
        return NodeEntry(
            self._resources.owner, self._name, self._role, self._started_at,
            decides=self._decides, early=self._early(), waits=self._waits,
        )  # fmt: skip

    def _early(self) -> tuple[str, ...]:
        return tuple(sorted(self._early_work.held())) if self._early_work is not None else ()

    def _decisive(self) -> Mapping[str, str]:
        return decisive_parts(self._resources.configuration, self._mark)
