"""For how many days the disk of the storage lasts."""

import os
import shutil
from collections import Counter
from datetime import datetime
from pathlib import Path

from node.config import StorageSettings
from node.domain.growth import days_left
from node.ports import Figures

__all__ = ["disk_lasts"]

_DAY_S = 86400
_MEGABYTE = 1024 * 1024


def disk_lasts(store: Figures, settings: StorageSettings, now: datetime) -> float | None:
    """Return the days until less is free than the watermark, at the rate of the last week.

    Images count with what the database knows of them, results with the files that are there.

    Returns
    -------
    float or None
        See `node.domain.growth.days_left`.
    """
    room = shutil.disk_usage(settings.directory).free - settings.watermark_mb * _MEGABYTE
    kept = store.kept(now).with_more(_by_age(settings.directory / "results", now))
    return days_left(kept, room, settings.retention_days, now)


def _by_age(folder: Path, now: datetime) -> Counter[int]:
    """Return the bytes of the files below a folder, by their age in whole days."""
    found: Counter[int] = Counter()
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.stat(os.path.join(where, name))  # noqa: PTH116, PTH118 - of many thousand files
            except OSError:
                continue  # a study that was just purged
            found[max(0, int((now.timestamp() - status.st_mtime) // _DAY_S))] += status.st_size
    return found
