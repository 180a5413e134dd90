"""What both DIMSE ways of asking share: associations that end in every case, C-FIND, and what statuses mean.

References
----------
DICOM PS3.4 C.4.1, C-FIND Operation; C.4.2, C-MOVE; C.4.3, C-GET.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom import Dataset
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from node.dicom.association import Peer, associated
from node.dicom.contexts import ECHO_CONTEXTS
from node.dicom.pynetdicom_internals import cut_off
from node.dicom.query import QUERY_CONTEXTS
from node.domain.dimse_status import (
    IDENTIFIER_DOES_NOT_MATCH,
    NOT_AUTHORISED,
    PENDING,
    PENDING_WITHOUT_OPTIONAL_KEYS,
    SOP_CLASS_NOT_SUPPORTED,
    SUBOPERATIONS_FAILED,
    SUCCESS,
    UNKNOWN_MOVE_DESTINATION,
)
from node.errors import NodeError, PermanentError, TooManyFoundError, TransientError
from node.fetch.archives.brake import Brake
from node.fetch.archives.wire import Level, Sent

__all__ = ["Progress", "asking", "find", "identifier", "judge_end", "reach", "suboperations"]

_FIND = StudyRootQueryRetrieveInformationModelFind
_GOES_ON = frozenset({PENDING, PENDING_WITHOUT_OPTIONAL_KEYS})
_REFUSALS = {
    SOP_CLASS_NOT_SUPPORTED: "it does not offer this service",
    NOT_AUTHORISED: "it does not let this node do so",
    IDENTIFIER_DOES_NOT_MATCH: "it does not accept the keys of the question",
    UNKNOWN_MOVE_DESTINATION: (
        "it does not know the AE title of this node; tell it the AE title, host and port"
    ),
}
"""Answers that another attempt would get again."""
_UNUSED_STUDY_UID = "1.2.3"


@contextmanager
def asking(
    peer: Peer,
    contexts: Sequence[PresentationContext],
    service: str,
    **options: Any,  # noqa: ANN401 - see `associated`
) -> Iterator[Association]:
    """Open an association whose first context must be accepted; after an error it is cut off.

    Raises
    ------
    TransientError
        If the archive cannot be reached, or ends the association.
    PermanentError
        If it does not accept the first context, that of `service`.
    """
    with associated(peer, contexts, **options) as association:
        try:
            _check_accepted(association, contexts[0], service)
            yield association
        except BaseException as error:
            # Not released: what it still sends would be read to be thrown away, for as long as it goes on.
            if association.is_established:
                cut_off(association)
            if isinstance(error, RuntimeError | ValueError) and not isinstance(error, NodeError):
                # pynetdicom: the association ended between the check and the call.
                raise TransientError("it ended the association") from error
            raise


def _check_accepted(association: Association, context: PresentationContext, service: str) -> None:
    if context.abstract_syntax not in {one.abstract_syntax for one in association.accepted_contexts}:
        raise PermanentError(f"it takes no {service}")


def reach(peer: Peer) -> None:
    """Check that an archive answers C-ECHO and C-FIND."""
    with asking(peer, [*QUERY_CONTEXTS, *ECHO_CONTEXTS], "C-FIND") as association:
        takes_echo = any(one.abstract_syntax == Verification for one in association.accepted_contexts)
        if takes_echo and "Status" not in association.send_c_echo():
            raise TransientError("it gave no answer to a C-ECHO")


def find(peer: Peer, level: Level, keys: Mapping[str, str], most: int, brake: Brake) -> list[Dataset]:
    """Ask by C-FIND; see `Wire.find`."""
    found: list[Dataset] = []
    # Each answer is soon read; an archive that drips them is not waited for.
    progress = Progress(peer.timeout_s, brake)
    with asking(peer, QUERY_CONTEXTS, "C-FIND") as association:
        for status, answer in association.send_c_find(identifier(level, keys), _FIND):
            code = status.get("Status")
            if code == SUCCESS:
                return found
            if code not in _GOES_ON:
                raise _refused(code, "C-FIND", progress)
            if answer is not None:
                found.append(answer)
            if len(found) > most:
                raise TooManyFoundError(f"it found more than {most}")
            progress.note(len(found))
    raise TransientError("it gave no end of its answers to a C-FIND")


def identifier(level: Level, keys: Mapping[str, str]) -> Dataset:
    """Return the identifier of a question."""
    asked = Dataset()
    asked.SpecificCharacterSet = "ISO_IR 192"
    if all(value.isascii() for value in keys.values()):
        del asked.SpecificCharacterSet
    asked.QueryRetrieveLevel = level.value
    for keyword, value in keys.items():
        setattr(asked, keyword, value or None)
    return asked


def judge_end(status: Dataset, service: str, progress: "Progress", refusal: str = "") -> Sent | None:
    """Return what a response of C-MOVE or C-GET says about the images; None if more responses follow.

    Parameters
    ----------
    status : Dataset
        The response.
    service : str
        "C-MOVE" or "C-GET".
    progress : Progress
        Since when nothing came.
    refusal : str
        Why this node did not take an image; the archive then reports a failure that is none of its own.

    Raises
    ------
    TransientError, PermanentError
        If the archive broke off or refused.
    """
    code = status.get("Status")
    if code in _GOES_ON:
        return None
    if code not in {SUCCESS, SUBOPERATIONS_FAILED} and not (refusal and code is not None):
        raise _refused(code, service, progress)
    failed = _count(status, "NumberOfFailedSuboperations")
    warnings = _count(status, "NumberOfWarningSuboperations")
    return Sent(failed, warnings, refusal or ("it could not send some images" if failed else ""))


def suboperations(status: Dataset) -> int:
    """Return how many images have been dealt with, as a response says."""
    names = ("Completed", "Failed", "Warning")
    return sum(_count(status, f"NumberOf{name}Suboperations") for name in names)


class Progress:
    """Breaks off what does not get on, although the peer keeps answering.

    Parameters
    ----------
    timeout_s : float
        How long nothing new may come.
    brake : Brake
        Tells if the node stops.
    """

    def __init__(self, timeout_s: float, brake: Brake) -> None:
        self._timeout_s = timeout_s
        self._brake = brake
        self._seen = -1
        self._since_s = time.monotonic()

    @property
    def is_overdue(self) -> bool:
        """Whether nothing has come for so long that the peer can be said to be silent."""
        return time.monotonic() - self._since_s >= self._timeout_s

    def note(self, count: int) -> None:
        """Note how many have come.

        Raises
        ------
        TransientError
            If that has not grown for too long, or the node stops.
        """
        self._brake.check()
        now_s = time.monotonic()
        if count > self._seen:
            self._seen, self._since_s = count, now_s
        elif now_s - self._since_s > self._timeout_s:
            raise TransientError("it answers, and nothing comes")


def _refused(code: int | None, service: str, progress: Progress) -> TransientError | PermanentError:
    if code is None and not progress.is_overdue:
        # As Orthanc does where DicomAlwaysAllowGet is not set, or DicomModalities does not name the node.
        return TransientError(
            f"it ended the association in place of an answer to a {service}; "
            "maybe it does not let this node, by its AE title and address, use that"
        )
    if code is None:
        return TransientError(f"it gave no answer to a {service} in time")
    if code in _REFUSALS:
        return PermanentError(f"it answered 0x{code:04X} to a {service}: {_REFUSALS[code]}")
    return TransientError(f"it answered 0x{code:04X} to a {service}")


def _count(status: Dataset, keyword: str) -> int:
    return int(status.get(keyword) or 0)
