"""What every answer carries, and who is answered at all.

References
----------
OWASP Secure Headers Project; W3C Content Security Policy Level 3.
"""

import asyncio

from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.config import WebSettings

__all__ = ["guarded"]

_LOOPBACK = ("localhost", "127.0.0.1", "::1", "[::1]")
_PAUSE_S = 0.04
"""An answer takes about 2 ms of the interpreter; so all visitors together take a twentieth of its time."""

_HEADERS = {
    # Our own style sheet and nothing else: no script, no frame, no form, nothing from elsewhere.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class _Headers:
    """Adds `_HEADERS` to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class _Pace:
    """Begins answers one after another with a pause between: a flood of visitors waits, not the images."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for its turn, then pass a request on; a slow answer holds up no other."""
        async with self._turn:
            await asyncio.sleep(_PAUSE_S)
        await self._app(scope, receive, send)


def guarded(pages: ASGIApp, settings: WebSettings) -> ASGIApp:
    """Stand before the pages, also before the one that tells of a fault."""
    names = [*_LOOPBACK, settings.host, *settings.names]
    # A page that a browser reached under a stranger's name may be read by that stranger (DNS rebinding).
    return _Pace(_Headers(TrustedHostMiddleware(pages, allowed_hosts=names, www_redirect=False)))
