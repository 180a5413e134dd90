"""QIDO-RS and WADO-RS: questions and images over HTTP.

References
----------
DICOM PS3.18 10.6, Search Transaction; 10.4, Retrieve Transaction.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

import requests
from pydicom import Dataset

from node.config import ArchiveSettings
from node.decode.header_values import text
from node.dicom.https import open_session
from node.dicom.tls import archive_arguments
from node.dicom.web import body_of, check_found, chunks_of, http_failures_as_transient
from node.domain.audit import Party
from node.domain.http_status import http_words
from node.errors import PermanentError, TooManyFoundError, TransientError
from node.fetch.archives.brake import Brake
from node.fetch.archives.json_answers import datasets_in
from node.fetch.archives.multipart import FileParts
from node.fetch.archives.storing import Storing
from node.fetch.archives.wire import Level, Sent, most_images
from node.ports import Intake

__all__ = ["WebWire"]

_JSON = "application/dicom+json"
_FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_LONGEST_JSON = 64 * 1024 * 1024
_TOO_MANY = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
_LIMITED = "299"
"""The HTTP warning with which an archive says that it has left answers out."""
_LEAST_LIMIT = 10
"""No archive returns fewer at once; from this number on, one without `offset` may keep others back."""
_UNUSED_STUDY_UID = "1.2.3"
_STUDIES = "/studies"
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
                if new and level is Level.STUDY and len(found) >= _LEAST_LIMIT:
                    raise TooManyFoundError("it repeats its answers when it is asked for those that follow")
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
        for chunk in chunks_of(response):
            self._brake.check()
            parts.feed(chunk)
            if time.monotonic() - since_s > self._settings.timeout_s:
                raise TransientError("an image takes too long to come")
        parts.close()

    def _ask_json(self, path: str, questions: Sequence[tuple[str, str]]) -> list[Dataset]:
        """Return the datasets of a JSON response; none if the archive does not have what is asked for."""
        with self._request(path, questions, _JSON) as response:
            is_missing = response.status_code == HTTPStatus.NOT_FOUND
            if is_missing and path == _STUDIES:
                raise PermanentError(f"{http_words(response.status_code)}; check url")
            if not is_missing:
                if response.status_code == HTTPStatus.NO_CONTENT:
                    return []
                if response.headers.get("Warning", "").startswith(_LIMITED):
                    raise TooManyFoundError("it does not return all that it found")
                timeout_s, check = self._settings.timeout_s, self._brake.check
                body = body_of(response, _LONGEST_JSON, timeout_s, check)
                if body is None:
                    raise TooManyFoundError("its answer is longer than any that is read")
                return datasets_in(body)
        # Either it does not have that, or the address is wrong: then it answers no question at all.
        self.reach()
        return []

    @contextmanager
    def _request(
        self, path: str, questions: Sequence[tuple[str, str]], accepted: str
    ) -> Iterator[requests.Response]:
        """Send a GET request; the body of the response has not been read."""
        there = self._settings
        with (
            open_session(there.url, there.tls, self._context, there.authorization) as session,
            http_failures_as_transient(),
            session.get(
                # Orthanc takes an encoded "*" for the character, not for the wildcard.
                f"{there.url}{path}?{urlencode(questions, safe='*?')}".removesuffix("?"),
                headers={"Accept": accepted, "Accept-Encoding": "identity"},
                timeout=there.timeout_s,
                stream=True,
            ) as response,
        ):
            if accepted != _JSON or response.status_code != HTTPStatus.NOT_FOUND:
                _check(response)
            yield response


def _search(level: Level, keys: Mapping[str, str]) -> tuple[str, list[tuple[str, str]]]:
    """Return the path and the parameters of a search."""
    study, series = (f"/{keys.get(name, '')}" for name in ("StudyInstanceUID", "SeriesInstanceUID"))
    path = {
        Level.STUDY: _STUDIES,
        Level.SERIES: f"/studies{study}/series",
        Level.IMAGE: f"/studies{study}/series{series}/instances",
    }[level]
    in_path = set() if level is Level.STUDY else _IN_PATH
    wanted = {keyword: value for keyword, value in keys.items() if keyword not in in_path}
    asked = [(keyword, value) for keyword, value in wanted.items() if value]
    # Not every archive returns what it was asked for by value.
    return path, [*asked, *(("includefield", keyword) for keyword in wanted)]


def _check(response: requests.Response) -> None:
    """Raise for a status other than success."""
    if response.status_code == _TOO_MANY:
        raise TooManyFoundError("it answered HTTP 413: more than it returns at once")
    check_found(response)
