"""Send results by STOW-RS, to archives that offer DICOMweb.

References
----------
DICOM PS3.18 10.5, Store Transaction; 10.6, Search Transaction.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import requests
from dicomweb_client.api import DICOMwebClient
from pydicom import Dataset
from pydicom.sequence import Sequence as DicomSequence
from urllib3 import HTTPResponse

from node.config import Destination
from node.deliver.carriers.result_file import read_result
from node.dicom.https import open_session
from node.dicom.tls import client_arguments
from node.dicom.web import answer_to, body_of, failure_of, http_failures_as_transient
from node.domain.delivery import DeliveryResponse, Disposition, judge_status
from node.domain.dimse_status import PROCESSING_FAILURE
from node.domain.http_status import HttpMeaning, date_in, meaning_of
from node.domain.records import Result
from node.errors import TransientError

__all__ = ["StowCarrier"]

_CONFLICT = 409
"""HTTP status if none of the instances was stored; the body of the response tells why."""
_UNUSED_STUDY_UID = "1.2.3"
_KINDS = {"application/dicom+json", "application/json", "application/dicom+xml", "application/xml"}
_SOP_INSTANCE = "00080018"
_LONGEST = 64 * 1024 * 1024
_SAID_NOTHING = "it did not say that it has stored this; with verify = true it is asked"


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
        with self._session() as session:
            client = self._client(session)

            def send(result: Result) -> DeliveryResponse:
                dataset = read_result(self._folder / result.name)
                with http_failures_as_transient():
                    return _store(client, dataset, is_asked_later=self._destination.verify)

            yield send

    def find(self, results: Sequence[Result]) -> set[str]:
        """See `node.deliver.carriers.Carrier`."""
        found: set[str] = set()
        with self._session() as session, http_failures_as_transient():
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
        with self._session() as session, http_failures_as_transient():
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
        with self._session() as session:
            session.hooks["response"].insert(0, lambda response, **_: told.append(_date_of(response)))
            try:
                with http_failures_as_transient():
                    self._client(session).search_for_studies(
                        search_filters={"StudyInstanceUID": _UNUSED_STUDY_UID}
                    )
            except TransientError:
                if not told:
                    raise
        return told[-1]

    def _session(self) -> requests.Session:
        there = self._destination
        secured = client_arguments(there)
        session = open_session(there.stow_url, there.tls, secured and secured[0], there.authorization)
        session.hooks["response"] += [partial(_read_whole, timeout_s=self._timeout_s), _check_kind]
        return session

    def _client(self, session: requests.Session) -> DICOMwebClient:
        client = DICOMwebClient(self._destination.stow_url, session=session, timeout=self._timeout_s)
        # Retries are the business of the outbox, which counts and spaces them.
        client.set_http_retry_params(retry=False)
        return client


def _read_whole(response: requests.Response, timeout_s: float, **_: Any) -> None:  # noqa: ANN401 - of requests
    """Read the body, which the client would read without any end."""
    try:
        body = body_of(response, _LONGEST, timeout_s)
        if body is None:
            raise TransientError("its answer is longer than any that is read")  # noqa: TRY301 - closed below
    except TransientError:
        response.close()
        raise
    response.raw = HTTPResponse(body=BytesIO(body), preload_content=False)


def _check_kind(response: requests.Response, **_: Any) -> None:  # noqa: ANN401 - of requests
    """Refuse a success that is none of DICOMweb; the client would take any page for one without failures.

    The client also ignores the failures in a response whose media type has parameters, so these are removed.
    """
    if response.ok and meaning_of(response.status_code) is not HttpMeaning.DONE:
        raise failure_of(response)
    if not response.ok or not response.content:
        return
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in _KINDS:
        raise TransientError(f"it answered HTTP {response.status_code}, but not as a DICOMweb archive")
    response.headers["Content-Type"] = kind


def _date_of(response: requests.Response) -> datetime | None:
    """Return the Date of a response; None if it has none, or comes from a cache that kept it for a while."""
    if response.headers.get("Age", "0") != "0":
        return None
    return date_in(response.headers.get("Date", ""))


def _store(client: DICOMwebClient, dataset: Dataset, *, is_asked_later: bool) -> DeliveryResponse:
    try:
        response = client.store_instances([dataset])
    except requests.HTTPError as error:
        if error.response is None:
            raise
        if error.response.status_code != _CONFLICT:
            return answer_to(error.response)
        response = _store_response(error.response)
    failed = _failed(response)
    if failed:
        status = _code(failed[0], "FailureReason") or PROCESSING_FAILURE
        return DeliveryResponse(judge_status(status), status, f"it answered 0x{status:04X}")
    stored = [one for one in _items(response, "ReferencedSOPSequence") if one.get("ReferencedSOPInstanceUID")]
    # PS3.18 10.5.3 wants every success to name what was stored. A program before the archive may answer, too.
    if not stored and not is_asked_later:
        return DeliveryResponse(Disposition.RETRY_A_FEW_TIMES, None, _SAID_NOTHING)
    warning = next(filter(None, (_code(item, "WarningReason") for item in stored)), 0)
    return DeliveryResponse(Disposition.ACCEPTED, warning, f"it warned 0x{warning:04X}" if warning else "")


def _store_response(response: requests.Response) -> Dataset:
    """Read the failure reasons in the body of a conflict; a body without any counts as an unknown failure."""
    try:
        told = Dataset.from_json(response.json())
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
        told = Dataset()
    if not _failed(told):
        told.FailedSOPSequence = [Dataset()]
    return told


def _failed(response: Dataset) -> Sequence[Dataset]:
    return _items(response, "FailedSOPSequence") or _items(response, "OtherFailuresSequence")


def _items(response: Dataset, keyword: str) -> Sequence[Dataset]:
    """Return the items of a sequence; none if it is missing, or no sequence."""
    value = response.get(keyword)
    return value if isinstance(value, DicomSequence) else ()


def _code(item: Dataset, keyword: str) -> int:
    """Return a status in an item; 0 if there is none that can be read."""
    value = item.get(keyword)
    return value if isinstance(value, int) and value > 0 else 0
