"""Send results to a FHIR server, each as one transaction.

References
----------
HL7 FHIR R4 (4.0.1), "RESTful API": transaction, capabilities.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests

from node.config import Destination
from node.dicom.https import open_session
from node.dicom.tls import client_arguments
from node.domain.delivery import DeliveryResponse, Disposition
from node.domain.records import Result
from node.errors import PermanentError, TransientError

__all__ = ["FhirCarrier"]

_JSON = "application/fhir+json"
_NEVER_RIGHT = frozenset({400, 405, 406, 409, 412, 413, 415, 422})
"""Answers about this transaction; any other failure would meet every one."""


class FhirCarrier:
    """The `Carrier` for a destination with a `fhir_url`.

    Parameters
    ----------
    destination : Destination
        A destination with a `fhir_url`.
    folder : Path
        The folder that the names of results are relative to.
    timeout_s : float
        Timeout for the connection and for each response.
    """

    def __init__(self, destination: Destination, folder: Path, timeout_s: float) -> None:
        self._destination = destination
        self._folder = folder
        self._timeout_s = timeout_s

    @contextmanager
    def open(self, results: Sequence[Result]) -> Iterator[Callable[[Result], DeliveryResponse]]:
        """See `node.deliver.carriers.Carrier`."""
        del results
        with self._session() as session:

            def send(result: Result) -> DeliveryResponse:
                content = _read(self._folder / result.name)
                with _failures_as_transient():
                    answer = session.post(
                        self._destination.fhir_url, data=content, timeout=self._timeout_s,
                        headers={"Content-Type": _JSON, "Accept": _JSON, "Prefer": "return=minimal"},
                        # A redirection would take patient data to an address that nobody configured.
                        allow_redirects=False,
                    )  # fmt: skip
                return _judge(answer.status_code)

            yield send

    def find(self, results: Sequence[Result]) -> set[str]:
        """Find nothing: a transaction that is accepted is stored, so no destination with FHIR is asked."""
        del results
        return set()

    def reach(self) -> str:
        """Check that the destination answers, and return its version of FHIR.

        Raises
        ------
        TransientError
            If it does not answer, or is no FHIR server.
        """
        with self._session() as session, _failures_as_transient():
            answer = session.get(
                f"{self._destination.fhir_url}/metadata", timeout=self._timeout_s, headers={"Accept": _JSON},
                allow_redirects=False,
            )  # fmt: skip
            if answer.status_code != requests.codes.ok:
                raise TransientError(f"it answered HTTP {answer.status_code}")
            told = answer.json()
            if not isinstance(told, dict) or told.get("resourceType") != "CapabilityStatement":
                raise TransientError("what answers is no FHIR server")
            return str(told.get("fhirVersion", ""))

    def _session(self) -> requests.Session:
        secured = client_arguments(self._destination)
        session = open_session(
            self._destination.fhir_url, self._destination.tls, None if secured is None else secured[0]
        )
        if self._destination.authorization:
            session.headers["Authorization"] = self._destination.authorization
        return session


def _read(path: Path) -> bytes:
    """Read the file of a result.

    Raises
    ------
    PermanentError
        If it is missing or damaged.
    """
    try:
        content = path.read_bytes()
        json.loads(content)
    except FileNotFoundError:
        raise PermanentError("the file of this result is gone") from None
    except (OSError, ValueError) as error:
        raise PermanentError(f"the file of this result is damaged ({type(error).__name__})") from None
    return content


def _judge(status: int) -> DeliveryResponse:
    told = f"it answered HTTP {status}"
    if 200 <= status < 300:
        return DeliveryResponse(Disposition.ACCEPTED, status, "")
    if status in _NEVER_RIGHT:
        return DeliveryResponse(Disposition.RETRY_A_FEW_TIMES, status, told)
    raise TransientError(told)


@contextmanager
def _failures_as_transient() -> Iterator[None]:
    """Raise a `TransientError` for every failure, without the library's message, which quotes the URL."""
    try:
        yield
    except requests.Timeout:
        raise TransientError("it gave no answer in time") from None
    except requests.exceptions.SSLError:
        raise TransientError("its certificate is not trusted") from None
    except requests.exceptions.InvalidJSONError:
        raise TransientError("what answers is no FHIR server") from None
    except (requests.RequestException, ValueError):
        raise TransientError("it cannot be reached") from None
