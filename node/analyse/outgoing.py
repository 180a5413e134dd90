"""From result files to rows of the outbox: durable first, then named for whoever asked for their kind."""

import os
from collections.abc import Sequence
from pathlib import Path

from node.config import Configuration
from node.domain.records import NewResult
from node.domain.results import ResultFile
from node.store.durable import sync_folder

__all__ = ["outgoing"]


def outgoing(results: Sequence[ResultFile], configuration: Configuration, root: Path) -> list[NewResult]:
    """Make result files durable, and tell who gets them.

    Parameters
    ----------
    results : sequence of ResultFile
        As the analysis wrote them.
    configuration : Configuration
        Its destinations.
    root : Path
        The folder that the names of results are relative to.
    """
    _sync(results)
    return [
        NewResult(
            kind=result.kind,
            sop_uid=result.sop_instance_uid,
            sop_class_uid=result.sop_class_uid,
            name=str(result.path.resolve().relative_to(root.resolve())),
            destinations=tuple(
                destination.name
                for destination in configuration.destinations
                if destination.wants(result.kind, result.sop_class_uid)
            ),
            series_uid=result.series_uid,
        )
        for result in results
    ]


def _sync(results: Sequence[ResultFile]) -> None:
    """Make the result files as durable as the rows that will name them."""
    for result in results:
        descriptor = os.open(result.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    for folder in {result.path.parent for result in results}:
        for level in (folder, folder.parent, folder.parent.parent):
            sync_folder(level)
