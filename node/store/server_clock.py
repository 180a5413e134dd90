"""The clock of a database server, which may be another machine than the node's."""

from datetime import datetime

from sqlalchemy import ColumnElement, Double, Engine, cast, extract, func, select
from sqlalchemy.exc import DBAPIError

from node.errors import TransientError
from node.store import tables as t

__all__ = ["seconds_now", "server_time"]

_UNIX_EPOCH = 2440587.5
"""1970-01-01 as a Julian day."""
_DAY_S = 86400.0


def seconds_now(engine: Engine) -> ColumnElement[float]:
    """Return the expression of the present moment in seconds since 1970, by the clock of the database."""
    if engine.dialect.name == "postgresql":
        return cast(extract("epoch", func.clock_timestamp()), Double)
    return (func.julianday("now") - _UNIX_EPOCH) * _DAY_S


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
