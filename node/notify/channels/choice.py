"""Makes the channel to a contact."""

from node.config import Contact
from node.notify.channels import Channel
from node.ports import Clock

__all__ = ["channel_to"]


def channel_to(contact: Contact, clock: Clock, timeout_s: float) -> Channel:
    """Make the channel to a contact: a webhook if it has one, else e-mail.

    Parameters
    ----------
    contact : Contact
        The contact.
    clock : Clock
        See `node.ports`.
    timeout_s : float
        Timeout for the connection and for each answer.

    Raises
    ------
    ConfigurationError
        If a file for TLS is missing or invalid.
    """
    # Imported here, because most nodes have no contact.
    from node.notify.channels.mail import MailChannel
    from node.notify.channels.webhook import WebhookChannel

    if contact.webhook:
        return WebhookChannel(contact, clock, timeout_s)
    return MailChannel(contact, timeout_s)
