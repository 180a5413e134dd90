"""What retention removes, and what a node repairs when it starts or stops."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from sqlalchemy import Engine, case, delete, func, select, update

from node.domain.delivery import OPEN_DELIVERY_STATES, DeliveryState
from node.domain.nodes import NodeRole
from node.domain.records import MR_IMAGE_CLASSES, Instance, Study
from node.domain.study import StudyState
from node.domain.wish import WishState
from node.store import tables as t
from node.store.examinations import count_examinations, forget_examination, forget_examinations
from node.store.rows import instance_of, study_of
from node.store.server_clock import seconds_now
from node.store.steps import find, free_studies

__all__ = ["SqlUpkeep"]

_LAST_GROUP = select(func.max(t.instances.c.arrival_group)).scalar_subquery()


class SqlUpkeep:
    """The `Retention` port, and the part of `Recovery` that concerns instances and leases.

    Parameters
    ----------
    engine : Engine
        The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def unchanged_since(self, states: Iterable[StudyState], moment: datetime) -> tuple[Study, ...]:
        """See `node.ports.Retention`."""
        holds = select(t.instances.c.sop_uid).where(t.instances.c.study_uid == t.studies.c.study_uid).exists()
        still_to_send = (
            select(t.deliveries.c.id)
            .where(
                t.deliveries.c.study_uid == t.studies.c.study_uid,
                t.deliveries.c.state.in_(list(OPEN_DELIVERY_STATES)),
            )
            .exists()
        )
        old = select(t.studies).where(
            t.studies.c.state.in_(list(states)),
            t.studies.c.changed_at <= moment,
            t.studies.c.last_arrival <= moment,
            t.studies.c.deadline.is_(None),
            holds,
            ~still_to_send,
        )
        with t.reading(self._engine) as connection:
            return tuple(study_of(row) for row in connection.execute(old))

    def forget_originals(self, study: Study, remove: Callable[[Sequence[Instance]], None]) -> bool:
        """See `node.ports.Retention`."""
        of_study = t.instances.c.study_uid == study.study_uid
        with t.writing(self._engine) as connection:
            now = find(connection, study.study_uid)
            if now is None or (now.state, now.revision, now.last_arrival) != (
                study.state, study.revision, study.last_arrival,
            ):  # fmt: skip
                return False
            rows = connection.execute(select(t.instances).where(of_study))
            remove([instance_of(row) for row in rows])
            connection.execute(delete(t.instances).where(of_study))
        return True

    def forget_unused(
        self, states: Iterable[StudyState], remove: Callable[[Sequence[Instance]], None], most: int
    ) -> int:
        """See `node.ports.Retention`."""
        studies = select(t.studies.c.study_uid).where(t.studies.c.state.in_(list(states)))
        unused = (
            select(t.instances)
            .where(t.instances.c.sop_class_uid.not_in(MR_IMAGE_CLASSES), t.instances.c.study_uid.in_(studies))
            .order_by(t.instances.c.sop_uid)
            .limit(most)
        )
        with t.writing(self._engine) as connection:
            instances = [instance_of(row) for row in connection.execute(unused)]
            remove(instances)
            removed = [one.sop_uid for one in instances]
            connection.execute(delete(t.instances).where(t.instances.c.sop_uid.in_(removed)))
        return len(instances)

    def forget_examination(self, study_uid: str) -> bool:
        """See `node.ports.Retention`."""
        with t.writing(self._engine) as connection:
            return forget_examination(connection, study_uid)

    def count_examinations(self, before: datetime) -> int:
        """See `node.ports.Retention`."""
        with t.reading(self._engine) as connection:
            return count_examinations(connection, before)

    def forget_examinations(self, before: datetime) -> int:
        """See `node.ports.Retention`."""
        with t.writing(self._engine) as connection:
            return forget_examinations(connection, before)

    def all_instances(self) -> Iterator[Instance]:
        """See `node.ports.Recovery`."""
        with t.reading(self._engine) as connection:
            for row in connection.execute(select(t.instances).order_by(t.instances.c.sop_uid)):
                yield instance_of(row)

    def last_group(self) -> tuple[Instance, ...]:
        """See `node.ports.Recovery`."""
        last = select(t.instances).where(t.instances.c.arrival_group == _LAST_GROUP)
        with t.reading(self._engine) as connection:
            return tuple(instance_of(row) for row in connection.execute(last))

    def release_leases(self, now: datetime) -> int:
        """See `node.ports.Recovery`."""
        analyse = select(t.nodes.c.owner).where(
            t.nodes.c.owner == t.studies.c.lease_owner,
            t.nodes.c.role == NodeRole.ANALYSE,
            t.nodes.c.lasts_until > seconds_now(self._engine),
        )
        with t.writing(self._engine) as connection:
            studies = free_studies(connection, ~analyse.exists(), now)
            sending = connection.execute(
                update(t.deliveries)
                .where(t.deliveries.c.state == DeliveryState.SENDING)
                .values(state=DeliveryState.WAITING, lease_token=None, lease_until=None, not_before=now)
            )
            confirming = connection.execute(
                update(t.deliveries)
                .where(
                    t.deliveries.c.state == DeliveryState.UNCONFIRMED, t.deliveries.c.lease_until.is_not(None)
                )
                .values(lease_token=None, lease_until=None)
            )
            fetching = connection.execute(
                update(t.wishes)
                .where(t.wishes.c.lease_token.is_not(None))
                .values(
                    state=case((t.wishes.c.begun_at.is_(None), WishState.WAITING), else_=WishState.FETCHING),
                    lease_token=None, lease_until=None,
                )
            )  # fmt: skip
            return studies + sending.rowcount + confirming.rowcount + fetching.rowcount
