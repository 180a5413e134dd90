"""The clock of a database server, which may be another machine than the node's."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from node.errors import TransientError
from node.store import tables as t

__all__ = ["server_time"]


def server_time(url: str) -> datetime | None:
    """Return the time of a database server; None for a file, which has the clock of this machine.

    Raises
    ------
    PermanentError
        If the URL names no database.
    TransientError
        If the server does not answer.
    """
    engine = t.open_engine(url)
    try:
        if engine.dialect.name != "postgresql":
            return None
        with t.reading(engine) as connection:
            told: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
            return told
    except DBAPIError as error:
        raise TransientError(f"it does not answer ({type(error.orig).__name__})") from None
    finally:
        engine.dispose()
