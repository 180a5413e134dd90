"""Send events to a webhook, as signed CloudEvents.

References
----------
CloudEvents 1.0.2, HTTP protocol binding, structured mode. Standard Webhooks 1.0.0, "Signature scheme".
"""

import hmac
import json
import socket
from base64 import b64encode
from datetime import datetime
from hashlib import sha256
from urllib.parse import urlsplit

from node.config import Contact
from node.dicom.https import open_session
from node.dicom.tls import contact_context, reason_of
from node.dicom.web import answer_to, http_failures_as_transient
from node.domain.delivery import DeliveryResponse, Disposition
from node.errors import TransientError
from node.notify.event import Event
from node.ports import Clock

__all__ = ["WebhookChannel", "signature"]

_GONE = 410


class WebhookChannel:
    """The `Channel` for a contact with a `webhook`.

    Parameters
    ----------
    contact : Contact
        The contact.
    clock : Clock
        Gives the time of the signature.
    timeout_s : float
        Timeout for the connection and for the answer.

    Raises
    ------
    ConfigurationError
        If a file for TLS is missing or invalid.
    """

    def __init__(self, contact: Contact, clock: Clock, timeout_s: float) -> None:
        self._contact = contact
        self._clock = clock
        self._timeout_s = timeout_s
        self._context = contact_context(contact)

    def send(self, event: Event) -> DeliveryResponse:
        """See `node.notify.channels.Channel`."""
        content = json.dumps(event.cloud_event(), allow_nan=False).encode()
        headers = {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            "User-Agent": "OsteoNode",
            **signature(self._contact.secret, event.identifier, self._clock.now(), content),
        }
        there = self._contact
        with (
            open_session(there.webhook, there.tls, self._context, there.authorization) as session,
            http_failures_as_transient(),
            # The body of the answer is of no interest, and is not read.
            session.post(
                there.webhook, data=content, headers=headers, timeout=self._timeout_s, stream=True
            ) as answer,
        ):
            if answer.status_code == _GONE:
                told = f"it answered HTTP {_GONE}: it wants no more notifications"
                return DeliveryResponse(Disposition.GIVE_UP, _GONE, told)
            return answer_to(answer)

    def reach(self) -> None:
        """See `node.notify.channels.Channel`; it connects, and makes the TLS handshake."""
        host, port = self._contact.address
        try:
            with socket.create_connection((host, port), self._timeout_s) as connection:
                if urlsplit(self._contact.webhook).scheme == "https":
                    name = self._contact.tls.server_name or host
                    self._context.wrap_socket(connection, server_hostname=name).close()
        except socket.gaierror:
            raise TransientError("its host name cannot be resolved") from None
        except ConnectionRefusedError:
            raise TransientError("it cannot be reached") from None
        except OSError as error:
            raise TransientError(reason_of(error)) from None


def signature(secret: bytes, identifier: str, at: datetime, content: bytes) -> dict[str, str]:
    """Return the headers that prove who sent a message, and when.

    Parameters
    ----------
    secret : bytes
        Known to the receiver too.
    identifier : str
        Of the event.
    at : datetime
        Now; a receiver refuses what is some minutes old, because it may be a copy.
    content : bytes
        What is sent.
    """
    seconds = str(int(at.timestamp()))
    signed = b".".join((identifier.encode(), seconds.encode(), content))
    digest = b64encode(hmac.new(secret, signed, sha256).digest()).decode()
    return {"webhook-id": identifier, "webhook-timestamp": seconds, "webhook-signature": f"v1,{digest}"}
