"""Admission control: which associations are accepted, and how much each source may send; see [[sources]].

Addresses in no network of a source are rejected earlier, by `node.receive.server.Server.verify_request`.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from pynetdicom.association import Association

from node.config import NodeSettings, Source
from node.dicom.pynetdicom_internals import allow_accept
from node.domain.identifiers import address_of
from node.receive.quota import Allowance

__all__ = ["AdmissionControl", "Rejection"]

_MEGABYTE = 1024 * 1024
_PER_SECOND, _AT_ONCE = 20, 10
"""Associations and echoes of one source at one address while others are connected."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an association is rejected.

    Attributes
    ----------
    result, source, diagnostic : int
        Values of the A-ASSOCIATE-RJ, PS3.8 9.3.4.
    reason : str
        In words.
    """

    result: int
    source: int
    diagnostic: int
    reason: str


_WRONG_CALLED = Rejection(1, 1, 7, "it calls another AE title")
_UNKNOWN_CALLING = Rejection(1, 1, 3, "no source has this AE title at this address")
_TOO_MANY = Rejection(2, 3, 2, "[node] max_associations are open")
_TOO_MANY_OF_SOURCE = Rejection(2, 3, 2, "its source has max_associations open")


@dataclass(slots=True)
class _Account:
    instances: Allowance
    size: Allowance


class AdmissionControl:
    """Admits associations, and charges the quotas of their sources; thread-safe.

    Parameters
    ----------
    settings : NodeSettings
        Supplies our AE title and `max_associations`.
    sources : iterable of Source
        The peers that may send; the first one that matches an association is its source.
    tick : callable, optional
        Returns seconds on a monotonic clock.
    """

    def __init__(
        self,
        settings: NodeSettings,
        sources: Iterable[Source],
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._sources = tuple(sources)
        self._tick = tick
        self._lock = threading.Lock()
        self._admitted: WeakKeyDictionary[Association, int] = WeakKeyDictionary()
        self._next_s: dict[tuple[int | None, str], float] = {}
        now = tick()
        self._accounts = [
            _Account(
                Allowance.full(source.max_instances_per_hour, now),
                Allowance.full(source.max_mb_per_hour * _MEGABYTE, now),
            )
            for source in self._sources
        ]

    def admit(self, association: Association, called: str, calling: str, host: str) -> Rejection | None:
        """Let pynetdicom accept an association, or return why it is rejected.

        Parameters
        ----------
        association : Association
            An association that was requested; it counts as open until it ends.
        called, calling : str
            The AE titles of the request, without padding.
        host : str
            The address of the peer.
        """
        if called != self._settings.ae_title:
            return _WRONG_CALLED
        number = self._source_of(calling, host)
        if number is None:
            return _UNKNOWN_CALLING
        with self._lock:
            open_now = self._open_now()
            if len(open_now) >= self._settings.max_associations:
                return _TOO_MANY
            if open_now.count(number) >= self._sources[number].max_associations:
                return _TOO_MANY_OF_SOURCE
            self._admitted[association] = number
            allow_accept(association)
        return None

    @property
    def open_associations(self) -> int:
        """How many admitted associations are open."""
        with self._lock:
            return len(self._open_now())

    def _open_now(self) -> list[int]:
        """Return the sources of the open associations; the lock is held."""
        return [number for association, number in self._admitted.items() if _is_open(association)]

    def pause_s(self, association: Association) -> float:
        """Return how long an association must wait before it is accepted, or its echo is answered.

        Both cost this node far more than its peer. While others are connected, each source at each address
        may ask for so many a second, after a few at once.
        """
        now_s = self._tick()
        with self._lock:
            who = self._admitted.get(association), association.requestor.address
            if not self._connected() - {who}:
                return 0.0
            self._next_s = {one: at_s for one, at_s in self._next_s.items() if at_s > now_s}
            at_s = self._next_s[who] = self._next_s.get(who, now_s) + 1 / _PER_SECOND
            return max(0.0, at_s - now_s - _AT_ONCE / _PER_SECOND)

    def is_shared(self) -> bool:
        """Tell whether several sources, or one at several addresses, have associations open."""
        with self._lock:
            return len(self._connected()) > 1

    def _connected(self) -> set[tuple[int | None, str]]:
        """Return which sources have associations open, and at which addresses; the lock is held."""
        admitted = self._admitted.items()
        return {(number, one.requestor.address) for one, number in admitted if _is_open(one)}

    def source_of(self, association: Association) -> int | None:
        """Return the number of the source of an admitted association; None for any other."""
        with self._lock:
            return self._admitted.get(association)

    def charge(self, association: Association, size: int) -> str | None:
        """Charge one object to the quotas of its source; return which quota is used up, or None.

        Parameters
        ----------
        association : Association
            An admitted association.
        size : int
            Size of the object in bytes.
        """
        now = self._tick()
        with self._lock:
            account = self._accounts[self._admitted[association]]
            instances = account.instances.after(1, now)
            bytes_left = account.size.after(size, now)
            if instances is None:
                return "its source has sent max_instances_per_hour"
            if bytes_left is None:
                return "its source has sent max_mb_per_hour"
            account.instances, account.size = instances, bytes_left
        return None

    def _source_of(self, calling: str, host: str) -> int | None:
        address = address_of(host)
        for number, source in enumerate(self._sources):
            if source.ae_title in {"*", calling} and address in source.network:
                return number
        return None


def _is_open(association: Association) -> bool:
    ended = association.is_released or association.is_aborted or association.is_rejected
    return bool(association.is_alive() and not ended)
