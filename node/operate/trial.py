"""Send a contact a test event."""

from uuid import uuid4

from node.config import Configuration
from node.domain.delivery import Disposition
from node.errors import PermanentError
from node.ports import Clock

__all__ = ["send_trial"]


def send_trial(configuration: Configuration, name: str, clock: Clock) -> str:
    """Send the contact with this name a test event, once, and return what it answered beside yes.

    Raises
    ------
    PermanentError
        If no contact has this name, or if it does not take the event.
    TransientError
        If it cannot be reached.
    """
    from node.notify.channels.choice import channel_to
    from node.notify.event import trial_event

    contact = next((one for one in configuration.notify if one.name == name), None)
    if contact is None:
        names = ", ".join(one.name for one in configuration.notify) or "there are none"
        raise PermanentError(f"no block of [[notify]] is called {name} ({names})")
    event = trial_event(str(uuid4()), clock.now(), configuration.node.ae_title)
    answer = channel_to(contact, clock, configuration.delivery.timeout_s).send(event)
    if answer.disposition is not Disposition.ACCEPTED:
        raise PermanentError(answer.reason)
    return answer.reason
