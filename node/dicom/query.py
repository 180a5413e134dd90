"""Queries of a peer by C-FIND: how many images it has of each series, and which instances."""

from collections.abc import Iterable, Iterator
from typing import Any

from pydicom import Dataset
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from node.dicom.association import Peer, associated
from node.domain.dimse_status import PENDING, PENDING_WITHOUT_OPTIONAL_KEYS, SUCCESS
from node.errors import TransientError

__all__ = ["QUERY_CONTEXTS", "count_images", "find_instances"]

QUERY_CONTEXTS = (build_context(StudyRootQueryRetrieveInformationModelFind),)

_PENDING = {PENDING, PENDING_WITHOUT_OPTIONAL_KEYS}
_MOST_ANSWERS = 10_000
"""A study has some twenty series. Without a limit, a peer that never stops answering would fill memory."""


def count_images(peer: Peer, study_uid: str) -> dict[str, int]:
    """Query the number of images of each series of a study.

    Returns
    -------
    dict of str to int
        NumberOfSeriesRelatedInstances by Series Instance UID, without the series for which the peer returns
        none.

    Raises
    ------
    TransientError
        If the peer cannot be queried, or breaks off.

    References
    ----------
    DICOM PS3.4 C.3.4, Additional Query/Retrieve Attributes.
    """
    asked = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": "", "NumberOfSeriesRelatedInstances": None}
    counts = {}
    with _asking(peer) as association:
        for answer in _find(association, "SERIES", asked):
            number = _text(answer, "NumberOfSeriesRelatedInstances")
            if number.isdigit():
                counts[_text(answer, "SeriesInstanceUID")] = int(number)
    return counts


def find_instances(peer: Peer, study_uid: str, series_uids: Iterable[str]) -> set[str]:
    """Query which instances of some series of a study a peer has.

    Returns
    -------
    set of str
        SOP Instance UIDs.

    Raises
    ------
    TransientError
        If the peer cannot be queried, or breaks off.
    """
    found = set()
    with _asking(peer) as association:
        for series_uid in series_uids:
            asked = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid, "SOPInstanceUID": ""}
            found |= {_text(answer, "SOPInstanceUID") for answer in _find(association, "IMAGE", asked)}
    return found


def _asking(peer: Peer) -> Any:  # noqa: ANN401 - a context manager of contextlib
    return associated(peer, QUERY_CONTEXTS)


def _find(association: Association, level: str, asked: dict[str, Any]) -> Iterator[Dataset]:
    if not association.is_established:
        raise TransientError("it takes no C-FIND")
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in asked.items():
        setattr(identifier, keyword, value)
    answers = association.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind)
    for number, (status, answer) in enumerate(answers):
        code = status.get("Status")
        if code == SUCCESS:
            return
        if code not in _PENDING or number >= _MOST_ANSWERS:
            raise TransientError(
                "it gave no answer to a C-FIND" if code is None else f"it answered 0x{code:04X} to a C-FIND"
            )
        if answer is not None:
            yield answer


def _text(answer: Dataset, keyword: str) -> str:
    return str(answer.get(keyword) or "").strip(" \0")
