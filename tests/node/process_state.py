"""What importing our modules changes of the process: ``python -m tests.node.process_state`` prints it.

All foreign libraries are imported first, so that what they do at import is not counted. Then a child is
forked that imports all our modules, and compares the state of its process before and after. Only if that
differs, a child is forked for each module, to name those that are to blame.
"""

import asyncio
import atexit
import gc
import importlib
import json
import locale
import logging
import multiprocessing
import os
import pkgutil
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["changes_by_module", "differences", "modules", "process_state"]

_OURS = ("node", "dicom_templates", "analysis")
_WATCHED = ("pydicom", "pynetdicom", "highdicom", "radiomics", "structlog", "apscheduler", "dicomweb_client")
"""Libraries of which every attribute of every module and class is compared."""
_SIMPLE = (int, float, str, bytes, bool, type(None), tuple, frozenset)


def modules() -> list[str]:
    """Name each module of ours that has no needs beyond the wheel."""
    found = []
    for package in _OURS:
        found.append(package)
        path = importlib.import_module(package).__path__
        found += [module.name for module in pkgutil.walk_packages(path, f"{package}.")]
    return [
        name for name in found if not name.startswith("analysis.segment.training") and name != "node.__main__"
    ]


def process_state() -> dict[str, object]:
    """Return all that a module could change of its process, by name."""
    umask = os.umask(0)
    os.umask(umask)
    state: dict[str, object] = {
        "umask": umask,
        "cwd": str(Path.cwd()),
        "environ": dict(os.environ),
        "argv": list(sys.argv),
        "path": list(sys.path),
        "threads": threading.active_count(),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "limits": {
            name: resource.getrlimit(getattr(resource, name))
            for name in dir(resource)
            if name[:7] == "RLIMIT_"
        },
        "signals": {number.name: signal.getsignal(number) for number in signal.Signals},
        "hooks": [sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook],
        "finders": [list(sys.meta_path), list(sys.path_hooks)],
        "atexit": atexit._ncallbacks(),
        "gc": [gc.isenabled(), gc.get_threshold()],
        "switches": [sys.getswitchinterval(), sys.getrecursionlimit(), sys.flags],
        "locale": locale.setlocale(locale.LC_ALL),
        "random": random.getstate(),
        "timeout": socket.getdefaulttimeout(),
        "start method": multiprocessing.get_start_method(allow_none=True),
        "event loops": type(asyncio.get_event_loop_policy()),
        "warnings": [list(warnings.filters), warnings.showwarning, warnings.formatwarning],
        "streams": [sys.stdin, sys.stdout, sys.stderr],
    }
    state |= {f"logger {name}": value for name, value in _loggers()}
    state |= {f"numpy {name}": value for name, value in _numpy()}
    state |= dict(_attributes())
    return state


def _loggers() -> Iterator[tuple[str, object]]:
    loggers = {"root": logging.getLogger(), **logging.getLogger().manager.loggerDict}
    for name, logger in loggers.items():
        if isinstance(logger, logging.Logger):
            yield (
                name,
                (logger.level, logger.propagate, logger.disabled, list(logger.handlers), logger.filters),
            )
    yield "of all", (logging.getLogger().manager.disable, logging.getLoggerClass(), logging.raiseExceptions)


_NEW_LOGGER: object = (logging.NOTSET, True, False, [], [])
"""Asking for a logger by its name changes nothing."""


def _numpy() -> Iterator[tuple[str, object]]:
    import matplotlib as mpl
    import numpy as np

    yield "errors", np.geterr()
    yield "printing", {name: str(value) for name, value in np.get_printoptions().items()}
    yield "matplotlib", {name: str(value) for name, value in dict.items(mpl.rcParams)}


def _attributes() -> Iterator[tuple[str, object]]:
    """Yield every attribute of the watched libraries; of mutable ones their text, where that is short."""
    for module_name, module in list(sys.modules.items()):
        if module_name.partition(".")[0] not in _WATCHED:
            continue
        for name, value in list(vars(module).items()):
            yield from _named(f"{module_name}.{name}", value)
            if isinstance(value, type) and value.__module__ == module_name:
                for attribute, its in list(vars(value).items()):
                    yield from _named(f"{module_name}.{name}.{attribute}", its)
            elif getattr(type(value), "__module__", "") == module_name:
                for attribute, its in list(getattr(value, "__dict__", {}).items()):
                    yield from _named(f"{module_name}.{name}.{attribute}", its)


def _named(name: str, value: Any) -> Iterator[tuple[str, object]]:
    last = name.rpartition(".")[2]
    if last.startswith(("__", "_abc_")):
        return
    if isinstance(value, _SIMPLE):
        yield name, value
    elif isinstance(value, list | dict | set):
        yield name, (id(value), len(value), repr(value) if len(value) < 20 else "")
    else:
        yield name, id(value)


def differences(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """Name what differs between two states; what is new counts only where it is a logger that was changed."""
    changed = [name for name, value in before.items() if after.get(name) != value]
    changed += [
        name
        for name, value in after.items()
        if name not in before and name.startswith("logger ") and value != _NEW_LOGGER
    ]
    return changed


def changes_by_module() -> dict[str, list[str]]:
    """Import all our modules, and return what each changed that changed anything.

    Runs in a process in which nothing of ours is imported.
    """
    listing = "from tests.node.process_state import foreign; foreign()"
    told = subprocess.run([sys.executable, "-c", listing], check=True, capture_output=True, text=True)
    ours, foreign = json.loads(told.stdout.splitlines()[-1])
    for name in foreign:
        with suppress(Exception):  # such as a name that a library puts there and that is no module
            importlib.import_module(name)
    # Warm: what looks at the state must not change it.
    process_state()
    # All at once in one child, in which each is imported once. Which of them it was is asked only if need be.
    if not _changes_of(ours):
        return {}
    by_module = {name: _changes_of([name]) for name in ours}
    return {name: changed for name, changed in by_module.items() if changed} or {"all": _changes_of(ours)}


def foreign() -> None:
    """Print our modules, and the foreign ones that importing them brings, in the order of their import."""
    there = set(sys.modules)
    names = modules()
    for name in names:
        importlib.import_module(name)
    brought = [
        name
        for name in sys.modules
        if name not in there and name.partition(".")[0] not in {*_OURS, "tests", "__main__"}
    ]
    print(json.dumps([names, brought]))  # noqa: T201 - for the process that asks


def _changes_of(names: list[str]) -> list[str]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            before = process_state()
            for name in names:
                importlib.import_module(name)
            told = differences(before, process_state())
        except BaseException as error:  # noqa: BLE001 - told, not lost
            told = [f"{type(error).__name__}: {error}"]
        os.write(writing, json.dumps(told[:20]).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = json.loads(pipe.read())
    os.waitpid(child, 0)
    return list(told)


if __name__ == "__main__":
    print(json.dumps(changes_by_module()))  # noqa: T201
