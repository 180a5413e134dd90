"""Ask the sources of a study by C-FIND how many images each of its series has."""

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta

from node.config import Source
from node.dicom.association import Peer
from node.dicom.query import count_images
from node.dicom.tls import source_arguments
from node.domain.backoff import Backoff, Breaker
from node.domain.completeness import Count
from node.domain.identifiers import address_of
from node.errors import TransientError
from node.log import Log
from node.ports import Clock

__all__ = ["SourceCounts"]

_TIMEOUT_S = 5.0
"""Short, because other studies wait meanwhile and a count is only one of several signs of completeness."""
_PAUSES = (timedelta(seconds=10), timedelta(minutes=5))


class SourceCounts:
    """Asks the sources with `ask = true`; one that does not answer is not asked again for a while.

    Parameters
    ----------
    sources : iterable of Source
        All configured sources.
    calling : str
        AE title of this node.
    clock : Clock
        See `node.ports`.
    log : Log
        Logs one line per source that did not answer.

    Raises
    ------
    ConfigurationError
        If the files for TLS to a source are missing or invalid.
    """

    def __init__(self, sources: Iterable[Source], *, calling: str, clock: Clock, log: Log) -> None:
        self._calling = calling
        self._clock = clock
        self._log = log
        self._peers: Mapping[Source, Peer] = {}
        self._breakers: dict[str, Breaker] = {}
        self._backoff = Backoff(*_PAUSES)
        self.replace_sources(sources)

    def replace_sources(self, sources: Iterable[Source]) -> None:
        """Ask other sources from now on.

        Raises
        ------
        ConfigurationError
            As at the creation; then the earlier ones stay.
        """
        self._peers = {source: _peer(source, self._calling) for source in sources if source.ask}

    def breakers(self) -> Mapping[str, Breaker]:
        """Return a breaker for each AE title that is asked: closed if it answered the last time."""
        return {source.ae_title: self._breaker(source) for source in self._peers}

    def of_study(self, senders: Collection[tuple[str, str]], study_uid: str) -> tuple[Count, ...]:
        """Return the counts of those senders that can be asked, or why they gave none.

        Parameters
        ----------
        senders : collection of (str, str)
            AE titles and addresses that sent the study.
        study_uid : str
            Study Instance UID.
        """
        peers = self._peers
        asked = [source for source in peers if any(_is(source, *sender) for sender in senders)]
        return tuple(self._ask(source, peers[source], study_uid) for source in asked)

    def _breaker(self, source: Source) -> Breaker:
        return self._breakers.get(source.ae_title, Breaker())

    def _ask(self, source: Source, peer: Peer, study_uid: str) -> Count:
        breaker = self._breaker(source)
        if not breaker.allows(now := self._clock.now()):
            return Count(source.ae_title, fault=breaker.reason)
        try:
            images = count_images(peer, study_uid)
        except TransientError as error:
            reason = str(error)
            self._breakers[source.ae_title] = breaker.after_failure(now, self._backoff, reason)
            self._log.warning("source_not_asked", ae_title=source.ae_title, reason=reason)
            return Count(source.ae_title, fault=reason)
        self._breakers[source.ae_title] = Breaker()
        return Count(source.ae_title, images)


def _peer(source: Source, calling: str) -> Peer:
    tls = source_arguments(source)
    return Peer(source.ae_title, source.host, source.port, calling, _TIMEOUT_S, tls)


def _is(source: Source, calling_ae: str, host: str) -> bool:
    try:
        return source.ae_title == calling_ae and address_of(host) in source.network
    except ValueError:  # no address: an archive that this node has asked by its name
        return False
