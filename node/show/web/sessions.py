"""Who is logged in: sessions in memory, which end with the node."""

import secrets
import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from node.domain.audit import Client

__all__ = ["LONGEST", "Session", "Sessions"]

LONGEST = timedelta(hours=12)
"""After this time a user must log in again, however busy."""
_MOST = 1000
_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """A user who is logged in.

    Attributes
    ----------
    client : Client
        Who, and from where.
    form_token : str
        Every form of the session carries it; a page from elsewhere cannot know it.
    by_proxy : bool
        Whether a reverse proxy vouches for the user, and must do so with every request.
    began, used : datetime
        When it began, and the latest request of the user.
    message : str
        What the next page tells the user; empty for nothing.
    """

    client: Client
    form_token: str
    by_proxy: bool
    began: datetime
    used: datetime
    message: str = ""


class Sessions:
    """Keeps sessions by their keys, of which only digests are in memory.

    Parameters
    ----------
    idle : timedelta
        Time without a request after which a session ends.
    """

    def __init__(self, idle: timedelta) -> None:
        self._idle = idle
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def begin(self, client: Client, now: datetime, *, by_proxy: bool = False) -> str:
        """Begin a session and return its key, which goes into a cookie."""
        key = secrets.token_urlsafe(_BYTES)
        session = Session(client, secrets.token_urlsafe(_BYTES), by_proxy, now, now)
        with self._lock:
            self._sessions = {name: one for name, one in self._sessions.items() if self._is_alive(one, now)}
            while len(self._sessions) >= _MOST:
                del self._sessions[min(self._sessions, key=lambda name: self._sessions[name].used)]
            self._sessions[_digest(key)] = session
        return key

    def find(self, key: str, now: datetime, *, is_use: bool = True) -> Session | None:
        """Return the session of a key; None if there is none or it has ended.

        Parameters
        ----------
        key : str
            From the cookie.
        now : datetime
            The time.
        is_use : bool
            Whether the user asked; a page that renews itself keeps no session alive.
        """
        name = _digest(key)
        with self._lock:
            session = self._sessions.get(name)
            if session is None:
                return None
            if not self._is_alive(session, now):
                del self._sessions[name]
                return None
            if is_use:
                self._sessions[name] = replace(session, used=now)
            return session

    def tell(self, key: str, message: str) -> None:
        """Leave a message for the next page of a session; an empty one takes it away."""
        name = _digest(key)
        with self._lock:
            if name in self._sessions:
                self._sessions[name] = replace(self._sessions[name], message=message)

    def end(self, key: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(_digest(key), None)

    def _is_alive(self, session: Session, now: datetime) -> bool:
        return now - session.used < self._idle and now - session.began < LONGEST


def _digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()
