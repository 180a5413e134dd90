"""The gate before pages and orders: login, sessions, and forms that no other site can send.

References
----------
OWASP Session Management, Authentication and Cross-Site Request Forgery Prevention Cheat Sheets; RFC 6265bis
for the prefix of the cookies.
"""

import asyncio
import re
import secrets
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from math import ceil
from typing import Protocol
from urllib.parse import parse_qs, quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from node.config import WebSettings
from node.config.password import hash_of, is_right
from node.domain.audit import Client, EventOutcome, logged_in, logged_out
from node.domain.identifiers import address_of
from node.log import Log
from node.ports import Audit, Clock
from node.show.orders import Orders
from node.show.study_details import StudyDetailsReader
from node.show.web.attempts import Attempts
from node.show.web.sessions import LONGEST, Session, Sessions

__all__ = ["RENEWED", "Endpoint", "Form", "Gate", "Guarded", "Visit"]

RENEWED = "renewed"
"""Query of the requests that a page makes by itself to renew what it shows."""
_SESSION, _FORM = "__Host-osteonode", "__Host-osteonode-form"
"""Names of cookies that browsers take only if they are secure, and of this host alone."""
_MOST_BYTES, _MOST_FIELDS, _SLOWEST_S = 8192, 16, 10
_TARGET = re.compile(r"/(find|studies/[0-9.]{1,64})?")
_LONGEST_NAME = 128
_SEE_OTHER, _FORBIDDEN, _TOO_LARGE, _TOO_MANY = 303, 403, 413, 429
_WRONG = "Name or password is wrong."
_STALE = "This form was not sent from a page of this session. Nothing was done; please try again."

Form = Mapping[str, str]
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Guarded:
    """What is behind the gate, and what the gate needs.

    Attributes
    ----------
    details : StudyDetailsReader
        Reads what only a person who is logged in sees of a study.
    orders : Orders
        Carries orders out.
    audit, clock : Audit, Clock
        See `node.ports`.
    ae_title : str
        AE title of this node, for the audit trail.
    """

    details: StudyDetailsReader
    orders: Orders
    audit: Audit
    clock: Clock
    ae_title: str


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of a person who is logged in.

    Attributes
    ----------
    key : str
        Key of the session.
    session : Session
        The session.
    is_new : bool
        Whether the response must bring the browser the key.
    """

    key: str
    session: Session
    is_new: bool = False


class ShowLogin(Protocol):
    """Makes the page on which a person logs in."""

    def __call__(self, *, token: str, target: str, message: str, status: int) -> Response:
        """Return the page with a form that carries the token and the path to go on to."""
        ...


class Gate:
    """Lets those in who are logged in.

    Parameters
    ----------
    settings : WebSettings
        The users, the reverse proxy and the length of a session.
    guarded : Guarded
        What is behind the gate.
    show_login : callable
        Makes the login page.
    log : Log
        Logs logins and failures.
    """

    def __init__(self, settings: WebSettings, guarded: Guarded, show_login: ShowLogin, log: Log) -> None:
        self._settings = settings
        self._guarded = guarded
        self._show_login = show_login
        self._log = log
        self._sessions = Sessions(timedelta(minutes=settings.session_minutes))
        self._hashes = {user.name: user.password_hash for user in settings.users}
        # Compared with where nobody has the name, so that the time of an answer tells no names.
        self._nobody = hash_of(secrets.token_urlsafe())
        self._attempts = Attempts()
        self._one_at_a_time = threading.Lock()

    def shows(self, page: Callable[[Request, Visit], Response]) -> Endpoint:
        """Return an endpoint that shows a page to who is logged in, and sends others to the login."""

        async def endpoint(request: Request) -> Response:
            visit = self._visit(request)
            if visit is None:
                return _to_login(request)
            return self._with_key(await run_in_threadpool(page, request, visit), visit)

        return endpoint

    def takes(self, order: Callable[[Request, Visit, Form], Response]) -> Endpoint:
        """Return an endpoint that takes a form from those who are logged in, if it is of their session."""

        async def endpoint(request: Request) -> Response:
            visit = self._visit(request)
            if visit is None:
                return RedirectResponse("/login", _SEE_OTHER)
            form = await _form(request)
            if not _is_ours(request, form, visit.session.form_token):
                self._log.warning("form_refused", user=visit.session.client.user, host=_host(request))
                raise HTTPException(_FORBIDDEN, _STALE)
            return self._with_key(await run_in_threadpool(order, request, visit, form), visit)

        return endpoint

    def tell(self, visit: Visit, message: str) -> None:
        """Leave a message for the next page of a session."""
        self._sessions.tell(visit.key, message)

    async def login_page(self, request: Request) -> Response:
        """Show the login, or go on where somebody is logged in."""
        if self._visit(request) is not None:
            return RedirectResponse("/", _SEE_OTHER)
        return self._login_form(request, request.query_params.get("to", "/"))

    async def login(self, request: Request) -> Response:
        """Begin a session for whoever sends the right password, unless too many were wrong before."""
        form = await _form(request)
        target = form.get("to", "/")
        if not _is_ours(request, form, request.cookies.get(_FORM, "")):
            return self._login_form(request, target, _STALE, _FORBIDDEN)
        client = Client(form.get("name", "")[:_LONGEST_NAME], _host(request))
        pause, is_let_in = await run_in_threadpool(self._try, client, form.get("password", ""))
        if pause:
            words = f"Too many attempts have failed. Try again in {ceil(pause.total_seconds())} s."
            response = self._login_form(request, target, words, _TOO_MANY)
            response.headers["Retry-After"] = str(ceil(pause.total_seconds()))
            return response
        if not is_let_in:
            return self._login_form(request, target, _WRONG, _FORBIDDEN)
        self._sessions.end(request.cookies.get(_SESSION, ""))
        key = self._sessions.begin(client, self._guarded.clock.now())
        response = RedirectResponse(_safe(target), _SEE_OTHER)
        response.delete_cookie(_FORM, secure=True, httponly=True, samesite="strict")
        _set_cookie(response, _SESSION, key)
        return response

    def logout(self, _request: Request, visit: Visit, _form: Form) -> Response:
        """End a session."""
        self._sessions.end(visit.key)
        client, guarded = visit.session.client, self._guarded
        guarded.audit.record(logged_out(client, guarded.ae_title, guarded.clock.now()))
        self._log.info("logged_out", user=client.user)
        response = RedirectResponse("/login", _SEE_OTHER)
        response.delete_cookie(_SESSION, secure=True, httponly=True, samesite="strict")
        return response

    def _visit(self, request: Request) -> Visit | None:
        now = self._guarded.clock.now()
        key = request.cookies.get(_SESSION, "")
        session = self._sessions.find(key, now, is_use=RENEWED not in request.query_params)
        vouched = self._vouched_for(request)
        if session is not None and session.by_proxy and session.client.user != vouched:
            self._sessions.end(key)
            session = None
        if session is not None:
            return Visit(key, session)
        if not vouched:
            return None
        client = Client(vouched, _host(request))
        self._record_login(client, EventOutcome.SUCCESS)
        key = self._sessions.begin(client, now, by_proxy=True)
        begun = self._sessions.find(key, now)
        return None if begun is None else Visit(key, begun, is_new=True)

    def _vouched_for(self, request: Request) -> str:
        """Return the user whom the site's reverse proxy names; empty if it names none, or another asks."""
        if not self._settings.user_header or request.client is None:
            return ""
        address = address_of(request.client.host)
        if not any(address in network for network in self._settings.proxies):
            return ""
        named = request.headers.getlist(self._settings.user_header)
        # Two of them: one may have come from outside, through a proxy that adds its own and removes none.
        name = named[0].strip() if len(named) == 1 else ""
        return name if name.isprintable() and len(name) <= _LONGEST_NAME else ""

    def _try(self, client: Client, password: str) -> tuple[timedelta, bool]:
        """Return how long nobody may try, and whether the password is the user's.

        One after the other, so that many at once are slowed down as much, and need the memory of one.
        """
        keys = (f"from {client.host}", f"as {client.user}")
        with self._one_at_a_time:
            pause = self._attempts.pause(keys, self._guarded.clock.now())
            if pause:
                return pause, False
            known = self._hashes.get(client.user)
            is_let_in = is_right(password, known or self._nobody) and known is not None
            if is_let_in:
                self._attempts.succeeded(keys)
            else:
                self._attempts.failed(keys, self._guarded.clock.now())
        self._record_login(client, EventOutcome.SUCCESS if is_let_in else EventOutcome.MINOR_FAILURE)
        return timedelta(), is_let_in

    def _record_login(self, client: Client, outcome: EventOutcome) -> None:
        guarded = self._guarded
        guarded.audit.record(logged_in(client, guarded.ae_title, guarded.clock.now(), outcome))
        if outcome is EventOutcome.SUCCESS:
            self._log.info("logged_in", user=client.user, host=client.host)
        else:
            # Without the name: a password is sometimes typed into its place.
            self._log.warning("login_failed", host=client.host)

    def _login_form(self, request: Request, target: str, message: str = "", status: int = 200) -> Response:
        token = request.cookies.get(_FORM) or secrets.token_urlsafe()
        response = self._show_login(token=token, target=_safe(target), message=message, status=status)
        _set_cookie(response, _FORM, token)
        return response

    def _with_key(self, response: Response, visit: Visit) -> Response:
        if visit.is_new:
            _set_cookie(response, _SESSION, visit.key)
        if visit.session.message and response.status_code != _SEE_OTHER:
            self._sessions.tell(visit.key, "")
        return response


def _to_login(request: Request) -> Response:
    target = _safe(request.url.path)
    return RedirectResponse("/login" if target == "/" else f"/login?to={quote(target)}", _SEE_OTHER)


def _safe(target: str) -> str:
    """Return a path of ours to go on to; never an address elsewhere."""
    return target if _TARGET.fullmatch(target) else "/"


def _set_cookie(response: Response, name: str, value: str) -> None:
    longest_s = int(LONGEST.total_seconds())
    response.set_cookie(
        name, value, max_age=longest_s, path="/", secure=True, httponly=True, samesite="strict"
    )


def _host(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _is_ours(request: Request, form: Form, token: str) -> bool:
    """Tell whether a form was sent by a page of ours: it has the token, and the browser says nothing else."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    sent = form.get("token", "")
    return site == "same-origin" and bool(token) and secrets.compare_digest(sent.encode(), token.encode())


async def _form(request: Request) -> Form:
    """Read a small form.

    Raises
    ------
    HTTPException
        If it is too large, too slow, or no form.
    """
    body = b""
    try:
        async with asyncio.timeout(_SLOWEST_S):
            async for part in request.stream():
                body += part
                if len(body) > _MOST_BYTES:
                    raise HTTPException(_TOO_LARGE, "This form is too large.")
        parse = partial(parse_qs, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        fields = parse(body.decode("utf-8"))
    except TimeoutError:
        raise HTTPException(408, "This form came too slowly.") from None
    except ValueError:
        raise HTTPException(400, "This is no form.") from None
    return {name: values[-1] for name, values in fields.items()}
