"""How what a node uses changes from the first study of a soak to the last."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import linear_regression, median

from tests.benchmarks.soak_sample import Sample


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure in the first and in the last fifth, and whether it is as it must be."""

    name: str
    first: float
    fourth: float
    last: float
    flat: bool
    rule: str


LEVELS = {
    "node_rss": (1.05, 5.0), "worker_rss": (1.05, 20.0), "workers": (1.0, 0.0),
    "node_descriptors": (1.0, 2.0), "worker_descriptors": (1.0, 2.0),
    "node_threads": (1.0, 2.0), "worker_threads": (1.0, 2.0), "wal": (1.05, 1.0), "other_files": (1.0, 1.0),
}  # fmt: skip
"""What must not grow: by which factor and, beyond it, by how much the last fifth may be above the first.

What has grown to a limit of its own is flat, too: the last fifth is then not above the fourth.
"""
_STOPPED = (1.01, 1.0)
GROWTHS = {
    "database": 1.15,
    "images": 1.05,
    "results": 1.05,
    "log": 1.15,
}
"""What each study adds to, and by which factor the last fifth may add more than the first."""
TOLD = ("node_cpu_s", "worker_cpu_s")
"""The same, not judged: sweeps cost by the second, so where other load makes the studies slower, each costs
more."""


def compare(samples: Sequence[Sample]) -> list[Comparison]:
    """Compare the last fifth of the studies with the first.

    The first twentieth does not count: the worker process imports the analysis, and caches are filled.
    """
    end = samples[-1].delivered
    bounds = (end / 20, end / 4), (end * 3 / 5, end * 4 / 5), (end * 4 / 5, end)
    parts = [[one for one in samples if low <= one.delivered <= high] for low, high in bounds]
    found = []
    for name, (factor, slack) in LEVELS.items():
        first, fourth, last = (median(getattr(one, name) for one in part) for part in parts)
        stopped = last <= fourth * _STOPPED[0] + _STOPPED[1]
        flat = last <= first * factor + slack or stopped
        rule = f"at most × {factor:g} + {slack:g}, or no more growth"
        found.append(Comparison(name, first, fourth, last, flat, rule))
    for name in (*GROWTHS, *TOLD):
        first, fourth, last = (_each(part, name) for part in parts)
        factor = GROWTHS.get(name, float("inf"))
        rule = f"at most × {factor:g}" if name in GROWTHS else "not judged"
        found.append(Comparison(f"{name} each study", first, fourth, last, last <= first * factor, rule))
    return found


def _each(part: Sequence[Sample], name: str) -> float:
    studies = part[-1].delivered - part[0].delivered
    return float(getattr(part[-1], name) - getattr(part[0], name)) / max(1, studies)


@dataclass(frozen=True, slots=True)
class Course:
    """One figure before the first study, at moments of the soak, and what each further study adds to it.

    Attributes
    ----------
    name : str
        What it is, with its unit.
    values : tuple of float
        One for each of `MOMENTS`.
    each_study : float
        The slope of a straight line through the last half of the studies.
    """

    name: str
    values: tuple[float, ...]
    each_study: float


MOMENTS = ("start", "study 1", "a quarter", "half", "the end")
FOLLOWED: dict[str, Callable[[Sample], float]] = {
    "node, RSS, MB": lambda one: one.node_rss,
    "node, its own, MB": lambda one: one.node_own,
    "workers, RSS, MB": lambda one: one.worker_rss,
    "node, descriptors": lambda one: one.node_descriptors,
    "workers, descriptors": lambda one: one.worker_descriptors,
    "node, threads": lambda one: one.node_threads,
    "workers, threads": lambda one: one.worker_threads,
    "database, kB": lambda one: one.database * 1024,
    "its WAL, kB": lambda one: one.wal * 1024,
    "images, MB": lambda one: one.images,
    "results, MB": lambda one: one.results,
}


def courses(samples: Sequence[Sample]) -> list[Course]:
    """Follow each figure through the samples, of which the first must come before any study."""
    end = samples[-1].delivered
    at = [next(one for one in samples if one.delivered >= part) for part in (1, end / 4, end / 2)]
    moments = (samples[0], *at, samples[-1])
    half = [one for one in samples if one.delivered >= end / 2]
    studies = [one.delivered for one in half]
    found = []
    for name, of in FOLLOWED.items():
        slope = linear_regression(studies, [of(one) for one in half]).slope if len(set(studies)) > 1 else 0.0
        found.append(Course(name, tuple(of(one) for one in moments), slope))
    return found
