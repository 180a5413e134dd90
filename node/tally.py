"""The few figures that only the running process knows: they begin anew with it, as metrics may."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from analysis.errors import RefusedError
from node.ports import Clock

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["BUCKETS_S", "Counts", "Desk", "Durations", "Tally"]

BUCKETS_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, float("inf"))
"""Upper bounds of the classes that durations are sorted into; [engine] time_limit_s is 600 by default."""


@dataclass(frozen=True, slots=True)
class Durations:
    """How long something took.

    Attributes
    ----------
    within : tuple of int of length len(BUCKETS_S)
        How many took at most so long as each bound.
    total_s : float
        All of them together.
    """

    within: tuple[int, ...] = (0,) * len(BUCKETS_S)
    total_s: float = 0.0

    def with_one(self, seconds: float) -> "Durations":
        """Return them with one more.

        Examples
        --------
        >>> Durations().with_one(7.0).with_one(1000.0).within
        (0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 2)
        """
        within = tuple(
            count + (seconds <= bound) for count, bound in zip(self.within, BUCKETS_S, strict=True)
        )
        return Durations(within, self.total_s + seconds)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a `Tally` held at a moment.

    Attributes
    ----------
    answers : mapping of int to int
        Answers to C-STORE requests, by DIMSE status.
    strangers : int
        Connections and associations that were turned away.
    analyses : mapping of str to Durations
        By how they ended: "reported", "refused", "broke".
    """

    answers: Mapping[int, int] = field(default_factory=dict)
    strangers: int = 0
    analyses: Mapping[str, Durations] = field(default_factory=dict)


class Tally:
    """Counts what happens, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[int] = Counter()
        self._strangers = 0
        self._analyses: dict[str, Durations] = {}

    def note_answer(self, status: int) -> None:
        """Count an answer to a C-STORE request."""
        with self._lock:
            self._answers[status] += 1

    def note_stranger(self) -> None:
        """Count somebody who was turned away."""
        with self._lock:
            self._strangers += 1

    def note_analysis(self, ending: str, seconds: float) -> None:
        """Count an analysis."""
        with self._lock:
            self._analyses[ending] = self._analyses.get(ending, Durations()).with_one(seconds)

    def counts(self) -> Counts:
        """Return all of it as it is now."""
        with self._lock:
            return Counts(dict(self._answers), self._strangers, dict(self._analyses))


class Desk:
    """Where one worker sits: since when it has a study before it, and how long each took.

    Parameters
    ----------
    clock : Clock
        For `busy_since`.
    tally : Tally
        Is told of every analysis.
    tick : callable
        Seconds on a clock that only goes on.
    """

    def __init__(self, clock: Clock, tally: Tally, tick: Callable[[], float]) -> None:
        self._clock = clock
        self._tally = tally
        self._tick = tick
        self.busy_since: datetime | None = None

    @contextmanager
    def at_work(self) -> Iterator[Callable[[str], None]]:
        """Watch one analysis; what is yielded takes a word for how it ended, "broke" without one."""
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
