"""Work that falls into independent tasks: the one seam at which other processes come in."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

__all__ = ["Spread", "in_turn"]

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


class Spread(Protocol):
    """Applies a function to every task, here or elsewhere.

    Function, tasks and results are sent to other processes and back, so they are values, and the function
    belongs to a module. What comes out must not depend on who works, nor on who is ready first.
    """

    def __call__(
        self, function: Callable[[_Task], _Result], tasks: Sequence[_Task]
    ) -> Iterator[tuple[int, _Result]]:
        """Yield the index of a task and its result, as they are ready."""
        ...


def in_turn(function: Callable[[_Task], _Result], tasks: Sequence[_Task]) -> Iterator[tuple[int, _Result]]:
    """Do one task after the other in this process.

    >>> list(in_turn(abs, [-1, 2]))
    [(0, 1), (1, 2)]
    """
    for index, task in enumerate(tasks):
        yield index, function(task)
