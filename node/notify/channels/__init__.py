"""Channels take an event to a contact, by webhook or by e-mail."""

from typing import Protocol

from node.domain.delivery import DeliveryResponse
from node.notify.event import Event

__all__ = ["Channel"]


class Channel(Protocol):
    """Takes events to one contact."""

    def send(self, event: Event) -> DeliveryResponse:
        """Send an event, and return what the contact made of it.

        Raises
        ------
        TransientError
            If the contact cannot be reached, or does not let this node in.
        """
        ...

    def reach(self) -> None:
        """Check that the contact can be reached, as far as that can be told without sending anything.

        Raises
        ------
        TransientError
            If it cannot.
        """
        ...
