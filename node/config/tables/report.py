"""[report] of config.toml: language of reports, next step, reports of refusals, priors, FHIR."""

from dataclasses import dataclass
from typing import Annotated

from node.config.checks import one_of
from node.config.table import Table

__all__ = ["USUAL_NEXT_STEP", "ReportSettings", "report"]

USUAL_NEXT_STEP = "ISCD 2023"
"""Stands for our own sentence, which has a translation in every language of reports."""

_LONGEST = 400


def one_line(value: str) -> str | None:
    """Check what a report says to do next: one line, for which the summary picture has room.

    Examples
    --------
    >>> one_line("Ask the bone clinic, phone 4711."), one_line("")
    (None, None)
    """
    fits = len(value) <= _LONGEST and value.isprintable() and value == " ".join(value.split())
    return None if fits else f"must be one line of at most {_LONGEST} characters, without doubled spaces"


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """[report]: language, what to do next, reports of refused studies, comparison with priors, FHIR."""

    language: Annotated[str, one_of("en", "de", "fr")] = "en"
    next_step: Annotated[str, one_line] = USUAL_NEXT_STEP
    refusals: bool = False
    priors: bool = True
    fhir: bool = False


def report(table: Table) -> ReportSettings:
    """Read the table."""
    return table.settings(ReportSettings)
