"""Makes the station that gets studies from archives: a fetcher for each."""

from collections.abc import Mapping
from functools import partial

from node.app.resources import Resources
from node.app.schedule import Schedule
from node.config import ArchiveSettings, Method
from node.domain.backoff import Backoff
from node.fetch.archives.audited import QuestionTrail
from node.fetch.archives.opening import open_archive
from node.fetch.fetcher import Fetcher, FetcherState
from node.fetch.look_for import ask_by_clock
from node.ports import Archive, Intake

__all__ = ["Fetchers", "make_archives"]


def make_archives(resources: Resources, intake: Intake) -> Mapping[str, Archive]:
    """Make the archives of the configuration, by name.

    Raises
    ------
    ConfigurationError
        If the files for TLS to an archive are missing or invalid.
    """
    calling = resources.configuration.node.ae_title
    return {
        there.name: open_archive(
            there,
            calling,
            intake=intake,
            held=resources.store.instances,
            stopping=resources.stopping,
            trail=QuestionTrail(resources.audit, resources.clock),
        )
        for there in resources.configuration.archives
    }


class Fetchers:
    """A fetcher for each archive.

    Parameters
    ----------
    resources : Resources
        What the fetchers need.
    archives : mapping of str to Archive
        The archives of the configuration, by name.
    """

    def __init__(self, resources: Resources, archives: Mapping[str, Archive]) -> None:
        self._resources = resources
        self._archives = [(one, archives[one.name]) for one in resources.configuration.archives]
        self._all = {archive.name: self._fetcher(settings, archive) for settings, archive in self._archives}

    def states(self) -> Mapping[str, FetcherState]:
        """Return how each fetcher is, by name of its archive."""
        return {name: fetcher.state for name, fetcher in self._all.items()}

    def plan(self, schedule: Schedule, *, every_s: float) -> None:
        """Add the sweeps of all fetchers and the questions of the clock to the schedule."""
        resources = self._resources
        resting = resources.store.tell_unconfigured(self._all, resources.clock.now())
        for gone, count in resting.items():
            resources.log.warning("archive_not_configured", archive=gone, count=count)
        for settings, archive in self._archives:
            name = archive.name
            for number in range(settings.max_associations):
                schedule.every(every_s, f"fetch-{name}-{number}", self._all[name].sweep)
            if settings.fetching.every:
                ask = partial(
                    ask_by_clock,
                    archive,
                    settings.fetching.look_for,
                    resources.store,
                    resources.clock,
                    resources.log,
                )
                schedule.by_cron(settings.fetching.every, f"ask-{name}", ask)

    def _fetcher(self, settings: ArchiveSettings, archive: Archive) -> Fetcher:
        resources, delivery = self._resources, self._resources.configuration.delivery
        return Fetcher(
            archive,
            settings.fetching.limits,
            settings.fetching.look_for,
            queue=resources.store,
            clock=resources.clock,
            backoff=Backoff.of_seconds(delivery.retry_first_s, delivery.retry_longest_s),
            attempts=delivery.attempts,
            owner=resources.owner,
            stopping=resources.stopping,
            log=resources.log,
            rules=lambda: resources.configuration.rules,
            source="" if settings.method is Method.DICOMWEB else settings.ae_title,
        )
