"""The nodes that work with the database, and what those leave that vanish."""

import json
from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Row,
    and_,
    delete,
    insert,
    literal,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import Double

from node.domain.nodes import REMEMBERED, NodeEntry, NodeRole, SeenNode
from node.domain.study import StudyState
from node.store import tables as t
from node.store.faults import reporting_faults
from node.store.server_clock import seconds_now
from node.store.steps import for_update, free_studies

__all__ = ["SqlNodes"]

_ROW = t.nodes.c
_LEASES = select(t.studies.c.study_uid).where(t.studies.c.lease_owner == _ROW.owner)
_VANISHED = "the node that analysed it vanished"


class SqlNodes:
    """The `NodeBook` port.

    Parameters
    ----------
    engine : Engine
        The database, whose tables are there.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._now = seconds_now(engine)

    def close(self) -> None:
        """See `node.ports.NodeBook`."""
        self._engine.dispose()

    def sign(self, entry: NodeEntry, lasts: timedelta, now: datetime) -> None:
        """See `node.ports.NodeBook`."""
        told = {
            "name": entry.name,
            "role": entry.role,
            "started_at": entry.started_at,
            "last_seen": self._now,
            "lasts_until": self._now + lasts.total_seconds(),
            "ahead_s": literal(now.timestamp(), Double) - self._now,
            "decides": json.dumps(dict(entry.decides)),
            "early": json.dumps(entry.early),
            "waits": entry.waits,
        }
        with t.writing(self._engine) as connection:
            ours = update(t.nodes).where(_ROW.owner == entry.owner).values(told)
            if not connection.execute(ours).rowcount:
                connection.execute(insert(t.nodes).values(told | {"owner": entry.owner}))

    def free_vanished(self, entry: NodeEntry, now: datetime) -> int:
        """See `node.ports.NodeBook`.

        A sign of life of its own comes in another transaction: here only rows of others are locked, and those
        that another node looks at are left to it, so that no two nodes wait for each other.
        """
        with t.writing(self._engine) as connection:
            gone = for_update(select(_ROW.owner).where(_ROW.owner != entry.owner, self._is_gone(entry)))
            owners = list(connection.execute(gone).scalars())
            if not owners:
                return 0
            freed = free_studies(connection, t.studies.c.lease_owner.in_(owners), now, _VANISHED)
            self._forget(connection, entry, owners, now)
        return freed

    def _is_gone(self, entry: NodeEntry) -> ColumnElement[bool]:
        gone = _ROW.lasts_until <= self._now
        # Who has the storage to itself is the only main node, whatever an earlier one said.
        return or_(gone, _ROW.role == NodeRole.MAIN) if entry.role is NodeRole.MAIN else gone

    def _forget(
        self, connection: Connection, entry: NodeEntry, owners: Collection[str], now: datetime
    ) -> None:
        last_seen = type_coerce(_ROW.last_seen, Double)
        long_ago = last_seen <= self._now - REMEMBERED.total_seconds()
        # One that worked beside this node under the same name was no earlier run of it, and is missed.
        earlier = last_seen <= self._now - (now - entry.started_at).total_seconds()
        replaced = and_(
            _ROW.role == entry.role, or_(and_(_ROW.name == entry.name, earlier), _ROW.role == NodeRole.MAIN)
        )
        connection.execute(
            delete(t.nodes).where(_ROW.owner.in_(owners), or_(long_ago, replaced), ~_LEASES.exists())
        )

    def note_early(self, owner: str, studies: Collection[str]) -> None:
        """See `node.ports.NodeBook`."""
        with t.writing(self._engine) as connection:
            connection.execute(
                update(t.nodes).where(_ROW.owner == owner).values(early=json.dumps(sorted(studies)))
            )

    def leave(self, owner: str, now: datetime) -> int:
        """See `node.ports.NodeBook`."""
        with t.writing(self._engine) as connection:
            freed = free_studies(connection, t.studies.c.lease_owner == owner, now)
            ours = _ROW.owner == owner
            connection.execute(delete(t.nodes).where(ours, ~_LEASES.exists()))
            # A study that somebody looks at in this moment is left to others, as if this node had vanished.
            connection.execute(update(t.nodes).where(ours).values(lasts_until=self._now))
        return freed

    def nodes(self) -> tuple[SeenNode, ...]:
        """See `node.ports.NodeBook`."""
        at = self._now.label("at")
        leased = select(t.studies.c.lease_owner, t.studies.c.study_uid).where(
            t.studies.c.state == StudyState.ANALYSING, t.studies.c.lease_owner.is_not(None)
        )
        with reporting_faults(), t.reading(self._engine) as connection:
            rows = connection.execute(select(t.nodes, at)).all()
            if not rows:
                return ()
            studies = defaultdict(list)
            for owner, study_uid in connection.execute(leased.order_by(t.studies.c.study_uid)):
                studies[owner].append(study_uid)
        seen = [_seen(row, studies[row.owner]) for row in rows]
        return tuple(sorted(seen, key=_main_first))


def _main_first(seen: SeenNode) -> tuple[bool, str, datetime]:
    return seen.entry.role is not NodeRole.MAIN, seen.entry.name, seen.entry.started_at


def _seen(row: Row[Any], studies: Collection[str]) -> SeenNode:
    entry = NodeEntry(
        owner=row.owner,
        name=row.name,
        role=NodeRole(row.role),
        started_at=row.started_at,
        decides=json.loads(row.decides),
        early=tuple(json.loads(row.early)),
        waits=row.waits,
    )
    silent = timedelta(seconds=max(0.0, row.at - row.last_seen.timestamp()))
    is_alive = row.at < row.lasts_until.timestamp()
    return SeenNode(entry, silent, is_alive, tuple(studies), row.ahead_s)
