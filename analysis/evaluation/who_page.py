"""Who was in, as a section of a page, as a page of its own, and for JSON."""

from dataclasses import asdict
from typing import Any

from markupsafe import Markup

from analysis.cohort.who import WhoWasIn
from analysis.evaluation.page import page

__all__ = ["who_page", "who_record", "who_section"]


def who_section(who: WhoWasIn | None, *, sample_size: bool = True) -> Markup:
    """Return the section of a page; empty for None. A validation asks for no sample size."""
    if who is None:
        return Markup()
    return Markup(page("who.html.j2", who=who, sample_size=sample_size))  # noqa: S704 - it escapes its values


def who_page(who: WhoWasIn, title: str, software: str = "", *, simulated: bool) -> str:
    """Return the section as a page of its own."""
    section = who_section(who)
    return page("cohort.html.j2", title=title, section=section, software=software, simulated=simulated)


def who_record(who: WhoWasIn | None) -> dict[str, Any] | None:
    """Return the same as JSON values; None for None."""
    if who is None:
        return None
    return {
        "flow": asdict(who.flow) | {"analysed": who.flow.analysed},
        "table_1": {line.name: dict(zip(who.columns, line.cells, strict=True)) for line in who.table},
        "sample_size": [
            {
                "target": need.target.value,
                "patients": need.patients,
                "present": need.present,
                "candidates": need.candidates,
                "needed": None if need.needed is None else asdict(need.needed),
                "warning": need.warning,
            }
            for need in who.needs
        ],
    }
