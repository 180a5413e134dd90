"""Checks of the contacts that are told what happens."""

from collections.abc import Iterator

from node.clock import SystemClock
from node.config import Configuration, Contact
from node.errors import ConfigurationError, TransientError
from node.operate.doctor.echo import PATIENCE_S
from node.operate.doctor.result import CheckResult, Severity, unusable_tls

__all__ = ["contacts"]


def contacts(configuration: Configuration) -> Iterator[CheckResult]:
    """Check that each contact can be reached, without sending anything; for that, see `osteonode notify`."""
    return map(_reached, configuration.notify)


def _reached(contact: Contact) -> CheckResult:
    # Imported here so that `osteonode --help` need not load the HTTP client.
    from node.notify.channels.choice import channel_to

    # A webhook may hold a token of its own in its path, so only its host is written.
    host, port = contact.address
    subject = f"contact {contact.name} ({host}:{port})"
    try:
        channel_to(contact, SystemClock(), PATIENCE_S).reach()
    except ConfigurationError as error:
        return unusable_tls(subject, error)
    except TransientError as error:
        return CheckResult(
            Severity.WARNING, subject, str(error),
            "Is it running, and are address, user and [notify.tls] right? Notifications wait for it.",
        )  # fmt: skip
    how = "logs this node in" if contact.user else "answers"
    return CheckResult(
        Severity.GOOD, subject, f"{how}; `osteonode notify test {contact.name}` sends it a test"
    )
