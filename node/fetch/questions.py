"""Which studies an archive has, however many they are."""

from collections.abc import Sequence

from node.domain.archive import ArchiveQuery, FoundStudy
from node.errors import TooManyFoundError
from node.ports import Archive

__all__ = ["MOST_AT_ONCE", "find_all"]

MOST_AT_ONCE = 5000
"""Answers that are taken to one question; many archives give fewer, and say nothing of the rest."""


def find_all(archive: Archive, query: ArchiveQuery) -> Sequence[FoundStudy]:
    """Return all studies that match, by shorter and shorter ranges of dates where they are too many.

    Raises
    ------
    TooManyFoundError
        If too many match a question that cannot be divided, because it is of one day or has no dates.
    TransientError, PermanentError
        See `node.ports.Archive`.
    """
    try:
        return archive.find_studies(query, MOST_AT_ONCE)
    except TooManyFoundError:
        halves = query.halves()
        if halves is None:
            raise
    found = {one.study_uid: one for half in halves for one in find_all(archive, half)}
    return tuple(found.values())
