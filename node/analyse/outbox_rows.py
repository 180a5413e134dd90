"""Make result files durable and turn them into rows of the outbox."""

from collections.abc import Collection, Sequence
from pathlib import Path

from node.config import Configuration
from node.domain.records import NewResult
from node.domain.results import ResultFile
from node.store.durable import sync, sync_folder

__all__ = ["outbox_rows"]


def outbox_rows(
    results: Sequence[ResultFile], configuration: Configuration, root: Path, among: Collection[str]
) -> list[NewResult]:
    """Make result files durable, and assign each to the destinations that want its kind.

    Parameters
    ----------
    results : sequence of ResultFile
        Written by the analysis, not yet synced.
    configuration : Configuration
        Its destinations say which kinds of result they want.
    root : Path
        The folder that the names in the rows are relative to.
    among : collection of str
        Names of the destinations that may get results of this study.
    """
    _sync(results)
    return [
        NewResult(
            kind=result.kind,
            sop_uid=result.sop_instance_uid,
            sop_class_uid=result.sop_class_uid,
            name=str(result.path.resolve().relative_to(root.resolve())),
            destinations=tuple(
                name for name in configuration.receivers(result.kind, result.sop_class_uid) if name in among
            ),
            series_uid=result.series_uid,
        )
        for result in results
    ]


def _sync(results: Sequence[ResultFile]) -> None:
    """Sync the result files and their folders, so that no row ever names a file lost in a power cut."""
    for result in results:
        sync(result.path)
    for folder in {result.path.parent for result in results}:
        for level in (folder, folder.parent, folder.parent.parent):
            sync_folder(level)
