"""QIDO-RS and WADO-RS: questions and images over HTTP.

References
----------
DICOM PS3.18 10.6, Search Transaction; 10.4, Retrieve Transaction.
"""

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

import requests
from pydicom import Dataset
from urllib3.exceptions import HTTPError as BodyError

from node.config import ArchiveSettings
from node.decode.header_values import text
from node.dicom.tls import archive_arguments
from node.dicom.web import code_of, http_failures_as_transient, prepare
from node.domain.audit import Party
from node.errors import PermanentError, TooManyFoundError, TransientError
from node.fetch.archives.brake import Brake
from node.fetch.archives.multipart import FileParts
from node.fetch.archives.storing import Storing
from node.fetch.archives.wire import Level, Sent, most_images
from node.ports import Intake

__all__ = ["WebWire"]

_JSON = "application/dicom+json"
_FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_LONGEST_JSON = 64 * 1024 * 1024
_CHUNK = 64 * 1024
_TRY_AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS})
_TOO_MANY = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
_LIMITED = "299"
"""The HTTP warning with which an archive says that it has left answers out."""
_UNUSED_STUDY_UID = "1.2.3"
_UID_OF = {
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}
_IN_PATH = {"StudyInstanceUID", "SeriesInstanceUID"}


class WebWire:
    """The `Wire` for DICOMweb.

    Parameters
    ----------
    settings : ArchiveSettings
        An archive with a `url`.
    intake : Intake
        Takes the images.
    brake : Brake
        Tells if the node stops.

    Raises
    ------
    ConfigurationError
        If a file for TLS is missing or invalid.
    """

    def __init__(self, settings: ArchiveSettings, intake: Intake, brake: Brake) -> None:
        self._settings = settings
        self._intake = intake
        self._brake = brake
        secured = archive_arguments(settings)
        self._context = secured and secured[0]

    def reach(self) -> None:
        """See `Wire`."""
        self.find(Level.STUDY, {"StudyInstanceUID": _UNUSED_STUDY_UID}, 1)

    def find(self, level: Level, keys: Mapping[str, str], most: int) -> Sequence[Dataset]:
        """See `Wire`."""
        path, questions = _search(level, keys)
        found: dict[str, Dataset] = {}
        while True:
            # One more than is accepted tells that there are too many. An archive with a limit of its own need
            # not tell it, and returns the rest when it is asked for what follows.
            window = [("limit", str(most + 1 - len(found))), ("offset", str(len(found)))]
            answers = self._ask_json(path, [*questions, *window])
            new = {text(one, _UID_OF[level]): one for one in answers}
            if new.keys() <= found.keys():
                return list(found.values())
            found.update(new)
            if len(found) > most:
                raise TooManyFoundError(f"it found more than {most}")

    def header(self, study_uid: str, series_uid: str, sop_uid: str) -> Dataset | None:
        """See `Wire`."""
        path = f"/studies/{study_uid}/series/{series_uid}/instances/{sop_uid}/metadata"
        return next(iter(self._ask_json(path, [])), None)

    def fetch(self, study_uid: str, series_uid: str, expected: Collection[str] | None) -> Sent:
        """See `Wire`."""
        archive = Party("", urlsplit(self._settings.url).hostname or "", is_requestor=False)
        path = f"/studies/{study_uid}/series/{series_uid}"
        with self._intake.open(archive, study_uid, series_uid) as transfer:
            storing = Storing(transfer, expected, self._settings.timeout_s, self._brake)
            try:
                with self._request(path, [], _FILES) as response:
                    self._read_files(response, storing, most_images(expected))
            finally:
                storing.close()
            storing.conclude(failed=0)
        return Sent(reason=storing.reason)

    def _read_files(self, response: requests.Response, storing: Storing, most: int) -> None:
        count, since_s = 0, time.monotonic()

        def finish() -> None:
            nonlocal count, since_s
            count, since_s = count + 1, time.monotonic()
            if count > most:
                raise PermanentError("it sends more images than it said it has")
            storing.store()

        parts = FileParts(response.headers.get("Content-Type", ""), storing.begin, finish)
        for chunk in self._chunks(response):
            parts.feed(chunk)
            if time.monotonic() - since_s > self._settings.timeout_s:
                raise TransientError("an image takes too long to come")
        parts.close()

    def _ask_json(self, path: str, questions: Sequence[tuple[str, str]]) -> list[Dataset]:
        """Return the datasets of a JSON response; none if the archive does not have what is asked for."""
        body = bytearray()
        end_s = time.monotonic() + self._settings.timeout_s
        with self._request(path, questions, _JSON) as response:
            if response.status_code in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND}:
                return []
            if response.headers.get("Warning", "").startswith(_LIMITED):
                raise TooManyFoundError("it does not return all that it found")
            for chunk in self._chunks(response):
                body += chunk
                if len(body) > _LONGEST_JSON:
                    raise TooManyFoundError("its answer is longer than any that is read")
                if time.monotonic() > end_s:
                    raise TransientError("its answer takes too long to come")
        return _datasets(bytes(body))

    @contextmanager
    def _request(
        self, path: str, questions: Sequence[tuple[str, str]], accepted: str
    ) -> Iterator[requests.Response]:
        """Send a GET request; the body of the response has not been read."""
        there = self._settings
        with requests.Session() as session, _failures():
            prepare(session, there.url, there.tls, self._context, there.authorization)
            with session.get(
                # Orthanc takes an encoded "*" for the character, not for the wildcard.
                f"{there.url}{path}?{urlencode(questions, safe='*?')}".removesuffix("?"),
                headers={"Accept": accepted, "Accept-Encoding": "identity"},
                timeout=there.timeout_s,
                stream=True,
                # A redirection could lead the images of a patient, and our credentials, to anybody.
                allow_redirects=False,
            ) as response:
                if accepted != _JSON or response.status_code != HTTPStatus.NOT_FOUND:
                    _check(response)
                yield response

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """Yield the body as it comes, however little that is at a time."""
        try:
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                self._brake.check()
                yield chunk
        except (BodyError, OSError):
            raise TransientError("its answer broke off") from None


def _search(level: Level, keys: Mapping[str, str]) -> tuple[str, list[tuple[str, str]]]:
    """Return the path and the parameters of a search."""
    study, series = (f"/{keys.get(name, '')}" for name in ("StudyInstanceUID", "SeriesInstanceUID"))
    path = {
        Level.STUDY: "/studies",
        Level.SERIES: f"/studies{study}/series",
        Level.IMAGE: f"/studies{study}/series{series}/instances",
    }[level]
    in_path = set() if level is Level.STUDY else _IN_PATH
    wanted = {keyword: value for keyword, value in keys.items() if keyword not in in_path}
    asked = [(keyword, value) for keyword, value in wanted.items() if value]
    # Not every archive returns what it was asked for by value.
    return path, [*asked, *(("includefield", keyword) for keyword in wanted)]


def _datasets(body: bytes) -> list[Dataset]:
    try:
        answers = json.loads(body)
        if not isinstance(answers, list):
            raise TypeError("it is no list")  # noqa: TRY301 - handled as any other fault
        return [Dataset.from_json(answer, lambda _tag, _vr, _uri: None) for answer in answers]
    except Exception as error:
        raise PermanentError("its answer is no DICOM JSON") from error


def _check(response: requests.Response) -> None:
    """Raise for a status other than success."""
    code = response.status_code
    if code == _TOO_MANY:
        raise TooManyFoundError("it answered HTTP 413: more than it returns at once")
    if HTTPStatus.BAD_REQUEST <= code < HTTPStatus.INTERNAL_SERVER_ERROR and code not in _TRY_AGAIN:
        raise PermanentError(f"it answered HTTP {code}")
    if HTTPStatus.MULTIPLE_CHOICES <= code < HTTPStatus.BAD_REQUEST:
        raise PermanentError(f"it answered HTTP {code}, which leads to another address")
    response.raise_for_status()


@contextmanager
def _failures() -> Iterator[None]:
    try:
        with http_failures_as_transient():
            yield
    except requests.HTTPError as error:
        raise TransientError(f"it answered HTTP {code_of(error)}") from None
