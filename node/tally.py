"""The figures that only the running process knows; they start at zero with the process, as metrics may."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import Histogram, Metric

from analysis.errors import RefusedError
from node.ports import Clock

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Counts", "Tally", "WorkerActivity"]

_BUCKETS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
"""Upper bounds of the classes of durations; [engine] time_limit_s is 600 by default."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a `Tally` counted up to a moment.

    Attributes
    ----------
    answers : mapping of int to int
        Number of responses to C-STORE requests, by DIMSE status.
    rejected_peers : int
        Number of connections and associations that were rejected.
    discarded : mapping of str to int
        Number of objects that each rule discarded; they are not among the answers.
    """

    answers: Mapping[int, int] = field(default_factory=dict)
    rejected_peers: int = 0
    discarded: Mapping[str, int] = field(default_factory=dict)


class Tally:
    """Counts what happens in the process, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[int] = Counter()
        self._rejected_peers = 0
        self._discarded: Counter[str] = Counter()
        self._analysis_seconds = Histogram(
            "osteonode_analysis_seconds",
            "Time that a worker took for a study, by how it ended.",
            ["ending"],
            buckets=_BUCKETS_S,
            registry=None,
        )

    def note_answer(self, status: int) -> None:
        """Count a response to a C-STORE request."""
        with self._lock:
            self._answers[status] += 1

    def note_discard(self, rule: str) -> None:
        """Count an object that was acknowledged and discarded by a rule."""
        with self._lock:
            self._discarded[rule] += 1

    def note_rejected_peer(self) -> None:
        """Count a connection or association that was rejected."""
        with self._lock:
            self._rejected_peers += 1

    def note_analysis(self, ending: str, seconds: float) -> None:
        """Count an analysis by its duration and by how it ended: "reported", "refused" or "broke"."""
        self._analysis_seconds.labels(ending).observe(seconds)

    def counts(self) -> Counts:
        """Return the counts as they are now."""
        with self._lock:
            return Counts(dict(self._answers), self._rejected_peers, dict(self._discarded))

    def analysis_seconds(self) -> Metric:
        """Return the histogram of the durations of analyses, with their endings in alphabetical order."""
        (family,) = self._analysis_seconds.collect()
        # `_created` says when an ending was first met, which is of no use here.
        samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        family.samples = sorted(samples, key=lambda sample: sample.labels["ending"])
        return family


class WorkerActivity:
    """What one worker process is doing: since when it has been analysing a study, and how long each one took.

    Parameters
    ----------
    clock : Clock
        Gives `busy_since`.
    tally : Tally
        Counts every analysis.
    tick : callable
        Returns the seconds of a monotonic clock.

    Attributes
    ----------
    busy_since : datetime or None
        Start of the analysis that is running; None if the worker is idle.
    """

    def __init__(self, clock: Clock, tally: Tally, tick: Callable[[], float]) -> None:
        self._clock = clock
        self._tally = tally
        self._tick = tick
        self.busy_since: datetime | None = None

    @contextmanager
    def analysing(self) -> Iterator[Callable[[str], None]]:
        """Time one analysis; call the context value with how it ended; the default is "broke"."""
        endings = ["broke"]
        self.busy_since, began = self._clock.now(), self._tick()
        try:
            yield endings.append
        except RefusedError:
            endings.append("refused")
            raise
        finally:
            self.busy_since = None
            self._tally.note_analysis(endings[-1], self._tick() - began)
