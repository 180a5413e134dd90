"""Functions that the tests call in a worker process."""

import ctypes
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydicom import config

from analysis.domain.reason import quoted
from analysis.errors import ModelRejectedError, RefusedError
from node.domain.results import Outcome

_warmed: list[int] = []
"""The process that was warmed up."""


def warm_up() -> None:
    """Note that this process is warm."""
    _warmed.append(os.getpid())


def call(what: str) -> object:  # noqa: C901 - one line for each
    """Behave as `what` says."""
    match what:
        case "pid":
            return os.getpid()
        case "warmed":
            return _warmed == [os.getpid()]
        case "refuse":
            raise RefusedError(quoted("one"), quoted("two"))
        case "fault":
            raise ValueError("PLANTED^NAME")
        case "reject":
            raise ModelRejectedError("the checksum differs")
        case "die":
            os._exit(7)
        case "segfault":
            ctypes.string_at(0)
        case "hang":
            time.sleep(3600)
        case "eat":
            return len(bytearray(2**36))
        case "hold":
            # In C and without releasing the interpreter lock, as native code of the analysis may do.
            ctypes.PyDLL(None).sleep(3600)
    return None


def voxels_of(paths: Sequence[Path]) -> object:
    """Decode a series as the analysis does, and return its voxels."""
    from node.decode import decode, scan

    (series,), unreadable = scan(paths)
    assert not unreadable
    return decode(series)[0].volume.voxels


def outline(executable: str) -> object:
    """Segment the scene of the segmenter tests with a program."""
    from analysis.settings import SegmentationSettings
    from node.config import BackendSettings
    from tests.node.analyse import test_segmenters

    place = BackendSettings(executable=executable, time_limit_s=600.0)
    return test_segmenters.outline(SegmentationSettings(backend="totalspineseg"), place)


def reading_validation_mode(_task: object = None) -> int:
    """Return how pydicom judges what it reads."""
    return int(config.settings.reading_validation_mode)


def by_study(
    paths: Sequence[Path],
    _configuration: object,
    out: Path,
    _lineage: object,
    _now: object,
    *,
    report_progress: Callable[[str], None],
) -> Outcome:
    """Tell where the results of a study would go; abort at the study 1.2.6, and hang at 1.2.5."""
    from pydicom import dcmread

    for step in ("one step", "another"):
        report_progress(step)
    (study,) = {str(dcmread(path).StudyInstanceUID) for path in paths}
    if study == "1.2.6":
        os.abort()
    if study == "1.2.5":
        time.sleep(3600)
    return Outcome((), (), {"folder": out.name, "files": str(len(paths))})
