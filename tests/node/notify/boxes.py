"""A box of notices with studies that were set aside, and a messenger that a test lets work."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event as Flag

from node.clock import SystemClock
from node.config import Contact, DeliverySettings
from node.domain.notice import Answer, NoticeKind
from node.log import get_log
from node.notify.announcer import Announcer
from node.notify.channels.choice import channel_to
from node.notify.event import event_of
from node.notify.messenger import Messenger
from node.store import tables as t
from node.store.happenings import note
from node.store.notices import SqlNotices
from node.store.sql import SqlStore
from tests.node.outboxes import FrozenClock

__all__ = ["Office"]

_REAL = SystemClock()


@dataclass
class Office:
    """A database, a clock that a test moves, and who is told.

    Attributes
    ----------
    url : str
        Of the database.
    contacts : sequence of Contact
        Who is told.
    """

    url: str
    contacts: Sequence[Contact]
    clock: FrozenClock = field(default_factory=FrozenClock)

    def __post_init__(self) -> None:
        SqlStore(self.url).close()  # makes the tables
        self.box = SqlNotices(t.open_engine(self.url))
        self.open()

    def open(self) -> None:
        """Begin anew, as after a kill."""
        self.close()
        self.box = SqlNotices(t.open_engine(self.url))
        self.announcer = Announcer(self.box, self.clock, lambda: self.contacts)
        self.messengers = [self._messenger(one) for one in self.contacts]

    def close(self) -> None:
        """Close the database."""
        self.box.close()

    def happen(
        self, *studies: str, kind: NoticeKind = NoticeKind.SET_ASIDE, answers: Sequence[Answer] = ()
    ) -> None:
        """Let something happen to studies, as the store notes it."""
        with t.writing(self.box._engine) as connection:
            for study in studies:
                note(connection, kind, study, self.clock.now(), reason="it broke", answers=answers)

    def work(self) -> None:
        """Announce and send all that is due."""
        self.announcer.sweep()
        for messenger in self.messengers:
            messenger.sweep()

    def work_on(self, *, rounds: int = 20, **pause: float) -> None:
        """Do so again and again, with a pause between."""
        for _ in range(rounds):
            self.work()
            self.clock.time += timedelta(**pause)

    def _messenger(self, contact: Contact) -> Messenger:
        return Messenger(
            contact,
            # The receiver compares the time of the signature with its own clock.
            channel_to(contact, _REAL, 5.0),
            lambda batch: event_of(batch, "OSTEONODE"),
            box=self.box,
            clock=self.clock,
            settings=DeliverySettings(attempts=3),
            stopping=Flag(),
            log=get_log(),
        )
