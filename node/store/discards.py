"""How much of each study the rules discarded."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Engine, delete, func, select

from node.domain.records import Discarded
from node.store import tables as t

__all__ = ["SqlDiscards"]


class SqlDiscards:
    """What the ports say of discarded objects.

    Parameters
    ----------
    engine : Engine
        The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record_discards(self, counts: Mapping[tuple[str, str], int], now: datetime) -> None:
        """See `node.ports.Arrivals`."""
        # In one order, so that two nodes never wait for each other's rows.
        rows = [
            {"study_uid": study_uid, "rule": rule, "count": count, "first_at": now, "last_at": now}
            for (study_uid, rule), count in sorted(counts.items())
        ]
        if rows:
            with t.writing(self._engine) as connection:
                connection.execute(t.insert_or_add(self._engine, t.discards, "count", ("last_at",)), rows)

    def discarded(self, study_uid: str) -> tuple[Discarded, ...]:
        """See `node.ports.StudyReader`."""
        of_study = select(t.discards).where(t.discards.c.study_uid == study_uid).order_by(t.discards.c.rule)
        with t.reading(self._engine) as connection:
            return tuple(Discarded(**row._mapping) for row in connection.execute(of_study))  # noqa: SLF001 - its public name

    def discards(self) -> Mapping[str, tuple[int, int]]:
        """See `node.ports.Figures`."""
        by_rule = select(t.discards.c.rule, func.sum(t.discards.c["count"]), func.count()).group_by(
            t.discards.c.rule
        )
        with t.reading(self._engine) as connection:
            return {rule: (int(objects), studies) for rule, objects, studies in connection.execute(by_rule)}

    def forget_discards(self, before: datetime) -> int:
        """See `node.ports.Retention`."""
        with t.writing(self._engine) as connection:
            return connection.execute(delete(t.discards).where(t.discards.c.last_at < before)).rowcount
