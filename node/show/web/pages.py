"""The pages and their routes; without a login, none of them changes anything."""

from functools import partial
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

from dicom_templates.result_kinds import ResultKind
from node.config import WebSettings
from node.domain.drift import ScannerState
from node.domain.health import WAIT_FOR_OPERATOR, ago
from node.domain.identifiers import is_uid
from node.domain.model_comparison import STATES
from node.domain.status import UNFINISHED_STATES
from node.errors import TransientError
from node.log import Log, raised_at
from node.show.cards import name_of
from node.show.model_words import SCORE_COLUMNS, answer_rows, facts_of, score_rows, title_of
from node.show.node_status import LATEST_STUDIES, StatusReader
from node.show.web.gate import RENEWED, Endpoint, Gate, Guarded, Visit
from node.show.web.metrics import Exposition
from node.show.web.middleware import with_middleware
from node.show.web.order_pages import OrderPages
from node.show.why import MEANING, time_of, words_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["application"]

_HERE = Path(__file__).parent
_UNAVAILABLE, _FAULT = 503, 500
_SCANNER_WORDS = {
    ScannerState.UNKNOWN.value: "too few studies",
    ScannerState.INSIDE.value: "inside",
    ScannerState.LEAVING.value: "leaving",
    ScannerState.LEFT.value: "has left the range",
}
_SCANNER_MARKS = {
    ScannerState.UNKNOWN.value: 0,
    ScannerState.INSIDE.value: 0,
    ScannerState.LEAVING.value: 1,
    ScannerState.LEFT.value: 2,
}
"""The conditions whose marks are shown."""
_MOST_SCORES = 200
_KINDS = {
    ResultKind.SR: "Structured report",
    ResultKind.SEG: "Segmentation",
    ResultKind.TEXT: "Text report",
    ResultKind.SUMMARY: "Summary image",
    ResultKind.PDF: "Document",
    ResultKind.GSPS: "Presentation state",
    ResultKind.FHIR: "FHIR report",
}


def application(
    settings: WebSettings, status_reader: StatusReader, log: Log, guarded: Guarded | None = None
) -> ASGIApp:
    """Return the pages as an ASGI application.

    Parameters
    ----------
    settings : WebSettings
        The host names that are answered, and who may log in.
    status_reader : StatusReader
        Gives the status of the node.
    log : Log
        Logs one line per error in a page, with its type and place.
    guarded : Guarded or None
        What is for those only who log in; None where nobody does, and then the pages only show.
    """
    pages = _Pages(status_reader)

    def internal_error(_request: Request, error: Exception) -> Response:
        log.error("page_failed", error=type(error).__name__, where=raised_at(error))
        return PlainTextResponse("This page met a fault, which the log tells.", _FAULT)

    def unavailable(_request: Request, error: Exception) -> Response:
        return PlainTextResponse(f"Database: {error}", _UNAVAILABLE)

    shown = _open_routes(pages) if guarded is None else _guarded_routes(pages, settings, guarded, log)
    starlette = Starlette(
        routes=[*_routes_for_programs(pages), *shown],
        exception_handlers={TransientError: unavailable, Exception: internal_error},
    )
    return with_middleware(starlette, settings)


def _get(path: str, page: "Callable[[Request], Response | Awaitable[Response]]") -> Route:
    # Starlette runs functions that are not coroutines in threads, so a slow database blocks no other request.
    return Route(path, page, methods=["GET"])


def _post(path: str, page: Endpoint) -> Route:
    return Route(path, page, methods=["POST"])


def _routes_for_programs(pages: "_Pages") -> list[Route]:
    """Return what has no patient data and no login: a supervisor and Prometheus have none."""
    return [
        _get("/healthz", pages.alive),
        _get("/readyz", pages.ready),
        _get("/metrics", pages.metrics),
        _get("/style.css", pages.style),
        _get("/icon.svg", pages.icon),
    ]


def _open_routes(pages: "_Pages") -> list[Route]:
    return [
        _get("/", pages.overview),
        _get("/scanners", pages.scanners),
        _get("/models", pages.models),
        _get("/studies/{study_uid}", pages.study),
    ]


def _guarded_routes(pages: "_Pages", settings: WebSettings, guarded: Guarded, log: Log) -> list[Route]:
    gate = Gate(settings, guarded, partial(pages.login, by_password=bool(settings.users)), log)
    behind = OrderPages(pages.status_reader, guarded, gate, pages.render)
    return [
        _get("/login", gate.login_page),
        _post("/login", gate.login),
        _post("/logout", gate.takes(gate.logout)),
        _get("/", gate.shows(pages.overview_of)),
        _get("/scanners", gate.shows(pages.scanners_of)),
        _get("/models", gate.shows(pages.models_of)),
        _get("/find", gate.shows(behind.find)),
        _post("/find", gate.takes(behind.found)),
        _get("/studies/{study_uid}", gate.shows(behind.study)),
        _get("/studies/{study_uid}/pictures/{name}.png", gate.shows(behind.picture)),
        _get("/studies/{study_uid}/confirm/{order}", gate.shows(behind.confirm)),
        _post("/studies/{study_uid}/orders/{order}", gate.takes(behind.order)),
    ]


class _Pages:
    def __init__(self, status_reader: StatusReader) -> None:
        self.status_reader = status_reader
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
            "kinds": _KINDS,
            "renewed": RENEWED,
            "states": STATES,
            "columns": list(SCORE_COLUMNS),
            "most_scores": _MOST_SCORES,
            "title_of": title_of,
            "facts_of": facts_of,
            "answer_rows": answer_rows,
            "score_rows": score_rows,
        }

    def overview(self, _request: Request) -> Response:
        """Return the status of the node and the studies that changed last."""
        return self.render("overview.html", visit=None, status=self.status_reader.status())

    def overview_of(self, _request: Request, visit: Visit) -> Response:
        """Return the same for a person who is logged in."""
        return self.render("overview.html", visit=visit, status=self.status_reader.status())

    def scanners(self, _request: Request) -> Response:
        """Return how far the images of each scanner lie from the training of the model."""
        return self._render_scanners(None)

    def scanners_of(self, _request: Request, visit: Visit) -> Response:
        """Return the same for a person who is logged in."""
        return self._render_scanners(visit)

    def _render_scanners(self, visit: Visit | None) -> Response:
        return self.render(
            "scanners.html",
            visit=visit,
            status=self.status_reader.status(),
            views=self.status_reader.scanners(),
            drift=self.status_reader.configuration.models.scanner_drift.value,
            marks=_SCANNER_MARKS,
            words=_SCANNER_WORDS,
        )

    def models(self, _request: Request, visit: Visit | None = None) -> Response:
        """Return how the models compare; like the overview without patient data."""
        models = self.status_reader.configuration.models
        chosen = "none" if models.bundle is None else name_of(models.bundle)
        return self.render(
            "models.html",
            visit=visit,
            status=self.status_reader.status(),
            found=self.status_reader.comparison(),
            chosen=chosen,
            shadows=[name_of(one) for one in models.shadow],
        )

    def models_of(self, request: Request, visit: Visit) -> Response:
        """Return the same for a person who is logged in."""
        return self.models(request, visit)

    def study(self, request: Request) -> Response:
        """Return why a study has no result, as `osteonode why` says it, and every change of its state."""
        study_uid = request.path_params["study_uid"]
        view = self.status_reader.study(study_uid) if is_uid(study_uid) else None
        if view is None:
            raise HTTPException(404, "Nothing of this study ever arrived here.")
        return self.render("study.html", visit=None, view=view, status=self.status_reader.status())

    def login(self, *, by_password: bool, token: str, target: str, message: str, status: int) -> Response:
        """Return the page on which a person logs in; it says nothing about the node."""
        values = {"token": token, "target": target, "message": message, "by_password": by_password}
        page = self._templates.get_template("login.html").render(values)
        return HTMLResponse(page, status)

    async def alive(self, _request: Request) -> Response:
        """Tell a supervisor that no restart is needed; a coroutine, as all threads may wait for the store."""
        return PlainTextResponse("alive\n")

    def ready(self, _request: Request) -> Response:
        """Tell a supervisor whether images can be received, and if not, why."""
        unready = self.status_reader.status().unready
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

    def render(self, template: str, **values: object) -> Response:
        """Return a page made of a template and values."""
        return HTMLResponse(self._templates.get_template(template).render(values))
