"""Ways to a destination: C-STORE over an association, STOW-RS over HTTP; and storage commitment."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from node.domain.delivery import DeliveryResponse
from node.domain.records import Result

__all__ = ["Carrier"]


class Carrier(Protocol):
    """Takes results to one destination."""

    def open(self, results: Sequence[Result]) -> AbstractContextManager[Callable[[Result], DeliveryResponse]]:
        """Get ready to send these results, and give the function that sends one.

        Raises
        ------
        TransientError
            If the destination cannot be reached, now or while it is being sent to.
        PermanentError
            From the function: if the file of a result is gone or damaged.
        """
        ...

    def find(self, results: Sequence[Result]) -> set[str]:
        """Return the SOP Instance UIDs of those results that the destination says it has.

        Raises
        ------
        TransientError
            If it cannot be asked.
        """
        ...
