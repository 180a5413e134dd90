"""Puts studies that are wished for, however many they are."""

from collections.abc import Sequence
from datetime import datetime

from node.domain.wish import Batch, NewWish, Taken
from node.ports import WishBook

__all__ = ["put_all"]

_AT_ONCE = 100
"""Of one transaction: images that are sent to the node wait for its end."""


def put_all(book: WishBook, batch: Batch, studies: Sequence[NewWish], now: datetime, *, renew: bool) -> Taken:
    """Put studies under a batch, in many short transactions; see `node.ports.WishBook.put_wishes`.

    If it breaks off, what was put stays, and to put all of it again adds the rest.
    """
    total = Taken()
    # At least once, so that a batch of nothing but what was not found is entered, too.
    for at in range(0, max(len(studies), 1), _AT_ONCE):
        taken = book.put_wishes(batch, studies[at : at + _AT_ONCE], now, renew=renew)
        total = Taken(total.new + taken.new, total.renewed + taken.renewed, total.before + taken.before)
    return total
