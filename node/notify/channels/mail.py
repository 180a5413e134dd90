"""Send events by e-mail, over SMTP that is always encrypted.

References
----------
RFC 5321, SMTP; RFC 3207, STARTTLS; RFC 8314, TLS from the start; RFC 3834, automatic messages.
"""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.utils import format_datetime

from node.config import Contact, Security
from node.dicom.tls import contact_context, reason_of
from node.domain.delivery import DeliveryResponse, Disposition
from node.errors import TransientError
from node.notify.event import Event
from node.notify.words import body, subject

__all__ = ["MailChannel", "message_of"]

_FOR_EVER = 500
"""Replies from here on are permanent: the same message would be refused again."""


class MailChannel:
    """The `Channel` for a contact with `smtp`.

    Parameters
    ----------
    contact : Contact
        The contact.
    timeout_s : float
        Timeout for the connection and for each reply.

    Raises
    ------
    ConfigurationError
        If a file for TLS is missing or invalid.
    """

    def __init__(self, contact: Contact, timeout_s: float) -> None:
        self._contact = contact
        self._timeout_s = timeout_s
        self._context = contact_context(contact)

    def send(self, event: Event) -> DeliveryResponse:
        """See `node.notify.channels.Channel`."""
        message = message_of(event, self._contact)
        with _failures_as_transient(), self._logged_in() as server:
            try:
                refused = server.send_message(message)
            except smtplib.SMTPRecipientsRefused as error:
                return _judge(max(code for code, _ in error.recipients.values()))
            except smtplib.SMTPResponseException as error:
                return _judge(error.smtp_code)
        # It is not sent again for those who are refused: the others would get it twice.
        told = f"{len(refused)} of {len(self._contact.to)} addresses are refused" if refused else ""
        return DeliveryResponse(Disposition.ACCEPTED, None, told)

    def reach(self) -> None:
        """See `node.notify.channels.Channel`; it connects, encrypts and logs in."""
        with _failures_as_transient(), self._logged_in():
            pass

    @contextmanager
    def _logged_in(self) -> Iterator[smtplib.SMTP]:
        server = self._connected()
        try:
            if self._contact.security is Security.STARTTLS:
                server.starttls(context=self._context)
            if self._contact.user:
                server.login(self._contact.user, self._contact.password)
            yield server
            _quit(server)
        finally:
            server.close()

    def _connected(self) -> smtplib.SMTP:
        host, port = self._contact.address
        name = self._contact.tls.server_name or host
        if self._contact.security is Security.TLS:
            return _Tls(name, host, port, timeout=self._timeout_s, context=self._context)
        return _StartTls(name, host, port, timeout=self._timeout_s)


class _Tls(smtplib.SMTP_SSL):
    """A connection whose certificate must hold another name than that of the host that is called."""

    def __init__(self, name: str, host: str, port: int, *, timeout: float, context: ssl.SSLContext) -> None:
        self._name = name
        super().__init__(host, port, timeout=timeout, context=context)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((host, port), timeout)
        return self.context.wrap_socket(plain, server_hostname=self._name)


class _StartTls(smtplib.SMTP):
    def __init__(self, name: str, host: str, port: int, *, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        # The name that `starttls` expects in the certificate.
        self._host = name


def message_of(event: Event, contact: Contact) -> EmailMessage:
    """Return an event as a message; the same event has the same Message-ID."""
    message = EmailMessage()
    message["From"] = contact.sender
    message["To"] = ", ".join(contact.to)
    message["Subject"] = subject(event)
    message["Date"] = format_datetime(event.at)
    message["Message-ID"] = f"<{event.identifier}@{contact.sender.partition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body(event))
    return message


def _quit(server: smtplib.SMTP) -> None:
    try:
        server.quit()
    except (smtplib.SMTPException, OSError):
        return  # the message is taken; how the connection ends does not matter


def _judge(code: int) -> DeliveryResponse:
    told = f"it answered SMTP {code}"
    if code >= _FOR_EVER:
        return DeliveryResponse(Disposition.RETRY_A_FEW_TIMES, code, told)
    return DeliveryResponse(Disposition.RETRY, code, told)


@contextmanager
def _failures_as_transient() -> Iterator[None]:
    """Raise a `TransientError` for every failure, without the server's words, which may quote an address."""
    try:
        yield
    except smtplib.SMTPAuthenticationError:
        raise TransientError("it does not accept user and password") from None
    except smtplib.SMTPNotSupportedError:
        raise TransientError("it offers no STARTTLS, or no login: nothing is sent without") from None
    except smtplib.SMTPResponseException as error:
        raise TransientError(f"it answered SMTP {error.smtp_code}") from None
    except (smtplib.SMTPException, ConnectionError):
        raise TransientError("it cannot be reached, or is no SMTP server") from None
    except socket.gaierror:
        raise TransientError("its host name cannot be resolved") from None
    except TimeoutError:
        raise TransientError("it gave no answer in time") from None
    except OSError as error:
        raise TransientError(reason_of(error)) from None
