"""Independent tasks, and the interface through which other processes can take them over."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

__all__ = ["Spread", "in_turn"]

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


class Spread(Protocol):
    """Applies a function to every task, in this process or in others.

    Function, tasks and results must be picklable. The results must not depend on where a task runs, nor on
    the order in which tasks finish.
    """

    def __call__(
        self, function: Callable[[_Task], _Result], tasks: Sequence[_Task]
    ) -> Iterator[tuple[int, _Result]]:
        """Yield the index and the result of each task as it finishes."""
        ...


def in_turn(function: Callable[[_Task], _Result], tasks: Sequence[_Task]) -> Iterator[tuple[int, _Result]]:
    """Run the tasks one after the other in this process.

    >>> list(in_turn(abs, [-1, 2]))
    [(0, 1), (1, 2)]
    """
    for index, task in enumerate(tasks):
        yield index, function(task)
