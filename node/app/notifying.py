"""Makes what tells people and programs outside: what finds news, and a messenger for each contact."""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from analysis.errors import ModelRejectedError
from analysis.prediction.checksums import digest_of
from node.app.resources import Resources
from node.app.sending import Couriers
from node.clock import SystemClock
from node.config import Configuration, Contact, ScannerDrift
from node.dicom.certificates import endings
from node.domain.backoff import Breaker
from node.domain.conditions import Observation, of_certificate, of_destination, of_disk, of_scanners
from node.domain.notice import NoticeBatch
from node.domain.status import Disk
from node.errors import TransientError
from node.notify.announcer import Announcer
from node.notify.channels.choice import channel_to
from node.notify.event import Event, Identify, event_of, nobody
from node.notify.messenger import Messenger
from node.notify.watch import Watch
from node.show.disk import disk_lasts

__all__ = ["Messengers", "make_announcer", "make_watch"]

_MEGABYTE = 1024 * 1024
_DISK_AGE = timedelta(hours=1)


class Messengers:
    """A messenger for each contact in force; another set is made first, and then takes their place.

    Parameters
    ----------
    resources : Resources
        What the messengers need.

    Raises
    ------
    ConfigurationError
        If the files for TLS to a contact are missing or invalid.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._all: Mapping[Contact, Messenger] = {}
        self.replace(self.made_for(resources.configuration.notify))

    def made_for(self, contacts: Iterable[Contact]) -> Mapping[Contact, Messenger]:
        """Return a messenger for each contact: the present one, if nothing about it is different.

        Raises
        ------
        ConfigurationError
            As at the creation; nothing has changed then.
        """
        return {one: self._all.get(one) or _make_messenger(self._resources, one) for one in contacts}

    def replace(self, others: Mapping[Contact, Messenger]) -> None:
        """Let others, from `made_for`, send from now on; those that are gone end what they have begun."""
        gone = [one for one in self._all.values() if one not in others.values()]
        self._all = others
        for messenger in gone:
            messenger.retire()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the contacts."""
        return tuple(one.name for one in self._all.values())

    def breakers(self) -> Mapping[str, Breaker]:
        """Return the breaker of each contact, by name."""
        return {one.name: one.breaker for one in self._all.values()}

    def sweep(self, name: str) -> int:
        """Send what is due to a contact; nothing if it is not there any more."""
        found = next((one for one in self._all.values() if one.name == name), None)
        return 0 if found is None else found.sweep()


def make_announcer(resources: Resources) -> Announcer:
    """Make what queues notices of what happened to studies."""
    return Announcer(resources.notices, resources.clock, lambda: resources.configuration.notify)


def make_watch(resources: Resources, couriers: Couriers) -> Watch:
    """Make what looks at destinations, certificates and the disk."""
    lasts = _Hourly(resources)

    def look(contact: Contact) -> Iterator[Observation]:
        settings, now = resources.configuration, resources.clock.now()
        patience = timedelta(minutes=contact.down_minutes)
        reached = couriers.reached()
        for name, breaker in couriers.breakers().items():
            yield of_destination(name, breaker, reached=reached.get(name), patience=patience)
        for ending in endings(settings):
            yield from of_certificate(ending.of, ending.at, contact.certificate_days, now)
        yield from _scanners(resources)
        yield from of_disk(_disk(settings), lasts(now), settings.storage.disk_days)

    return Watch(resources.notices, resources.clock, lambda: resources.configuration.notify, look)


def _make_messenger(resources: Resources, contact: Contact) -> Messenger:
    settings = resources.configuration
    identify = _identity_in(resources) if contact.identify else nobody

    def make_event(batch: NoticeBatch) -> Event:
        return event_of(batch, settings.node.ae_title, identify)

    return Messenger(
        contact,
        # In real time, as for the timers: a receiver compares the time of a signature with its own clock.
        channel_to(contact, SystemClock(), settings.delivery.timeout_s),
        make_event,
        box=resources.notices,
        clock=resources.clock,
        settings=settings.delivery,
        stopping=resources.stopping,
        log=resources.log,
    )


def _identity_in(resources: Resources) -> Identify:
    """Return a function that reads who the patient of a study is, as long as its images are kept."""

    def identify(study_uid: str) -> Mapping[str, str]:
        found = {"study_uid": study_uid}
        for image in resources.store.instances(study_uid)[:1]:
            found["patient_id"] = resources.instance_store.patient_id(image)
            found["accession_number"] = resources.instance_store.accession_number(image)
        return found

    return identify


def _scanners(resources: Resources) -> Iterator[Observation]:
    models = resources.configuration.models
    if models.bundle is None or models.scanner_drift is ScannerDrift.OFF:
        return
    # A bundle that is damaged while the node runs is told by the analysis.
    with suppress(ModelRejectedError):
        yield from of_scanners(resources.store.scanner_ranges(), digest_of(models.bundle))


def _disk(settings: Configuration) -> Disk:
    free = shutil.disk_usage(settings.storage.directory).free
    return Disk(free, settings.storage.watermark_mb * _MEGABYTE)


class _Hourly:
    """For how many days the disk lasts, at most an hour old, because all results are counted for it."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._known: tuple[datetime, float | None] | None = None

    def __call__(self, now: datetime) -> float | None:
        if self._known is None or not timedelta() <= now - self._known[0] < _DISK_AGE:
            lasts: float | None = None
            with suppress(TransientError):
                lasts = disk_lasts(self._resources.store, self._resources.configuration.storage, now)
            self._known = now, lasts
        return self._known[1]
