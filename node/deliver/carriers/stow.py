"""Send results by STOW-RS, to archives that offer DICOMweb.

References
----------
DICOM PS3.18 10.5, Store Transaction; 10.6, Search Transaction.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import requests
from dicomweb_client.api import DICOMwebClient
from pydicom import Dataset
from requests.utils import get_environ_proxies
from urllib3.exceptions import LocationParseError, NameResolutionError

from node.config import Destination
from node.deliver.carriers.result_file import read_result
from node.dicom.https import TlsAdapter
from node.dicom.tls import client_arguments
from node.domain.delivery import DeliveryResponse, Disposition, judge_status
from node.domain.dimse_status import PROCESSING_FAILURE
from node.domain.records import Result
from node.errors import TransientError

__all__ = ["StowCarrier"]

_CONFLICT = 409
"""HTTP status if none of the instances was stored; the body of the response tells why."""
_UNRESOLVED = "its host name cannot be resolved"
_UNUSED_STUDY_UID = "1.2.3"
_SOP_INSTANCE = "00080018"


class StowCarrier:
    """The `Carrier` for a destination that is reached by DICOMweb.

    Each object is sent in a request of its own, so that each gets a response of its own.

    Parameters
    ----------
    destination : Destination
        A destination with a `stow_url`.
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
        with requests.Session() as session:
            client = self._client(session)

            def send(result: Result) -> DeliveryResponse:
                dataset = read_result(self._folder / result.name)
                with _http_failures_as_transient():
                    return _store(client, dataset)

            yield send

    def find(self, results: Sequence[Result]) -> set[str]:
        """See `node.deliver.carriers.Carrier`."""
        found: set[str] = set()
        with requests.Session() as session, _http_failures_as_transient():
            client = self._client(session)
            for series_uid in sorted({result.series_uid for result in results}):
                answers = client.search_for_instances(results[0].study_uid, series_uid)
                found.update(uid for answer in answers for uid in answer[_SOP_INSTANCE].get("Value", ()))
        return found

    def reach(self) -> None:
        """Check that the destination answers, by searching for a study that does not exist.

        Raises
        ------
        TransientError
            If the destination does not answer or rejects the request.
        """
        with requests.Session() as session, _http_failures_as_transient():
            self._client(session).search_for_studies(search_filters={"StudyInstanceUID": _UNUSED_STUDY_UID})

    def told_time(self) -> datetime | None:
        """Return the time that the destination tells with its answer, also if that is a refusal.

        None if it tells none.

        Raises
        ------
        TransientError
            If the destination does not answer.
        """
        told: list[datetime | None] = []
        with requests.Session() as session:
            session.hooks["response"].append(lambda response, **_: told.append(_date_of(response)))
            try:
                with _http_failures_as_transient():
                    self._client(session).search_for_studies(
                        search_filters={"StudyInstanceUID": _UNUSED_STUDY_UID}
                    )
            except TransientError:
                if not told:
                    raise
        return told[-1]

    def _client(self, session: requests.Session) -> DICOMwebClient:
        if (secured := client_arguments(self._destination)) is not None:
            # Otherwise `requests` would prefer REQUESTS_CA_BUNDLE of the environment to the configured `ca`.
            session.trust_env = False
            session.proxies = get_environ_proxies(self._destination.stow_url)
            session.verify = str(self._destination.tls.ca)
            session.mount("https://", TlsAdapter(secured[0], self._destination.tls.server_name))
        if self._destination.authorization:
            session.headers["Authorization"] = self._destination.authorization
        client = DICOMwebClient(self._destination.stow_url, session=session, timeout=self._timeout_s)
        # Retries are the business of the outbox, which counts and spaces them.
        client.set_http_retry_params(retry=False)
        return client


@contextmanager
def _http_failures_as_transient() -> Iterator[None]:
    """Raise a `TransientError` for every HTTP failure, without quoting the message of the library."""
    try:
        yield
    except requests.HTTPError as error:
        raise TransientError(f"it answered HTTP {_code(error)}") from None
    except requests.Timeout:
        raise TransientError("it gave no answer in time") from None
    except requests.exceptions.SSLError:
        raise TransientError("its certificate is not trusted") from None
    except (requests.exceptions.InvalidJSONError, KeyError, TypeError):
        raise TransientError("its answer is no DICOM JSON or XML") from None
    except LocationParseError:
        # A name that the resolver cannot even encode, which `requests` passes on as a `ValueError`.
        raise TransientError(_UNRESOLVED) from None
    except requests.RequestException as error:
        raise TransientError(_UNRESOLVED if _is_unresolved(error) else "it cannot be reached") from None
    except ValueError:
        raise TransientError("its answer is no DICOM JSON or XML") from None


def _is_unresolved(error: requests.RequestException) -> bool:
    # `requests` puts its own error around that of urllib3, which tells the reason.
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NameResolutionError)


def _date_of(response: requests.Response) -> datetime | None:
    """Return the Date of a response; None if it has none, or comes from a cache that kept it for a while."""
    if response.headers.get("Age", "0") != "0":
        return None
    try:
        return parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return None


def _code(error: requests.HTTPError) -> int:
    return 0 if error.response is None else int(error.response.status_code)


def _store(client: DICOMwebClient, dataset: Dataset) -> DeliveryResponse:
    try:
        response = client.store_instances([dataset])
    except requests.HTTPError as error:
        if _code(error) != _CONFLICT:
            raise
        response = _store_response(error.response)
    failed = response.get("FailedSOPSequence") or ()
    if failed:
        status = int(failed[0].get("FailureReason", PROCESSING_FAILURE))
        return DeliveryResponse(judge_status(status), status, f"it answered 0x{status:04X}")
    stored = response.get("ReferencedSOPSequence") or ()
    warning = next((int(item.WarningReason) for item in stored if item.get("WarningReason")), 0)
    return DeliveryResponse(Disposition.ACCEPTED, warning, f"it warned 0x{warning:04X}" if warning else "")


def _store_response(response: Any) -> Dataset:  # noqa: ANN401 - of requests
    """Read the failure reasons in the body of a response; a body without any counts as an unknown failure."""
    try:
        return Dataset.from_json(response.json())
    except (KeyError, TypeError, ValueError):
        unknown = Dataset()
        unknown.FailedSOPSequence = [Dataset()]
        return unknown
