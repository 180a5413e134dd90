"""Results by STOW-RS, for archives that speak DICOMweb.

References
----------
DICOM PS3.18 10.5, Store Transaction; 10.6, Search Transaction.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from ssl import SSLContext
from typing import Any

import requests
from dicomweb_client.api import DICOMwebClient
from pydicom import Dataset
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from node.config import Destination
from node.deliver.carriers.files import read_result
from node.dicom.tls import client_arguments
from node.domain.delivery import DeliveryResponse, Disposition, judge_status
from node.domain.records import Result
from node.errors import TransientError

__all__ = ["StowCarrier"]

_CONFLICT = 409
"""None of the instances was stored; the body tells why."""
_NOWHERE = "1.2.3"
_SOP_INSTANCE = "00080018"


class StowCarrier:
    """The `Carrier` of a destination that speaks DICOMweb.

    Each object goes in a request of its own, so that each has an answer of its own.

    Parameters
    ----------
    destination : Destination
        With its `stow_url`.
    folder : Path
        That the names of results are relative to.
    timeout_s : float
        For the connection and for each answer.
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
                with _failures_in_words():
                    return _store(client, dataset)

            yield send

    def find(self, results: Sequence[Result]) -> set[str]:
        """See `node.deliver.carriers.Carrier`."""
        found: set[str] = set()
        with requests.Session() as session, _failures_in_words():
            client = self._client(session)
            for series_uid in sorted({result.series_uid for result in results}):
                answers = client.search_for_instances(results[0].study_uid, series_uid)
                found.update(uid for answer in answers for uid in answer[_SOP_INSTANCE].get("Value", ()))
        return found

    def reach(self) -> None:
        """Ask for a study that is nowhere, to see whether the destination answers.

        Raises
        ------
        TransientError
            If it does not, or turns us away.
        """
        with requests.Session() as session, _failures_in_words():
            self._client(session).search_for_studies(search_filters={"StudyInstanceUID": _NOWHERE})

    def _client(self, session: requests.Session) -> DICOMwebClient:
        if (secured := client_arguments(self._destination)) is not None:
            # `requests` would prefer a bundle that the environment names to the `ca` that is configured.
            session.trust_env = False
            session.proxies = get_environ_proxies(self._destination.stow_url)
            session.verify = str(self._destination.tls.ca)
            session.mount("https://", _OurTls(secured[0], self._destination.tls.server_name))
        if self._destination.authorization:
            session.headers["Authorization"] = self._destination.authorization
        client = DICOMwebClient(self._destination.stow_url, session=session, timeout=self._timeout_s)
        # The outbox tries again, and remembers it; here one try is one try.
        client.set_http_retry_params(retry=False)
        return client


class _OurTls(HTTPAdapter):
    """HTTPS as `node.dicom.tls` wants it: `requests` by itself knows no revocation lists and no BCP 195."""

    def __init__(self, context: SSLContext, server_name: str) -> None:
        # The name that is asked for and that the certificate must hold; the host of the address by default.
        named = {"server_hostname": server_name} if server_name else {}
        self._options: dict[str, Any] = {"ssl_context": context, **named}
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - passed on
        """Make the connections with our context."""
        super().init_poolmanager(*arguments, **{**options, **self._options})

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401 - passed on
        """Make those through a proxy with it too: what is inside its tunnel is between the archive and us."""
        return super().proxy_manager_for(proxy, **{**options, **self._options})


@contextmanager
def _failures_in_words() -> Iterator[None]:
    """Turn what HTTP can fail with into one error, without what the library quotes in its own."""
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
    except requests.RequestException:
        raise TransientError("it cannot be reached") from None
    except ValueError:
        raise TransientError("its answer is no DICOM JSON or XML") from None


def _code(error: requests.HTTPError) -> int:
    return 0 if error.response is None else int(error.response.status_code)


def _store(client: DICOMwebClient, dataset: Dataset) -> DeliveryResponse:
    try:
        told = client.store_instances([dataset])
    except requests.HTTPError as error:
        if _code(error) != _CONFLICT:
            raise
        told = _told(error.response)
    failed = told.get("FailedSOPSequence") or ()
    if failed:
        status = int(failed[0].get("FailureReason", 0x0110))
        return DeliveryResponse(judge_status(status), status, f"it answered 0x{status:04X}")
    stored = told.get("ReferencedSOPSequence") or ()
    warning = next((int(item.WarningReason) for item in stored if item.get("WarningReason")), 0)
    return DeliveryResponse(Disposition.ACCEPTED, warning, f"it warned 0x{warning:04X}" if warning else "")


def _told(response: Any) -> Dataset:  # noqa: ANN401 - of requests
    """Read why nothing was stored; where the body does not tell, it is a failure without a name."""
    try:
        return Dataset.from_json(response.json())
    except (KeyError, TypeError, ValueError):
        nameless = Dataset()
        nameless.FailedSOPSequence = [Dataset()]
        return nameless
