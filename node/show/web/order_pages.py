"""The pages behind the login: a study with its pictures, the search, and the orders."""

from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from node.domain.audit import viewed
from node.domain.identifiers import is_uid
from node.errors import PermanentError
from node.show.node_status import StatusReader
from node.show.orders import Order
from node.show.web.gate import Form, Gate, Guarded, Visit

__all__ = ["OrderPages"]

_SEE_OTHER = 303
_NOT_FOUND = 404
_UNKNOWN = "Nothing of this study ever arrived here."
_MOST_FOUND = 50
_NONE_FOUND = (
    "No study here has this UID, accession number, Patient ID or name. A study whose images were removed is "
    "found by its UID only."
)


class OrderPages:
    """The pages behind the login.

    Parameters
    ----------
    status_reader : StatusReader
        Gives the status of the node and of a study.
    guarded : Guarded
        What is behind the login.
    gate : Gate
        Keeps the messages that tell what became of an order.
    render : callable
        Makes a page from the name of its template and values.
    """

    def __init__(
        self, status_reader: StatusReader, guarded: Guarded, gate: Gate, render: Callable[..., Response]
    ) -> None:
        self._status_reader = status_reader
        self._guarded = guarded
        self._gate = gate
        self._render = render

    def study(self, request: Request, visit: Visit) -> Response:
        """Show a study: why it is as it is, its pictures, its series, its deliveries and its steps."""
        study_uid = _study_uid(request)
        view = self._status_reader.study(study_uid)
        details = self._guarded.details.read(study_uid)
        if view is None:
            raise HTTPException(_NOT_FOUND, _UNKNOWN)
        if details is None:  # rules discarded all of it
            return self._page("study.html", visit, view=view)
        return self._page(
            "study_details.html",
            visit,
            view=view,
            details=details,
            orders=self._guarded.orders.possible(details.study),
            destinations=[there.name for there in self._status_reader.configuration.destinations],
        )

    def picture(self, request: Request, visit: Visit) -> Response:
        """Show a picture of a study, and enter in the audit trail who sees it."""
        study_uid, behind = _study_uid(request), self._guarded
        path = behind.details.picture(study_uid, request.path_params["name"])
        if path is None:
            raise HTTPException(_NOT_FOUND, "This study has no such picture.")
        about, now = behind.details.as_audited(study_uid), behind.clock.now()
        behind.audit.record(viewed(visit.session.client, behind.ae_title, about, now))
        return FileResponse(path, media_type="image/png")

    def find(self, _request: Request, visit: Visit) -> Response:
        """Show an empty search."""
        return self._page("find.html", visit, found=None, fault="", more=0)

    def found(self, _request: Request, visit: Visit, form: Form) -> Response:
        """Show what was found, or go to it if it is one study.

        By POST, and what was typed is not repeated: a Patient ID must not get into addresses and histories.
        """
        found = self._guarded.orders.find(form.get("name", ""))
        if len(found) == 1:
            return RedirectResponse(f"/studies/{found[0].study_uid}", _SEE_OTHER)
        fault = "" if found else _NONE_FOUND
        more = max(0, len(found) - _MOST_FOUND)
        return self._page("find.html", visit, found=found[:_MOST_FOUND], fault=fault, more=more)

    def confirm(self, request: Request, visit: Visit) -> Response:
        """Ask whether an order is meant that cannot be taken back."""
        study_uid, order = _study_uid(request), _order(request)
        view = self._status_reader.study(study_uid)
        details = self._guarded.details.read(study_uid)
        if view is None or details is None or not order.is_final:
            raise HTTPException(_NOT_FOUND, _UNKNOWN)
        return self._page("confirm.html", visit, view=view, details=details, order=order)

    def order(self, request: Request, visit: Visit, form: Form) -> Response:
        """Carry an order out, and tell on the study's page what became of it."""
        study_uid, order = _study_uid(request), _order(request)
        if order.is_final and form.get("confirmed") != "yes":
            return RedirectResponse(f"/studies/{study_uid}/confirm/{order}", _SEE_OTHER)
        try:
            words = self._guarded.orders.carry_out(
                order, study_uid, visit.session.client, to=form.get("to", "")
            )
        except PermanentError as error:
            words = f"Not done: {error}"
        self._gate.tell(visit, words)
        return RedirectResponse(f"/studies/{study_uid}", _SEE_OTHER)

    def _page(self, template: str, visit: Visit, **values: object) -> Response:
        return self._render(template, visit=visit, status=self._status_reader.status(), **values)


def _study_uid(request: Request) -> str:
    study_uid = str(request.path_params["study_uid"])
    if not is_uid(study_uid):
        raise HTTPException(_NOT_FOUND, _UNKNOWN)
    return study_uid


def _order(request: Request) -> Order:
    try:
        return Order(request.path_params["order"])
    except ValueError:
        raise HTTPException(_NOT_FOUND, "There is no such order.") from None
