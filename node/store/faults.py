"""Tells of a database that does not answer, without what its driver says of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from node.errors import TransientError

__all__ = ["reporting_faults"]


@contextmanager
def reporting_faults() -> Iterator[None]:
    """Raise `TransientError` if the database does not answer."""
    try:
        yield
    except DBAPIError as error:
        # Only the kind of the fault: the driver's message may quote the URL.
        raise TransientError(f"it does not answer ({type(error.orig).__name__})") from error
