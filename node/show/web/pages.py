"""The pages and their routes; none of them changes anything."""

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from node.config import WebSettings
from node.domain.health import WAIT_FOR_OPERATOR, ago
from node.domain.identifiers import is_uid
from node.domain.status import UNFINISHED_STATES
from node.errors import TransientError
from node.log import Log, raised_at
from node.show.node_status import LATEST_STUDIES, StatusReader
from node.show.web.metrics import Exposition
from node.show.web.middleware import with_middleware
from node.show.why import MEANING, time_of, words_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["application"]

_HERE = Path(__file__).parent
_UNAVAILABLE, _FAULT = 503, 500


def application(settings: WebSettings, status_reader: StatusReader, log: Log) -> ASGIApp:
    """Return the pages as an ASGI application.

    Parameters
    ----------
    settings : WebSettings
        The host names that are answered.
    status_reader : StatusReader
        Gives the status of the node.
    log : Log
        Logs one line per error in a page, with its type and place.
    """
    pages = _Pages(status_reader)

    # Starlette runs functions that are not coroutines in threads, so a slow database blocks no other request.
    routes: tuple[tuple[str, Callable[[Request], Response | Awaitable[Response]]], ...] = (
        ("/", pages.overview),
        ("/studies/{study_uid}", pages.study),
        ("/healthz", pages.alive),
        ("/readyz", pages.ready),
        ("/metrics", pages.metrics),
        ("/style.css", pages.style),
        ("/icon.svg", pages.icon),
    )

    def internal_error(_request: Request, error: Exception) -> Response:
        log.error("page_failed", error=type(error).__name__, where=raised_at(error))
        return PlainTextResponse("This page met a fault, which the log tells.", _FAULT)

    def unavailable(_request: Request, error: Exception) -> Response:
        return PlainTextResponse(f"Database: {error}", _UNAVAILABLE)

    starlette = Starlette(
        routes=[Route(path, page, methods=["GET"]) for path, page in routes],
        exception_handlers={TransientError: unavailable, Exception: internal_error},
    )
    return with_middleware(starlette, settings)


class _Pages:
    def __init__(self, status_reader: StatusReader) -> None:
        self._status_reader = status_reader
        self._exposition = Exposition(status_reader)
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            # Reasons and AE titles contain text from senders, which must never be read as markup.
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"ago": ago, "time": time_of, "words": words_of}
        self._templates.globals |= {
            "version": version("osteonode"),
            "meaning": MEANING,
            "most": LATEST_STUDIES,
            "unfinished": UNFINISHED_STATES,
            "remembered": WAIT_FOR_OPERATOR,
        }

    def overview(self, _request: Request) -> Response:
        """Return the status of the node and the studies that changed last."""
        return self._page("overview.html", status=self._status_reader.status())

    def study(self, request: Request) -> Response:
        """Return why a study has no result, as `osteonode why` says it, and every change of its state."""
        study_uid = request.path_params["study_uid"]
        view = self._status_reader.study(study_uid) if is_uid(study_uid) else None
        if view is None:
            raise HTTPException(404, "Nothing of this study ever arrived here.")
        return self._page("study.html", view=view, status=self._status_reader.status())

    async def alive(self, _request: Request) -> Response:
        """Tell a supervisor that no restart is needed; a coroutine, as all threads may wait for the store."""
        return PlainTextResponse("alive\n")

    def ready(self, _request: Request) -> Response:
        """Tell a supervisor whether images can be received, and if not, why."""
        unready = self._status_reader.status().unready
        if unready:
            return PlainTextResponse("".join(f"{why}\n" for why in unready), _UNAVAILABLE)
        return PlainTextResponse("ready\n")

    def metrics(self, _request: Request) -> Response:
        """Return all metrics, for Prometheus."""
        return Response(self._exposition.text(), media_type=CONTENT_TYPE_LATEST)

    def style(self, _request: Request) -> Response:
        """Return the style sheet."""
        return FileResponse(_HERE / "style.css", media_type="text/css")

    def icon(self, _request: Request) -> Response:
        """Return the icon of the page."""
        return FileResponse(_HERE / "icon.svg", media_type="image/svg+xml")

    def _page(self, template: str, **values: object) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(values))
