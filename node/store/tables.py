"""The tables of the store, and connections to the database that holds them."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Dialect,
    Double,
    Engine,
    ForeignKey,
    Index,
    Insert,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    Update,
    create_engine,
    event,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, OperationalError

from node.errors import PermanentError, StorageFullError

__all__ = [
    "KeptConnection",
    "Prepared",
    "answers",
    "conditions",
    "deliveries",
    "discards",
    "distances",
    "examinations",
    "happenings",
    "history",
    "insert_if_new",
    "insert_or_add",
    "instances",
    "metadata",
    "nodes",
    "notices",
    "open_engine",
    "quarantine",
    "reading",
    "results",
    "scanners",
    "studies",
    "transfers",
    "wish_batches",
    "wishes",
    "writing",
]

_UID = String(64)


class _Moment(TypeDecorator[datetime]):
    """An aware moment, stored as seconds since 1970, which sort alike in every database and need no zone."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> float | None:
        del dialect
        return None if value is None else value.timestamp()

    def process_result_value(self, value: float | None, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else datetime.fromtimestamp(value, UTC)


metadata = MetaData()

instances = Table(
    "instances",
    metadata,
    Column("sop_uid", _UID, primary_key=True),
    Column("series_uid", _UID, nullable=False),
    Column("study_uid", _UID, nullable=False, index=True),
    Column("sop_class_uid", _UID, nullable=False),
    Column("transfer_syntax_uid", _UID, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("patient_key", String(64), nullable=False),
    Column("calling_ae", String(16), nullable=False),
    Column("host", String(64), nullable=False),
    Column("received_at", _Moment, nullable=False),
    # One number for each group that was synced together. After a power cut only files of the last group may
    # be missing or incomplete: a group begins after the one before it is on disk.
    Column("arrival_group", BigInteger, nullable=False, index=True),
)

# A row exists from the first instance of a series over an association until that association is released.
transfers = Table(
    "transfers",
    metadata,
    Column("association", String(64), primary_key=True),
    Column("series_uid", _UID, primary_key=True),
    Column("study_uid", _UID, primary_key=True, index=True),
    # Set when the association was lost: the series may be incomplete.
    Column("cut_off_at", _Moment),
)

studies = Table(
    "studies",
    metadata,
    Column("study_uid", _UID, primary_key=True),
    Column("state", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_at", _Moment, nullable=False),
    Column("first_arrival", _Moment, nullable=False),
    Column("last_arrival", _Moment, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("deadline", _Moment),
    Column("wait_until", _Moment, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("summary", Text, nullable=False),
    # What the reason above is made of, as JSON, where that has codes.
    Column("reasons", Text),
    # Reasons of a refusal, as JSON, until its report is queued; null if none is due.
    Column("unexplained", Text),
    Column("lease_token", String(64)),
    Column("lease_owner", String(64)),
    Column("lease_until", _Moment),
    # Serves "which studies in this state are due"; without it every sweep reads every study ever received.
    Index("studies_by_state", "state", "deadline"),
    # Serves "which studies changed last", for the status page and `osteonode studies`.
    Index("studies_by_change", "changed_at"),
)

history = Table(
    "history",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_uid", _UID, nullable=False, index=True),
    Column("at", _Moment, nullable=False),
    Column("event", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("reason", Text, nullable=False),
)

results = Table(
    "results",
    metadata,
    Column("sop_uid", _UID, primary_key=True),
    Column("study_uid", _UID, nullable=False, index=True),
    Column("revision", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("sop_class_uid", _UID, nullable=False),
    Column("series_uid", _UID, nullable=False),
    Column("name", Text, nullable=False),
    # When its set was first made, as the object says. A set that is made again takes it over.
    Column("created_at", _Moment, nullable=False),
    # Whether it belongs to the latest set. Key and predecessors of that set decide the UIDs of the next one.
    Column("current", Boolean, nullable=False),
    Column("set_key", String(64), nullable=False),
    Column("replaced", Text, nullable=False),
    # Whose result it is and which earlier examination it compares with, as JSON; null where nothing is known.
    Column("compared", Text),
)

# The nodes that work with this database. Moments are of its own clock, which is the same for all of them.
nodes = Table(
    "nodes",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("started_at", _Moment, nullable=False),
    Column("last_seen", _Moment, nullable=False),
    # The node counts as vanished after this moment, unless it gives another sign of life.
    Column("lasts_until", _Moment, nullable=False),
    # Seconds by which the clock of the node was ahead of that of the database at the last sign of life.
    Column("ahead_s", Double, nullable=False),
    # Digests of what decides results, and the studies that are analysed early; both as JSON.
    Column("decides", Text, nullable=False),
    Column("early", Text, nullable=False),
    Column("waits", Text, nullable=False),
)

# The scores of a study, for later examinations of the patient; they outlive its images and results.
examinations = Table(
    "examinations",
    metadata,
    Column("study_uid", _UID, primary_key=True),
    Column("patient_key", String(64), nullable=False, index=True),
    Column("revision", Integer, nullable=False),
    Column("recorded_at", _Moment, nullable=False),
    Column("scores", Text, nullable=False),
)

# What each model answered to a study. One model at most is the chosen one; the others ran in the shadow.
answers = Table(
    "answers",
    metadata,
    Column("study_uid", _UID, primary_key=True),
    Column("bundle", String(64), primary_key=True),
    Column("target", String(32), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("basis", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("probability", Double),
    Column("threshold", Double),
    # Codes with blanks between them.
    Column("reasons", Text, nullable=False),
    Column("distance", Double),
    Column("limit", Double),
    Column("acquired", String(7), nullable=False),
    Column("scanner", Text, nullable=False),
    Column("analysed_at", _Moment, nullable=False),
    # Serves "the latest studies of this scanner".
    Index("answers_by_scanner", "scanner", "analysed_at"),
)

# How far each study lies from what a model was trained on; kept as long as its scores.
distances = Table(
    "distances",
    metadata,
    Column("study_uid", _UID, primary_key=True),
    Column("bundle", String(64), primary_key=True),
    Column("basis", String(16), primary_key=True),
    Column("scanner", Text, nullable=False),
    Column("at", _Moment, nullable=False),
    Column("distance", Double, nullable=False),
    Column("limit", Double, nullable=False),
    Column("usual", Double, nullable=False),
    Column("in_protocol", Boolean, nullable=False),
    # Serves "the latest studies of this scanner".
    Index("distances_by_scanner", "scanner", "bundle", "basis", "at"),
)

# Whether the images of a scanner are like what a model was trained on. What an analysis is told of that
# stays the same from the study with which the scanner left to the one with which it came back.
scanners = Table(
    "scanners",
    metadata,
    Column("scanner", Text, primary_key=True),
    Column("bundle", String(64), primary_key=True),
    Column("basis", String(16), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("since", _Moment),
    Column("far", Integer, nullable=False),
    Column("studies", Integer, nullable=False),
    # Studies up to then are not counted.
    Column("accepted_at", _Moment),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("destination", String(32), nullable=False),
    Column("sop_uid", _UID, ForeignKey("results.sop_uid"), nullable=False),
    Column("study_uid", _UID, nullable=False, index=True),
    Column("state", String(32), nullable=False),
    Column("attempts", Integer, nullable=False),
    # Whether sending was ever begun: only then may the destination hold the object.
    Column("tried", Boolean, nullable=False),
    Column("status", Integer),
    Column("reason", Text, nullable=False),
    Column("not_before", _Moment, nullable=False),
    Column("changed_at", _Moment, nullable=False),
    Column("lease_token", String(64)),
    Column("lease_until", _Moment),
    # Transaction UID of the latest request for storage commitment.
    Column("transaction_uid", _UID, index=True),
    # A result made twice of the same inputs has the same UID, and is queued and sent once.
    UniqueConstraint("destination", "sop_uid"),
    Index("deliveries_by_state", "destination", "state", "not_before"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("sop_uid", _UID, nullable=False),
    Column("reason", Text, nullable=False),
    Column("calling_ae", String(16), nullable=False),
    Column("host", String(64), nullable=False),
    Column("at", _Moment, nullable=False),
)

# How many objects of a study a rule discarded. It exists for studies of which nothing was ever kept, too.
discards = Table(
    "discards",
    metadata,
    Column("study_uid", _UID, primary_key=True),
    Column("rule", String(64), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("first_at", _Moment, nullable=False),
    Column("last_at", _Moment, nullable=False),
)

wish_batches = Table(
    "wish_batches",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("archive", String(32), nullable=False),
    Column("words", Text, nullable=False),
    Column("asked_at", _Moment, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("sends_old", Boolean, nullable=False),
    Column("paused", Boolean, nullable=False),
    # What the archive did not find, as JSON: places in a list, never the numbers that stand there.
    Column("missing", Text, nullable=False),
    Column("before", Integer, nullable=False),
)

# A study of an archive is asked for once, whatever asks for it again.
wishes = Table(
    "wishes",
    metadata,
    Column("archive", String(32), primary_key=True),
    Column("study_uid", _UID, primary_key=True, index=True),
    Column("batch", String(64), nullable=False, index=True),
    Column("priority", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("queued_at", _Moment, nullable=False),
    Column("changed_at", _Moment, nullable=False),
    Column("not_before", _Moment, nullable=False),
    # When its series were judged, from which the studies of the last hour are counted.
    Column("begun_at", _Moment),
    Column("attempts", Integer, nullable=False),
    Column("study_date", String(10)),
    # Series to fetch and what came of each, as JSON.
    Column("series", Text, nullable=False),
    # Sum of what came, and whether other images of the study were here before.
    Column("images", Integer, nullable=False),
    Column("was_here", Boolean, nullable=False),
    Column("sends_old", Boolean, nullable=False),
    # How many images the archive told; more of them later are fetched, too.
    Column("told", Integer),
    Column("lease_token", String(64)),
    Column("lease_until", _Moment),
    # Serves "which goes first" and "how many began within the hour", however long the backlog is.
    Index("wishes_in_order", "archive", "state", "priority", "queued_at", "study_uid"),
    Index("wishes_by_begin", "archive", "begun_at"),
)

# What happened to studies that somebody may be told of; a row is gone once the notices of it are queued.
happenings = Table(
    "happenings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("event_id", String(36), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("study_uid", _UID, nullable=False),
    Column("at", _Moment, nullable=False),
    Column("reason", Text, nullable=False),
    # The answers of a model, as JSON; null for what is no result.
    Column("answers", Text),
)

notices = Table(
    "notices",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("event_id", String(36), nullable=False),
    Column("contact", String(32), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("study_uid", _UID, nullable=False, index=True),
    Column("at", _Moment, nullable=False),
    # What is told, as JSON.
    Column("facts", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    # What is sent as one event; null until an attempt is begun. Each further attempt sends the same.
    Column("batch", String(36)),
    Column("not_before", _Moment, nullable=False),
    Column("changed_at", _Moment, nullable=False),
    UniqueConstraint("contact", "event_id"),
    Index("notices_by_state", "contact", "state", "not_before"),
)

# Conditions that last, such as a destination that is down, and whether a contact was told.
conditions = Table(
    "conditions",
    metadata,
    Column("contact", String(32), primary_key=True),
    Column("subject", String(200), primary_key=True),
    Column("began_at", _Moment, nullable=False),
    Column("told", Boolean, nullable=False),
)


def open_engine(url: str) -> Engine:
    """Connect to the database of a URL, with the guarantees that the store relies on.

    Raises
    ------
    PermanentError
        If it is not the URL of a database, or the driver is not installed.
    """
    try:
        # Pinged before use, so that a database server that was restarted costs no study an attempt.
        engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    except (ArgumentError, ImportError) as error:
        raise PermanentError(
            "[store] url must be sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE; the latter needs "
            f"the extra `postgresql` ({type(error).__name__})"
        ) from error
    if engine.dialect.name == "postgresql":

        @event.listens_for(engine, "connect")
        def insist(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own
            # The same guarantee as FULL below, independent of the server's configuration.
            connection.execute("SET SESSION synchronous_commit TO on")
            connection.commit()

    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own
            # The driver would begin transactions by itself, too late; `begin` below does it instead.
            connection.isolation_level = None
            # FULL: once a commit has returned it is on disk, even if the power fails in the next moment.
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            reading = connection.get_execution_options().get("reading")
            # IMMEDIATE takes the write lock at once, so no two transactions read the same row and then both
            # write it: two workers never lease one study.
            connection.connection.cursor().execute("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def insert_if_new(engine: Engine, table: Table) -> Insert:
    """Return the statement that inserts a row unless its key exists; the row count is 1 if it did."""
    if engine.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def insert_or_add(engine: Engine, table: Table, number: str, replaced: Iterable[str]) -> Insert:
    """Return the statement that inserts a row, or adds to the one that has its key.

    Parameters
    ----------
    engine : Engine
        Whose dialect it is for.
    table : Table
        The table.
    number : str
        Column to whose value the given one is added.
    replaced : iterable of str
        Columns that take the given value; all others keep theirs.
    """
    make = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    statement = make(table)
    added = {number: table.c[number] + statement.excluded[number]}
    return statement.on_conflict_do_update(
        index_elements=table.primary_key.columns,
        set_=added | {name: statement.excluded[name] for name in replaced},
    )


class Prepared:
    """A statement that is compiled once, and then run by the driver itself.

    It serves statements that every received image needs. Values are given as the driver takes them; a moment
    is its seconds since 1970.

    Parameters
    ----------
    engine : Engine
        Whose dialect it is compiled to.
    statement : Insert or Update
        With a parameter for each value.
    """

    def __init__(self, engine: Engine, statement: Insert | Update) -> None:
        compiled = statement.compile(dialect=engine.dialect)
        self._text = str(compiled)
        self._names = compiled.positiontup
        self._fixed = {name: value for name, value in compiled.params.items() if value is not None}

    def run(self, connection: Connection, values: Mapping[str, object]) -> int:
        """Run it in a transaction, and return how many rows it inserted or changed."""
        given = {**self._fixed, **values}
        cursor = connection.connection.cursor()
        try:
            cursor.execute(self._text, given if self._names is None else [given[it] for it in self._names])
            return cursor.rowcount
        finally:
            cursor.close()


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that holds the write lock."""
    with engine.begin() as connection:
        yield connection


class KeptConnection:
    """Write transactions of one thread that never rests, over a connection that stays open where it can.

    Taking a connection from the pool and giving it back costs as much as the statements of an image. A
    connection to a file cannot be lost meanwhile, and keeps the pages it has read; one to a server can, and
    is taken from the pool each time, which tests it first.

    Parameters
    ----------
    engine : Engine
        The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_file = engine.dialect.name == "sqlite"
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that holds the write lock.

        Raises
        ------
        StorageFullError
            If there is no room for what it writes to the file.
        """
        if not self._is_file:
            with writing(self._engine) as connection:
                yield connection
            return
        with self._lock:
            if self._connection is None:
                self._connection = self._engine.connect()
            with _full_disk_told(), self._connection.begin():
                yield self._connection

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


@contextmanager
def _full_disk_told() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise StorageFullError("there is no room for the database") from error
        raise


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that only reads, and blocks no other."""
    with engine.connect().execution_options(reading=True) as connection, connection.begin():
        yield connection
