"""When the certificates and revocation lists end on which our TLS depends."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from node.config import Configuration, TlsSettings

__all__ = ["Ending", "endings"]

_kept = lru_cache(maxsize=64)
"""By the bytes of a file: each scrape of the metrics asks, and files seldom change."""


@dataclass(frozen=True, slots=True)
class Ending:
    """When one file stops being valid.

    Attributes
    ----------
    of : str
        Key and section of the configuration: "certificate of node.tls".
    at : datetime
        From then on connections fail.
    """

    of: str
    at: datetime


def endings(configuration: Configuration) -> Iterator[Ending]:
    """Tell when each certificate, authority and revocation list ends that the configuration names.

    A file that cannot be read is left out: whatever opens a connection with it says so.
    """
    for section, settings in _sections(configuration):
        for key, file, end in (
            ("certificate", settings.certificate, _end_of_chain),
            ("ca", settings.ca, _end_of_authorities),
            ("crl", settings.crl, _end_of_list),
        ):
            if file is not None:
                with suppress(OSError, ValueError):
                    yield Ending(f"{key} of {section}", end(file.read_bytes()))


def _sections(configuration: Configuration) -> Iterator[tuple[str, TlsSettings]]:
    yield "node.tls", configuration.node.tls
    yield from ((f"sources.tls ({one.ae_title})", one.tls) for one in configuration.sources)
    yield from ((f"destinations.tls ({one.name})", one.tls) for one in configuration.destinations)
    yield from ((f"archives.tls ({one.name})", one.tls) for one in configuration.archives)
    yield from ((f"notify.tls ({one.name})", one.tls) for one in configuration.notify)
    yield "audit.tls", configuration.audit.tls


@_kept
def _end_of_chain(pem: bytes) -> datetime:
    """Return the first end: a chain is no longer verified once one of its certificates has ended."""
    return _end_of_certificates(pem, min)


@_kept
def _end_of_authorities(pem: bytes) -> datetime:
    """Return the last end: nobody is verified any more once all authorities have ended."""
    return _end_of_certificates(pem, max)


def _end_of_certificates(pem: bytes, which: Callable[[Iterator[datetime]], datetime]) -> datetime:
    # Imported here so that commands without TLS need not load it.
    from cryptography.x509 import load_pem_x509_certificates

    return which(one.not_valid_after_utc for one in load_pem_x509_certificates(pem))


@_kept
def _end_of_list(pem: bytes) -> datetime:
    """Return when the next list is due: OpenSSL then refuses everybody."""
    from cryptography.x509 import load_pem_x509_crl

    end = load_pem_x509_crl(pem).next_update_utc
    if end is None:
        raise ValueError("the list does not say when the next one is due")
    return end
