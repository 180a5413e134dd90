"""The store over SQLAlchemy, made of one class for each port."""

from node.store import tables as t
from node.store.analysis_queue import SqlAnalysisQueue
from node.store.arrivals import SqlArrivals
from node.store.associations import SqlAssociationRecords
from node.store.claim import claim
from node.store.discards import SqlDiscards
from node.store.figures import SqlFigures
from node.store.outbox import SqlOutbox
from node.store.refusal_reports import SqlRefusalReports
from node.store.scanner_ranges import SqlScannerRanges
from node.store.schema import check_whole, prepare
from node.store.studies import SqlStudies
from node.store.upkeep import SqlUpkeep
from node.store.wish_book import SqlWishBook
from node.store.wish_queue import SqlWishQueue

__all__ = ["SqlStore"]


class SqlStore(
    SqlArrivals,  # first: it is the only one whose `__init__` does more than keep the engine
    SqlStudies,
    SqlAssociationRecords,
    SqlDiscards,
    SqlAnalysisQueue,
    SqlRefusalReports,
    SqlOutbox,
    SqlFigures,
    SqlScannerRanges,
    SqlUpkeep,
    SqlWishQueue,
    SqlWishBook,
):
    """The `Store` port over SQLite and PostgreSQL.

    Parameters
    ----------
    url : str
        SQLAlchemy URL.

    Raises
    ------
    PermanentError
        If there is no such database, or it holds tables of another version.
    """

    def __init__(self, url: str) -> None:
        super().__init__(t.open_engine(url))
        try:
            prepare(self._engine)
        except BaseException:
            self._engine.dispose()
            raise
        self._release = _nothing

    def claim(self) -> None:
        """See `node.ports.Store`."""
        self._release = claim(self._engine)
        check_whole(self._engine)

    def close(self) -> None:
        """See `node.ports.Store`."""
        self._kept.close()
        self._engine.dispose()
        self._release()


def _nothing() -> None:
    """Release nothing, because nothing was claimed."""
