"""Upgrades tables of an earlier version to this one, with all that they hold.

The version number and the row that holds it are ours. Alembic knows how SQLite and PostgreSQL change tables.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    Engine,
    Integer,
    String,
    Text,
    UniqueConstraint,
    inspect,
    select,
)

from node.errors import PermanentError
from node.store import tables as t
from node.store.schema import VERSION, found_version, record_version
from node.store.server_clock import seconds_now

if TYPE_CHECKING:
    from alembic.operations import Operations

__all__ = ["STEPS", "Upgrade", "upgrade"]


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What an upgrade did.

    Attributes
    ----------
    before, after : int
        Versions of the tables.
    copy : Path or None
        A copy of the database as it was before, if one was made.
    """

    before: int
    after: int
    copy: Path | None = None


def _find_latest_studies_fast(operations: "Operations") -> None:
    operations.create_index("studies_by_change", "studies", ["changed_at"])


def _remember_what_is_unexplained(operations: "Operations") -> None:
    operations.add_column("studies", Column("unexplained", Text))


def _remember_codes_of_reasons(operations: "Operations") -> None:
    operations.add_column("studies", Column("reasons", Text))


def _keep_scores(operations: "Operations") -> None:
    operations.add_column("results", Column("compared", Text))
    operations.create_table(
        "examinations",
        Column("study_uid", String(64), primary_key=True),
        Column("patient_key", String(64), nullable=False),
        Column("revision", Integer, nullable=False),
        Column("recorded_at", Double, nullable=False),
        Column("scores", Text, nullable=False),
    )
    operations.create_index("ix_examinations_patient_key", "examinations", ["patient_key"])


def _fetch_from_archives(operations: "Operations") -> None:
    operations.create_table(
        "wish_batches",
        Column("name", String(64), primary_key=True),
        Column("archive", String(32), nullable=False),
        Column("words", Text, nullable=False),
        Column("asked_at", Double, nullable=False),
        Column("priority", Integer, nullable=False),
        Column("sends_old", Boolean, nullable=False),
        Column("paused", Boolean, nullable=False),
        Column("missing", Text, nullable=False),
        Column("before", Integer, nullable=False),
    )
    operations.create_table(
        "wishes",
        Column("archive", String(32), primary_key=True),
        Column("study_uid", String(64), primary_key=True),
        Column("batch", String(64), nullable=False),
        Column("priority", Integer, nullable=False),
        Column("state", String(20), nullable=False),
        Column("reason", Text, nullable=False),
        Column("queued_at", Double, nullable=False),
        Column("changed_at", Double, nullable=False),
        Column("not_before", Double, nullable=False),
        Column("begun_at", Double),
        Column("attempts", Integer, nullable=False),
        Column("study_date", String(10)),
        Column("series", Text, nullable=False),
        Column("images", Integer, nullable=False),
        Column("was_here", Boolean, nullable=False),
        Column("sends_old", Boolean, nullable=False),
        Column("told", Integer),
        Column("lease_token", String(64)),
        Column("lease_until", Double),
    )
    operations.create_index("ix_wishes_study_uid", "wishes", ["study_uid"])
    operations.create_index("ix_wishes_batch", "wishes", ["batch"])
    order = ["archive", "state", "priority", "queued_at", "study_uid"]
    operations.create_index("wishes_in_order", "wishes", order)
    operations.create_index("wishes_by_begin", "wishes", ["archive", "begun_at"])


def _count_what_rules_discard(operations: "Operations") -> None:
    operations.create_table(
        "discards",
        Column("study_uid", String(64), primary_key=True),
        Column("rule", String(64), primary_key=True),
        Column("count", Integer, nullable=False),
        Column("first_at", Double, nullable=False),
        Column("last_at", Double, nullable=False),
    )


def _keep_notices(operations: "Operations") -> None:
    operations.create_table(
        "happenings",
        Column("id", Integer, primary_key=True),
        Column("event_id", String(36), nullable=False),
        Column("kind", String(32), nullable=False),
        Column("study_uid", String(64), nullable=False),
        Column("at", Double, nullable=False),
        Column("reason", Text, nullable=False),
        Column("answers", Text),
    )
    operations.create_table(
        "notices",
        Column("id", Integer, primary_key=True),
        Column("event_id", String(36), nullable=False),
        Column("contact", String(32), nullable=False),
        Column("kind", String(32), nullable=False),
        Column("study_uid", String(64), nullable=False),
        Column("at", Double, nullable=False),
        Column("facts", Text, nullable=False),
        Column("state", String(16), nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("reason", Text, nullable=False),
        Column("batch", String(36)),
        Column("not_before", Double, nullable=False),
        Column("changed_at", Double, nullable=False),
        UniqueConstraint("contact", "event_id"),
    )
    operations.create_index("ix_notices_study_uid", "notices", ["study_uid"])
    operations.create_index("notices_by_state", "notices", ["contact", "state", "not_before"])
    operations.create_table(
        "conditions",
        Column("contact", String(32), primary_key=True),
        Column("subject", String(200), primary_key=True),
        Column("began_at", Double, nullable=False),
        Column("told", Boolean, nullable=False),
    )


def _fetch_select_and_tell(operations: "Operations") -> None:
    _fetch_from_archives(operations)
    _count_what_rules_discard(operations)
    _keep_notices(operations)


def _keep_answers(operations: "Operations") -> None:
    operations.create_table(
        "answers",
        Column("study_uid", String(64), primary_key=True),
        Column("bundle", String(64), primary_key=True),
        Column("target", String(32), primary_key=True),
        Column("role", String(16), nullable=False),
        Column("name", Text, nullable=False),
        Column("version", Text, nullable=False),
        Column("basis", String(16), nullable=False),
        Column("state", String(16), nullable=False),
        Column("probability", Double),
        Column("threshold", Double),
        Column("reasons", Text, nullable=False),
        Column("distance", Double),
        Column("limit", Double),
        Column("acquired", String(7), nullable=False),
        Column("scanner", Text, nullable=False),
        Column("analysed_at", Double, nullable=False),
    )
    operations.create_index("answers_by_scanner", "answers", ["scanner", "analysed_at"])


def _judge_scanners(operations: "Operations") -> None:
    operations.create_table(
        "distances",
        Column("study_uid", String(64), primary_key=True),
        Column("bundle", String(64), primary_key=True),
        Column("basis", String(16), primary_key=True),
        Column("scanner", Text, nullable=False),
        Column("at", Double, nullable=False),
        Column("distance", Double, nullable=False),
        Column("limit", Double, nullable=False),
        Column("usual", Double, nullable=False),
        Column("in_protocol", Boolean, nullable=False),
    )
    operations.create_index("distances_by_scanner", "distances", ["scanner", "bundle", "basis", "at"])
    operations.create_table(
        "scanners",
        Column("scanner", Text, primary_key=True),
        Column("bundle", String(64), primary_key=True),
        Column("basis", String(16), primary_key=True),
        Column("state", String(16), nullable=False),
        Column("since", Double),
        Column("far", Integer, nullable=False),
        Column("studies", Integer, nullable=False),
        Column("accepted_at", Double),
    )


def _know_which_nodes_work(operations: "Operations") -> None:
    operations.create_table(
        "nodes",
        Column("owner", String(64), primary_key=True),
        Column("name", String(64), nullable=False),
        Column("role", String(16), nullable=False),
        Column("started_at", Double, nullable=False),
        Column("last_seen", Double, nullable=False),
        Column("lasts_until", Double, nullable=False),
        Column("ahead_s", Double, nullable=False),
        Column("decides", Text, nullable=False),
        Column("early", Text, nullable=False),
        Column("waits", Text, nullable=False),
    )


def _compare_models_and_share_work(operations: "Operations") -> None:
    _keep_answers(operations)
    _judge_scanners(operations)
    _know_which_nodes_work(operations)


STEPS: Mapping[int, Callable[["Operations"], None]] = {
    1: _find_latest_studies_fast,
    2: _remember_what_is_unexplained,
    3: _remember_codes_of_reasons,
    4: _keep_scores,
    5: _fetch_select_and_tell,
    6: _compare_models_and_share_work,
}
"""The step from each version to the next; one that was released never changes: databases have taken it."""


def upgrade(url: str) -> Upgrade:
    """Upgrade the tables of a database to this version, in one transaction, while no node works with it.

    A database in a file is copied first, beside it. To back up a database server is up to its administrator.

    Raises
    ------
    PermanentError
        If there is no such database, a node works with it, or its tables are of another program or a later
        version.
    """
    engine = t.open_engine(url)
    try:
        found = found_version(engine)
        if found is None:
            raise PermanentError("the database is empty: `osteonode serve` makes its tables")
        if not 0 < found <= VERSION:
            raise PermanentError(
                f"the database holds tables of version {found}, and this OsteoNode knows those up to version "
                f"{VERSION}: run the OsteoNode that made it"
            )
        if found == VERSION:
            return Upgrade(found, found)
        _insist_on_no_nodes(engine)
        copy = _copy(engine, found)
        _take_steps(engine, found)
        return Upgrade(found, VERSION, copy)
    finally:
        engine.dispose()


def _insist_on_no_nodes(engine: Engine) -> None:
    """Refuse while a node that only analyses works with the database: it holds no lock of the storage."""
    if not inspect(engine).has_table(t.nodes.name):
        return
    alive = select(t.nodes.c.name).where(t.nodes.c.lasts_until > seconds_now(engine)).order_by(t.nodes.c.name)
    with t.reading(engine) as connection:
        names = list(connection.execute(alive).scalars())
    if names:
        raise PermanentError(
            f"these nodes work with the database, or have ended less than [engine] vanished_s ago: "
            f"{', '.join(names)}. Stop them first"
        )


def _take_steps(engine: Engine, found: int) -> None:
    # Imported here, because every other command does without it.
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    with t.writing(engine) as connection:
        operations = Operations(MigrationContext.configure(connection))
        for version in range(found, VERSION):
            STEPS[version](operations)
        record_version(connection)


def _copy(engine: Engine, found: int) -> Path | None:
    """Make a consistent copy of a database in a file; return None for one in a server."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    original = Path(engine.url.database)
    copy = original.with_name(f"{original.name}.version-{found}")
    with closing(sqlite3.connect(original)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy
