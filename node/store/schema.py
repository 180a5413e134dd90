"""Creates the tables, and checks which version of them a database holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, OperationalError

from node.errors import PermanentError
from node.store import tables as t

__all__ = ["VERSION", "check_whole", "found_version", "is_there", "prepare", "record_version"]

VERSION = 7
"""Raised with every change to `node.store.tables`, which also needs a step in `node.store.migration`."""

_schema = Table(
    "schema_version",
    MetaData(),
    Column("version", Integer, primary_key=True, autoincrement=False),
)


_DAMAGES = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})
_DAMAGED = (
    "the database is damaged, or its file is none: stop the node, move the file away, with those beside it "
    "that end in -wal and -shm, and start the node. It enters the images again that lie in [storage] "
    "directory; have the studies sent again that are to be reported: only their sender knows whether they "
    "are whole"
)


def prepare(engine: Engine) -> None:
    """Create the tables in an empty database; in any other, check that they are ours and of this version.

    Raises
    ------
    PermanentError
        If the database cannot be reached, or holds tables of another version.
    """
    found = found_version(engine)
    if found is None:
        with _reporting_faults():
            _create(engine)
    elif found != VERSION:
        remedy = (
            "stop the node and run `osteonode upgrade`"
            if 0 < found < VERSION
            else "run the OsteoNode that made it, or name an empty database and storage directory"
        )
        raise PermanentError(
            f"the database holds tables of version {found}, and this OsteoNode works with version {VERSION}: "
            f"{remedy}"
        )


def found_version(engine: Engine) -> int | None:
    """Return the version of the tables: None if there are none of this program, 0 if they state none.

    Raises
    ------
    PermanentError
        If the database cannot be reached, or is not a database.
    """
    with _reporting_faults():
        there = set(inspect(engine).get_table_names())
        if not there & set(t.metadata.tables):
            return None
        if _schema.name not in there:
            return 0
        with t.reading(engine) as connection:
            return int(connection.execute(select(_schema.c.version)).scalar_one())


def is_there(url: str) -> bool:
    """Tell whether a database holds tables of this program, without creating any.

    Raises
    ------
    PermanentError
        If the database cannot be reached, is not a database, or is damaged.
    """
    engine = t.open_engine(url)
    try:
        file = engine.url.database
        # To open a file that does not exist would create it.
        if engine.dialect.name == "sqlite" and (not file or not Path(file).is_file()):
            return False
        check_whole(engine)
        return found_version(engine) is not None
    finally:
        engine.dispose()


def check_whole(engine: Engine) -> None:
    """Look for damage in a database in a file; a server looks after its own.

    Raises
    ------
    PermanentError
        If there is any. It would otherwise show in the middle of the work, and only where it is.
    """
    if engine.dialect.name != "sqlite":
        return
    with _reporting_faults(), t.reading(engine) as connection:
        found = connection.execute(text("PRAGMA quick_check(1)")).scalar()
    if found != "ok":
        raise PermanentError(_DAMAGED)


def record_version(connection: Connection) -> None:
    """Record this version, in the transaction that changed the tables."""
    connection.execute(update(_schema).values(version=VERSION))


def _create(engine: Engine) -> None:
    t.metadata.create_all(engine)
    _schema.create(engine, checkfirst=True)
    with t.writing(engine) as connection:
        connection.execute(insert(_schema).values(version=VERSION))


@contextmanager
def _reporting_faults() -> Iterator[None]:
    """Report faults of the database by their kind only: the driver's message may quote the URL."""
    try:
        yield
    except OperationalError as error:
        raise PermanentError(
            f"the database of [store] url cannot be opened ({type(error.orig).__name__}): "
            f"{_remedy(str(error.orig), getattr(error.orig, 'pgconn', None))}"
        ) from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlite_errorname", "") in _DAMAGES:
            raise PermanentError(_DAMAGED) from error
        raise PermanentError(
            f"what [store] url names is no database of ours ({type(error.orig).__name__})"
        ) from error


class _Refused(Protocol):
    """What psycopg keeps of a connection that was not made."""

    @property
    def needs_password(self) -> bool:
        """Whether the server asked for a password, and none was given."""
        ...


def _remedy(message: str, refused: _Refused | None) -> str:
    """Tell what to look at after a connection failed, from the driver's message, which itself is not shown.

    The driver gives no code when no connection is made. A server that answers begins with FATAL, whatever
    its language.
    """
    if refused is not None and refused.needs_password:
        return "the server asks for a password, and the URL holds none"
    if "FATAL" not in message:
        return "it does not answer: is it running, and are host and port, or the file, right?"
    if any(word in message.lower() for word in _OF_PASSWORDS):
        return "the server answers, but does not accept this user with this password"
    return "the server answers, but refuses: do this database and this user exist, and is it ready?"


_OF_PASSWORDS = ("passwor", "authent")
"""In messages about a wrong password, in English, German and French."""
