"""Makes the last station: a courier for each destination, and its carrier."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from node.app.resources import Resources
from node.config import Destination
from node.deliver.carriers import Carrier
from node.deliver.carriers.audited import AuditedCarrier
from node.deliver.carriers.cstore import CStoreCarrier
from node.deliver.carriers.fhir import FhirCarrier
from node.deliver.carriers.stow import StowCarrier
from node.deliver.commitment_reports import CommitmentReports
from node.deliver.courier import Courier
from node.dicom.association import Peer
from node.dicom.commitment import request_commitment
from node.dicom.tls import client_arguments
from node.domain.audit import Party
from node.domain.backoff import Breaker
from node.domain.records import Result

__all__ = ["Couriers", "carrier_to"]


class Couriers:
    """A courier for each destination in force; another set is made first, and then takes their place.

    Parameters
    ----------
    resources : Resources
        What the couriers need.

    Raises
    ------
    ConfigurationError
        If the files for TLS to a destination are missing or invalid.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._all: Mapping[Destination, Courier] = {}
        self.replace(self.made_for(resources.configuration.destinations))

    def made_for(self, destinations: Iterable[Destination]) -> Mapping[Destination, Courier]:
        """Return a courier for each destination: the present one, if nothing about it is different.

        Raises
        ------
        ConfigurationError
            As at the creation; nothing has changed then.
        """
        return {
            there: self._all.get(there) or _make_courier(self._resources, there) for there in destinations
        }

    def replace(self, others: Mapping[Destination, Courier]) -> None:
        """Let others, from `made_for`, send from now on; those that are gone end what they have begun."""
        gone = [courier for courier in self._all.values() if courier not in others.values()]
        self._all = others
        for courier in gone:
            courier.retire()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the destinations."""
        return tuple(courier.name for courier in self._all.values())

    def breakers(self) -> Mapping[str, Breaker]:
        """Return the breaker of each destination, by name."""
        return {courier.name: courier.breaker for courier in self._all.values()}

    def reached(self) -> Mapping[str, bool | None]:
        """Return whether the last attempt reached each destination; None where there was none."""
        return {courier.name: courier.reached for courier in self._all.values()}

    def sweep(self, name: str) -> int:
        """Send what is due to a destination; nothing if it is not there any more."""
        found = next((courier for courier in self._all.values() if courier.name == name), None)
        return 0 if found is None else found.sweep()


def _make_courier(resources: Resources, destination: Destination) -> Courier:
    """Make the courier of a destination."""
    calling, settings = resources.configuration.node.ae_title, resources.configuration.delivery
    peer = Peer(
        destination.ae_title,
        destination.host,
        destination.port,
        calling,
        settings.timeout_s,
        client_arguments(destination),
    )
    commitments = CommitmentReports(
        resources.store, resources.clock, settings, resources.owner, resources.log
    )

    def commit(transaction_uid: str, results: Sequence[Result]) -> None:
        request_commitment(peer, transaction_uid, results, commitments.take)

    return Courier(
        destination,
        AuditedCarrier(
            carrier_to(destination, peer, resources.instance_store.results, settings.timeout_s),
            resources.instance_store.results,
            Party(calling, "", is_requestor=True),
            _party_of(destination),
            audit=resources.audit,
            clock=resources.clock,
        ),
        commit,
        outbox=resources.store,
        clock=resources.clock,
        settings=settings,
        owner=resources.owner,
        stopping=resources.stopping,
        log=resources.log,
    )


def carrier_to(destination: Destination, peer: Peer, results: Path, timeout_s: float) -> Carrier:
    """Make the carrier to a destination: FHIR or STOW-RS if it has a URL for that, else C-STORE."""
    if destination.fhir_url:
        return FhirCarrier(destination, results, timeout_s)
    if destination.stow_url:
        return StowCarrier(destination, results, timeout_s)
    return CStoreCarrier(peer, results)


def _party_of(destination: Destination) -> Party:
    url = destination.fhir_url or destination.stow_url
    host = urlsplit(url).hostname if url else destination.host
    title = "" if url else destination.ae_title
    return Party(title, host or "", is_requestor=False)
