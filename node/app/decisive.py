"""Digests of all that decides results, by which nodes tell whether they would make the same ones."""

import platform
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import analysis
import dicom_templates
import node
from analysis.settings import PROGRAMS, SegmentationSettings
from node.config import BackendSettings, Configuration

__all__ = ["decisive_parts"]

_NO_CODE = frozenset({".pyc", ".pyo"})


def decisive_parts(configuration: Configuration, storage: str) -> Mapping[str, str]:
    """Return a digest of each part of program and configuration that decides results.

    Paths do not count where a file is meant: machines may keep the same model in different folders.

    Parameters
    ----------
    configuration : Configuration
        What results are made of, and where they are sent.
    storage : str
        Mark of the storage directory.

    Returns
    -------
    mapping of str to str
        SHA-256 by name of the part, as people know it from config.toml.
    """
    segmentation, models = configuration.segmentation, configuration.models
    destinations = [(one.name, one.results, one.sr_class) for one in configuration.destinations]
    archives = [
        (one.name, one.fetching.results_to, one.fetching.results_not_older_than_days)
        for one in configuration.archives
    ]
    return {
        "program": _program(),
        "libraries": _libraries(),
        "time zone": _digest([repr((time.timezone, time.tzname))]),
        "[storage]": _digest([storage]),
        "[node] ae_title": _digest([configuration.node.ae_title]),
        "[analysis]": _digest([repr(configuration.analysis)]),
        "[segmentation]": _digest(
            [
                repr((segmentation.masks, segmentation.executable, segmentation.time_limit_s)),
                _back_end(configuration),
                *_contents(segmentation.model),
            ]
        ),
        "[models]": _digest(
            [
                repr(models.scanner_drift),
                *_contents(models.bundle),
                # In no result, but kept answers are only comparable if every node asks the same models.
                *(part for bundle in models.shadow for part in _contents(bundle)),
            ]
        ),
        "[report]": _digest([repr(configuration.report)]),
        "[[destinations]]": _digest([repr(destinations)]),
        "[[archives]]": _digest([repr(archives)]),
        "[engine] attempts": _digest([repr(configuration.engine.attempts)]),
    }


@cache
def _program() -> str:
    """Return a digest of the code and the models that are part of it."""
    folders = [Path(package.__path__[0]) for package in (analysis, dicom_templates, node)]
    return _digest(part for folder in folders for part in _contents(folder))


@cache
def _libraries() -> str:
    """Return a digest of Python and the libraries that the program names, with their versions."""
    return _digest([platform.python_version(), *_versions(requires("osteonode") or [])])


def _versions(requirements: Iterable[str]) -> Iterator[str]:
    # What an extra needs decides no result.
    names = (re.match(r"[\w.-]+", one) for one in requirements if "extra ==" not in one)
    for name in (found[0] for found in names if found):
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"{name} is not installed"


def _contents(place: Path | None) -> Iterator[str]:
    """Yield names, relative to the place, and digests of its files; the names of folders do not count."""
    if place is None:
        yield "nothing"
    elif place.is_dir():
        for path in sorted(place.rglob("*")):
            if path.is_file() and path.suffix not in _NO_CODE:
                yield f"{path.relative_to(place)} {_of_file(path)}"
    elif place.is_file():
        yield _of_file(place)
    else:
        yield "missing"


def _back_end(configuration: Configuration) -> str:
    """Return which other program segments on this machine; without it every study would be set aside."""
    settings, place = configuration.analysis.segmentation, configuration.segmentation
    if place.masks is not None and not place.masks.is_dir():
        return "no folder of masks"
    if settings.backend not in PROGRAMS:
        return ""
    # Late: a node that segments by itself need not import it.
    from node.analyse.segmenters.programs import PROGRAM_OF

    found = shutil.which(place.executable or PROGRAM_OF[settings.backend].command)
    return "no program" if found is None else _version(settings, place, *_state(Path(found)))


@lru_cache(maxsize=4)
def _version(settings: SegmentationSettings, place: BackendSettings, *_changes: int) -> str:
    from node.analyse.segmenters.backend import fingerprint

    return fingerprint(settings, place)


def _state(path: Path) -> tuple[int, ...]:
    told = path.stat()
    return told.st_ino, told.st_size, told.st_mtime_ns


def _of_file(path: Path) -> str:
    return _read(path, *_state(path))


@lru_cache(maxsize=1024)
def _read(path: Path, *_changes: int) -> str:
    """Return a digest of a file, which is read again once its inode, size or time has changed."""
    return sha256(path.read_bytes()).hexdigest()


def _digest(parts: Iterable[str]) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()
