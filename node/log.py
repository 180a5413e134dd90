"""The log: one event a line, and never patient data.

UIDs are written: they identify objects and not persons, and without them no PACS administrator can follow a
study. Names, patient identifiers, descriptions, dates and comments are not. No caller has to remember that:
the libraries that would quote a dataset are silenced here, and `_only_plain_facts` drops every key that is
not listed in `_FACTS`.
"""

import logging
import sys
import threading
import warnings
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any, TextIO

import structlog
from structlog.typing import FilteringBoundLogger

from node.config import LogSettings

__all__ = [
    "Log",
    "configure",
    "get_log",
    "guarded",
    "quieten_libraries",
    "raised_at",
    "set_level",
    "speak_for_libraries",
]

Log = FilteringBoundLogger

_FACTS = frozenset(
    {
        "event",
        "level",
        "timestamp",
        "study",
        "series",
        "instance",
        "state",
        "reason",
        "destination",
        "contact",
        "archive",
        "model",
        "ae_title",
        "host",
        "port",
        "status",
        "count",
        "notices",
        "new",
        "grown",
        "kept",
        "refused",
        "discarded",
        "rules",
        "bytes",
        "seconds",
        "attempt",
        "revision",
        "kind",
        "error",
        "where",
        "user",
        "order",
        "done",
        "sweep",
        "retry_in_s",
        "keys",
    }
)
"""The keys that a line may hold. Before one is added, it must be clear that its values never identify a
patient."""


def configure(settings: LogSettings) -> None:
    """Send the log to standard error, in the format the configuration asks for."""
    quieten_libraries()
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _only_plain_facts,
            renderer,
        ],
        wrapper_class=_bound_logger(settings.level),
        logger_factory=structlog.PrintLoggerFactory(_Unfailing(sys.stderr)),  # type: ignore[arg-type]  # prints
        cache_logger_on_first_use=False,
    )


def set_level(settings: LogSettings) -> None:
    """Write from now on what the level in the configuration asks for; also by loggers that exist already."""
    structlog.configure(wrapper_class=_bound_logger(settings.level))


def _bound_logger(level: str) -> type[FilteringBoundLogger]:
    return structlog.make_filtering_bound_logger(getattr(logging, level.upper()))


class _Unfailing:
    """A file whose writes raise nothing: a full disk behind the log must not end the work that is logged."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._file.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._file.flush()


def quieten_libraries() -> None:
    """Switch off the logs of libraries; some quote what they receive."""
    for name in ("pynetdicom", "pydicom", "apscheduler", "dicomweb_client", "urllib3", "uvicorn", "asyncio"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False


def get_log() -> Log:
    """Return the log; it follows `configure`, also if that is called later."""
    log: Log = structlog.get_logger()
    return log


def guarded(name: str, work: Callable[[], object], log: Log) -> Callable[[], bool]:
    """Wrap a sweep so that an error in it is logged, and does not keep the next run from coming.

    Parameters
    ----------
    name : str
        Name of the sweep in the log.
    work : callable
        One run.
    log : Log
        Gets the kind of the error and its place, not its message: that of a library may quote a dataset.

    Returns
    -------
    callable
        Makes one run, and returns whether it succeeded.
    """

    def run() -> bool:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a sweep that ended would never run again
            # Not log.exception: a traceback quotes the message, and the message may quote a dataset.
            log.error("sweep_failed", sweep=name, error=type(error).__name__, where=raised_at(error))  # noqa: TRY400
            return False
        return True

    return run


def speak_for_libraries() -> None:
    """Log uncaught errors of threads and warnings of libraries, by kind and place.

    Python would print them with their messages, which may quote a dataset.
    """
    threading.excepthook = _tell_of_lost_thread
    warnings.showwarning = _tell_of_warning  # type: ignore[assignment]  # it names its arguments for itself


def _tell_of_lost_thread(lost: threading.ExceptHookArgs) -> None:
    where = "" if lost.exc_value is None else raised_at(lost.exc_value)
    get_log().error("thread_failed", error=lost.exc_type.__name__, where=where)


def _tell_of_warning(
    _message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object
) -> None:
    get_log().warning("library_warned", error=category.__name__, where=f"{filename}:{lineno}")


def raised_at(error: BaseException) -> str:
    """Return file and line of the innermost frame of an error."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def _only_plain_facts(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key in [key for key in event if key not in _FACTS]:
        del event[key]
    return event
