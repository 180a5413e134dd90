"""Admission control: which associations are accepted, and how much each source may send; see [[sources]].

Addresses in no network of a source are rejected earlier, by `node.receive.server.Server.verify_request`.
"""

import threading
import time
from collections.abc import Callable, Hashable, Iterable
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


@dataclass(eq=False, slots=True)
class _Account:
    source: Source
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
        self._tick = tick
        self._lock = threading.Lock()
        self._admitted: WeakKeyDictionary[Association, _Account] = WeakKeyDictionary()
        self._next_s: dict[tuple[_Account | None, str], float] = {}
        self._accounts: tuple[_Account, ...] = ()
        self.replace_sources(sources)

    def replace_sources(self, sources: Iterable[Source]) -> None:
        """Admit other sources from now on; open associations end as they would have.

        What a source has used of its quotas stays used, if its AE title and network are still the same.
        """
        now = self._tick()
        with self._lock:
            kept = {(one.source.ae_title, one.source.network): one for one in self._accounts}
            accounts = []
            for source in sources:
                account = kept.pop((source.ae_title, source.network), None) or _new_account(source, now)
                account.source = source
                account.instances = account.instances.of_capacity(source.max_instances_per_hour)
                account.size = account.size.of_capacity(source.max_mb_per_hour * _MEGABYTE)
                accounts.append(account)
            self._accounts = tuple(accounts)

    def knows_address(self, host: str) -> bool:
        """Tell whether an address is in the network of a source."""
        address = address_of(host)
        return any(address in account.source.network for account in self._accounts)

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
        with self._lock:
            account = self._account_of(calling, host)
            if account is None:
                return _UNKNOWN_CALLING
            open_now = self._open_now()
            if len(open_now) >= self._settings.max_associations:
                return _TOO_MANY
            if open_now.count(account) >= account.source.max_associations:
                return _TOO_MANY_OF_SOURCE
            self._admitted[association] = account
            allow_accept(association)
        return None

    @property
    def open_associations(self) -> int:
        """How many admitted associations are open."""
        with self._lock:
            return len(self._open_now())

    def _open_now(self) -> list[_Account]:
        """Return the accounts of the open associations; the lock is held."""
        return [account for association, account in self._admitted.items() if _is_open(association)]

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

    def _connected(self) -> set[tuple[_Account, str]]:
        """Return which sources have associations open, and at which addresses; the lock is held."""
        admitted = self._admitted.items()
        return {(account, one.requestor.address) for one, account in admitted if _is_open(one)}

    def source_of(self, association: Association) -> Hashable:
        """Return who sends over an admitted association, for sharing the node's time; None for any other.

        That is a source at one address. AE titles that only "*" admits do not count: nobody vouches for
        them, and ten of one peer would have ten shares.
        """
        with self._lock:
            account = self._admitted.get(association)
        return None if account is None else (account, association.requestor.address)

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
            account = self._admitted[association]
            instances = account.instances.after(1, now)
            bytes_left = account.size.after(size, now)
            if instances is None:
                return "its source has sent max_instances_per_hour"
            if bytes_left is None:
                return "its source has sent max_mb_per_hour"
            account.instances, account.size = instances, bytes_left
        return None

    def _account_of(self, calling: str, host: str) -> _Account | None:
        address = address_of(host)
        for account in self._accounts:
            if account.source.ae_title in {"*", calling} and address in account.source.network:
                return account
        return None


def _new_account(source: Source, now: float) -> _Account:
    return _Account(
        source,
        Allowance.full(source.max_instances_per_hour, now),
        Allowance.full(source.max_mb_per_hour * _MEGABYTE, now),
    )


def _is_open(association: Association) -> bool:
    ended = association.is_released or association.is_aborted or association.is_rejected
    return bool(association.is_alive() and not ended)
