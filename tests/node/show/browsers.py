"""A browser without a screen: it keeps cookies and reads the tokens of forms."""

import http.client
import re
import ssl
from contextlib import closing
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from tests.patience import PATIENCE_S

__all__ = ["Browser", "Page"]


@dataclass(frozen=True, slots=True)
class Page:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes
    cookies: SimpleCookie

    @property
    def text(self) -> str:
        """The body, as text."""
        return self.body.decode(errors="replace")

    @property
    def goes_to(self) -> str:
        """Where a redirect leads; empty for none."""
        return self.headers.get("location", "") if self.status == 303 else ""

    @property
    def token(self) -> str:
        """The token of the forms on the page; empty if it has none."""
        found = re.search(r'name="token" value="([^"]+)"', self.text)
        return found[1] if found else ""


@dataclass
class Browser:
    """Asks a server on loopback; follows no redirect."""

    port: int
    context: ssl.SSLContext | None = None
    cookies: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Page:
        """Ask for a page."""
        return self._ask("GET", path, None, headers)

    def post(self, path: str, form: dict[str, str], **headers: str) -> Page:
        """Send a form as it is."""
        return self._ask("POST", path, urlencode(form), headers)

    def submit(self, page: str, path: str, **fields: str) -> Page:
        """Send a form as a person does: with the token of the page that it is on."""
        return self.post(path, {"token": self.get(page).token, **fields})

    def log_in(self, name: str, password: str) -> Page:
        """Send the form of the login page."""
        return self.submit("/login", "/login", name=name, password=password)

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Page:
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        with closing(self._connection()) as connection:
            connection.request(method, path, body, sent)
            reply = connection.getresponse()
            cookies: SimpleCookie = SimpleCookie()
            for line in reply.headers.get_all("Set-Cookie") or ():
                cookies.load(line)
            named = {name.lower(): value for name, value in reply.getheaders()}
            page = Page(reply.status, named, reply.read(), cookies)
        for name, morsel in cookies.items():
            self.cookies[name] = morsel.value
            if morsel["max-age"] == "0":
                del self.cookies[name]
        return page

    def _connection(self) -> http.client.HTTPConnection:
        if self.context is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=PATIENCE_S, context=self.context)
