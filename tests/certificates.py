"""Certificates for the tests, made by openssl in a second and good for a day."""

from dataclasses import dataclass
from pathlib import Path

from node.config import TlsSettings
from tests.peers import program, run

__all__ = ["Authority", "Credentials"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """A certificate, its key, and the authority that its holder believes."""

    certificate: Path
    key: Path
    ca: Path

    @property
    def settings(self) -> TlsSettings:
        """As a configuration names them."""
        return TlsSettings(self.certificate, self.key, self.ca)


class Authority:
    """A certificate authority of the test's own.

    Parameters
    ----------
    folder : Path
        Its files go here.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._openssl = program("openssl", "openssl")
        self.certificate = folder / "ca.pem"
        self._request("ca", "/CN=Test authority", self.certificate)

    def issue(self, name: str, *, days: int = 1) -> Credentials:
        """Sign a certificate for loopback."""
        certificate = self._folder / f"{name}.pem"
        signed: list[str | Path] = [
            "-CA",
            self.certificate,
            "-CAkey",
            self._folder / "ca.key",
            "-days",
            str(days),
        ]
        subject = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        self._request(name, f"/CN={name}", certificate, *signed, *subject)
        return Credentials(certificate, self._folder / f"{name}.key", self.certificate)

    def _request(self, name: str, subject: str, certificate: Path, *more: str | Path) -> None:
        key = self._folder / f"{name}.key"
        new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", subject]
        run([self._openssl, *new, "-keyout", key, "-out", certificate, *more])
