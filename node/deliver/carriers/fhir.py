"""Send results to a FHIR server, each as one transaction.

References
----------
HL7 FHIR R4 (4.0.1), "RESTful API": transaction, capabilities.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from node.config import Destination
from node.dicom.https import open_session
from node.dicom.tls import client_arguments
from node.dicom.web import answer_to, body_of, failure_of, http_failures_as_transient
from node.domain.delivery import DeliveryResponse, Disposition
from node.domain.http_status import HttpMeaning, meaning_of
from node.domain.records import Result
from node.errors import PermanentError, TransientError

__all__ = ["FhirCarrier"]

_JSON = "application/fhir+json"
_LONGEST = 16 * 1024 * 1024
_PRECONDITION_FAILED = 412
_ISSUE_CODES = frozenset(
    (
        *("invalid", "structure", "required", "value", "invariant", "security"),
        *("login", "unknown", "expired", "forbidden", "suppressed", "processing"),
        *("not-supported", "duplicate", "multiple-matches", "not-found", "deleted", "too-long"),
        *("code-invalid", "extension", "too-costly", "business-rule", "conflict", "transient"),
        *("lock-error", "no-store", "exception", "timeout", "incomplete", "throttled"),
        *("informational",),
    )
)
"""Of the value set IssueType; anything else that a server writes in their place is not told."""


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
                headers = {"Content-Type": _JSON, "Accept": _JSON, "Prefer": "return=minimal"}
                with (
                    http_failures_as_transient(),
                    session.post(
                        self._destination.fhir_url,
                        data=content,
                        timeout=self._timeout_s,
                        headers=headers,
                        stream=True,
                    ) as answer,
                ):
                    return _judge(answer, self._timeout_s)

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
        url = f"{self._destination.fhir_url}/metadata"
        with (
            self._session() as session,
            http_failures_as_transient(),
            session.get(url, timeout=self._timeout_s, headers={"Accept": _JSON}, stream=True) as answer,
        ):
            if meaning_of(answer.status_code) is not HttpMeaning.DONE:
                raise failure_of(answer)
            told = _resource(body_of(answer, _LONGEST, self._timeout_s))
            if told.get("resourceType") != "CapabilityStatement":
                raise TransientError("what answers is no FHIR server")
            return str(told.get("fhirVersion", ""))

    def _session(self) -> requests.Session:
        secured = client_arguments(self._destination)
        there = self._destination
        return open_session(there.fhir_url, there.tls, secured and secured[0], there.authorization)


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


def _judge(answer: requests.Response, timeout_s: float) -> DeliveryResponse:
    """Return what a server answers to a transaction.

    Raises
    ------
    TransientError
        If the answer says nothing about this transaction, or is none of a FHIR server: a page in front of the
        server, such as one that asks for a password, may answer with success, and nothing is stored.
    """
    told = _resource(body_of(answer, _LONGEST, timeout_s))
    judged = answer_to(answer, _more(answer.status_code, told))
    if judged.disposition is not Disposition.ACCEPTED:
        return judged
    if told.get("resourceType") != "Bundle":
        raise TransientError(f"it answered HTTP {answer.status_code}, but not as a FHIR server")
    if told.get("type") != "transaction-response":
        # .../Bundle in place of the base keeps the transaction as a document, and does nothing of it.
        raise TransientError(
            "it did not carry out the transaction: check that fhir_url is the base of the server"
        )
    refused = next((one for one in _statuses(told) if not one.startswith(("2", "304"))), None)
    if refused is not None:
        return DeliveryResponse(Disposition.RETRY_A_FEW_TIMES, judged.status, _of_a_part(refused))
    return judged


def _resource(body: bytes | None) -> dict[str, Any]:
    try:
        told = json.loads(body or b"")
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _statuses(told: dict[str, Any]) -> list[str]:
    """Return the HTTP status that a response to a transaction tells of each of its parts, where it does."""
    entries = told.get("entry")
    responses = (
        [one.get("response") for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    )
    found = [one.get("status") for one in responses if isinstance(one, dict)]
    return [status for status in found if isinstance(status, str) and status]


def _of_a_part(status: str) -> str:
    code = status[:3]
    is_code = len(code) == 3 and code.isascii() and code.isdecimal()
    return f"it did not store all of it (HTTP {code})" if is_code else "it did not store all of it"


def _more(status: int, told: dict[str, Any]) -> str:
    """Return what a server says about a refusal: codes only, as its words may quote what was sent."""
    issues = told.get("issue") if told.get("resourceType") == "OperationOutcome" else None
    codes = [one.get("code") for one in issues if isinstance(one, dict)] if isinstance(issues, list) else []
    named = sorted({code for code in codes if isinstance(code, str) and code in _ISSUE_CODES})
    several = ["several of its resources have the same identifier"] if status == _PRECONDITION_FAILED else []
    return ", ".join([*several, *named])
