"""Carriers send results to a destination, by C-STORE or by STOW-RS."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from node.domain.delivery import DeliveryResponse
from node.domain.records import Result

__all__ = ["Carrier"]


class Carrier(Protocol):
    """Sends results to one destination, and queries it for them."""

    def open(self, results: Sequence[Result]) -> AbstractContextManager[Callable[[Result], DeliveryResponse]]:
        """Open a connection for these results; the context value is a function that sends one of them.

        Raises
        ------
        TransientError
            If the destination cannot be reached, when opening or when sending.
        PermanentError
            Raised by the function if the file of a result is missing or damaged.
        """
        ...

    def find(self, results: Sequence[Result]) -> set[str]:
        """Return the SOP Instance UIDs of those results that the destination has.

        Raises
        ------
        TransientError
            If the destination cannot be queried.
        """
        ...
