"""What stands before every page: the check of the host name, security headers, and a limit of the rate.

References
----------
OWASP Secure Headers Project; W3C Content Security Policy Level 3.
"""

import asyncio

from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.config import WebSettings

__all__ = ["with_middleware"]

_LOOPBACK = ("localhost", "127.0.0.1", "::1", "[::1]")
_PAUSE_S = 0.04
"""A response takes about 2 ms of the interpreter, so all viewers together take a twentieth of its time."""

_HEADERS = {
    # Only the style sheet and pictures of this server: no scripts or frames, nothing from elsewhere.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action {forms}; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class _AddHeaders:
    """Adds `_HEADERS` to every response; forms go to this server or, without a login, nowhere."""

    def __init__(self, app: ASGIApp, *, has_forms: bool) -> None:
        self._app = app
        forms = "'self'" if has_forms else "'none'"
        self._headers = {name: value.format(forms=forms) for name, value in _HEADERS.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and add the headers to its response."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class _LimitRate:
    """Starts responses one at a time with a pause between, so that a flood of requests delays no image."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for the turn of the request, then pass it on; a slow response does not delay the next one."""
        async with self._turn:
            await asyncio.sleep(_PAUSE_S)
        await self._app(scope, receive, send)


def with_middleware(pages: ASGIApp, settings: WebSettings) -> ASGIApp:
    """Return the application wrapped in all middleware, which also applies to error pages."""
    names = [*_LOOPBACK, settings.host, *settings.names]
    # Any other Host header is refused: by DNS rebinding, a foreign web site could read the page.
    hosts = TrustedHostMiddleware(pages, allowed_hosts=names, www_redirect=False)
    return _LimitRate(_AddHeaders(hosts, has_forms=settings.has_login))
