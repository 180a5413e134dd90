"""Which tables a database holds, and whether this OsteoNode can work with them."""

from sqlalchemy import Column, Engine, Integer, MetaData, Table, insert, inspect, select
from sqlalchemy.exc import DBAPIError, OperationalError

from node.errors import PermanentError
from node.store import tables as t

__all__ = ["VERSION", "prepare"]

VERSION = 1
"""Raised by every change to `node.store.tables` that an older or a newer OsteoNode would stumble over."""

_schema = Table(
    "schema_version",
    MetaData(),
    Column("version", Integer, primary_key=True, autoincrement=False),
)


def prepare(engine: Engine) -> None:
    """Create the tables in an empty database; in any other, make sure that they are ours and of this version.

    Raises
    ------
    PermanentError
        If the database cannot be reached, or holds tables of another version.
    """
    try:
        found = _found(engine)
    except OperationalError as error:
        # Only its kind: the driver's message may quote the URL.
        raise PermanentError(
            f"the database of [store] url cannot be opened ({type(error.orig).__name__}): "
            "is it running, does it exist, and may this user connect to it?"
        ) from error
    except DBAPIError as error:
        raise PermanentError(
            f"what [store] url names is no database of ours ({type(error.orig).__name__})"
        ) from error
    if found != VERSION:
        raise PermanentError(
            f"the database holds tables of version {found}, and this OsteoNode works with version {VERSION}: "
            "run the OsteoNode that made it, or name an empty database and storage directory"
        )


def _found(engine: Engine) -> int:
    """Return the version of the tables that are there, after creating them in an empty database."""
    there = set(inspect(engine).get_table_names())
    if not there & set(t.metadata.tables):
        t.metadata.create_all(engine)
        _schema.create(engine, checkfirst=True)
        with t.writing(engine) as connection:
            connection.execute(insert(_schema).values(version=VERSION))
    elif _schema.name not in there:
        return 0
    with t.reading(engine) as connection:
        return int(connection.execute(select(_schema.c.version)).scalar_one())
