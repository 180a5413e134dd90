"""What a person can order on the status page, as the page sees it."""

from enum import StrEnum
from typing import Protocol

from node.domain.audit import Client
from node.domain.records import Study

__all__ = ["Order", "Orders"]


class Order(StrEnum):
    """An order for one study; the value is part of its address and of the audit trail."""

    RETRY = "retry"
    RESEND = "resend"
    SET_ASIDE = "set-aside"
    PURGE = "purge"

    @property
    def is_final(self) -> bool:
        """Whether a person must confirm it, because it cannot be taken back or stops what goes on."""
        return self in {Order.SET_ASIDE, Order.PURGE}


class Orders(Protocol):
    """Carries orders out, and enters each of them in the audit trail and the log."""

    def find(self, name: str) -> tuple[Study, ...]:
        """Return the studies that a UID or its beginning, accession number, Patient ID or name may mean."""
        ...

    def possible(self, study: Study) -> tuple[Order, ...]:
        """Return the orders that make sense in the state of a study."""
        ...

    def carry_out(self, order: Order, study_uid: str, client: Client, *, to: str = "") -> str:
        """Carry an order out and return what was done, in words.

        Parameters
        ----------
        order : Order
            The order.
        study_uid : str
            Study Instance UID.
        client : Client
            Who gave it.
        to : str, optional
            For `Order.RESEND`, the name of the only destination to send to; by default all.

        Raises
        ------
        PermanentError
            If it cannot be carried out; the message says why.
        """
        ...
