"""[[archives]] of config.toml, as far as it says when what is fetched and where its results may go."""

import re
from dataclasses import dataclass, field
from typing import Annotated

from node.config.checks import between
from node.config.table import Table
from node.domain.window import Window

__all__ = ["EVERY_DESTINATION", "FetchLimits", "Fetching", "LookFor", "fetching"]

EVERY_DESTINATION = ("*",)
_CRON_FIELDS = 5


def _window(value: str) -> str | None:
    is_window = not value or Window.of_text(value) is not None
    return None if is_window else 'must be two times of the day, such as "18:00 to 06:00"'


def _cron(value: str) -> str | None:
    """Check a cron expression."""
    if not value:
        return None
    fields = value.split()
    if len(fields) != _CRON_FIELDS:
        return 'must be a cron expression of five fields, such as "*/10 7-19 * * mon-fri"'
    if re.search(r"\d", fields[-1].partition("/")[0]):
        # Programs differ in which day is 0.
        return "must name the days of the week: mon, tue, wed, thu, fri, sat, sun"
    # Imported here, because hardly any configuration needs it.
    from apscheduler.triggers.cron import CronTrigger

    try:
        CronTrigger.from_crontab(value, timezone="UTC")
    except ValueError:
        return "must be a cron expression: minute, hour, day of the month, month, day of the week"
    return None


@dataclass(frozen=True, slots=True)
class LookFor:
    """[archives.look_for]: what the clock asks for; an empty value matches every study.

    `description` is compared by the archive, `station` and `body_part` by this node; "*" stands for any text.
    `days` counts back from today; 1 is today alone.
    """

    modality: str = "MR"
    days: Annotated[int, between(1, 366)] = 2
    description: str = ""
    station: str = ""
    body_part: str = ""
    youngest: Annotated[int, between(0, 150)] = 0
    oldest: Annotated[int, between(0, 150)] = 150

    def suits(self, age_years: int | None) -> bool:
        """Tell whether a patient of this age is looked for; one of unknown age is."""
        return age_years is None or self.youngest <= age_years <= self.oldest


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """How much is asked of one archive: when the backlog, how many studies, how far ahead of the analysis."""

    window: Annotated[str, _window] = ""
    studies_per_hour: Annotated[int, between(0, 10**6)] = 0
    ahead: Annotated[int, between(1, 10_000)] = 20

    @property
    def hours(self) -> Window | None:
        """The window as a value; None if the backlog may be fetched all day."""
        return Window.of_text(self.window)


@dataclass(frozen=True, slots=True)
class Fetching:
    """When studies of an archive are fetched, and where their results may go."""

    every: str = ""
    look_for: LookFor = field(default_factory=LookFor)
    limits: FetchLimits = field(default_factory=FetchLimits)
    results_to: tuple[str, ...] = EVERY_DESTINATION
    results_not_older_than_days: int = 30


def fetching(table: Table) -> Fetching:
    """Read its keys from one element of the array."""
    fallback = Fetching()
    found = Fetching(
        every=table.take("every", "", check=_cron),
        look_for=table.table("look_for").read(lambda inner: inner.settings(LookFor)),
        limits=table.settings(FetchLimits),
        results_to=table.texts("results_to", EVERY_DESTINATION),
        results_not_older_than_days=table.take(
            "results_not_older_than_days", fallback.results_not_older_than_days, check=between(0, 36_525)
        ),
    )
    if found.look_for.youngest > found.look_for.oldest:
        table.fault("look_for", "looks for patients who are older than the oldest")
    return found
