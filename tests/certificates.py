"""Certificates for the tests, made by openssl and valid for a day."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from node.config import TlsSettings
from tests.peers import program, run

__all__ = ["Authority", "Credentials"]

_LOOPBACK = "IP:127.0.0.1,DNS:localhost"
_LIST = """[ca]
default_ca = here
[here]
database = {folder}/index.txt
default_md = sha256
"""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A certificate, its key, and the authority that its holder trusts."""

    certificate: Path
    key: Path
    ca: Path

    @property
    def settings(self) -> TlsSettings:
        """The TLS settings of a configuration with these files."""
        return TlsSettings(self.certificate, self.key, self.ca)


class Authority:
    """A certificate authority for a test.

    Parameters
    ----------
    folder : Path
        Holds its files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lists = 0
        self._openssl = program("openssl", "openssl")
        self.certificate = folder / "ca.pem"
        self._request("ca", "/CN=Test authority", self.certificate)

    def issue(self, name: str, *, days: int = 1, holds: str = _LOOPBACK) -> Credentials:
        """Issue a certificate, by default for loopback."""
        certificate = self._folder / f"{name}.pem"
        signed: list[str | Path] = [
            "-CA",
            self.certificate,
            "-CAkey",
            self._folder / "ca.key",
            "-days",
            str(days),
        ]
        subject = ["-addext", f"subjectAltName={holds}"]
        self._request(name, f"/CN={name}", certificate, *signed, *subject)
        return Credentials(certificate, self._folder / f"{name}.key", self.certificate)

    def revocation_list(self, *revoked: Credentials, hours: float = 24) -> Path:
        """Write a revocation list with these certificates and return its path; it replaces an earlier list.

        The first list is dated an hour back and each later one a minute after the one before, so that a later
        list is always newer.
        """
        self._lists += 1
        made_at = datetime.now(UTC) - timedelta(minutes=60 - self._lists)  # noqa: TID251 - OpenSSL's clock
        times = [f"{at:%Y%m%d%H%M%SZ}" for at in (made_at, made_at + timedelta(hours=hours))]
        settings = self._folder / "ca.cnf"
        settings.write_text(_LIST.format(folder=self._folder))
        for empty in ("index.txt", "index.txt.attr"):
            (self._folder / empty).touch()
        ours: list[str | Path] = [
            "-config",
            settings,
            "-keyfile",
            self._folder / "ca.key",
            "-cert",
            self.certificate,
        ]
        for one in revoked:
            run([self._openssl, "ca", *ours, "-revoke", one.certificate])
        # Written to another file and renamed, so that no reader sees half a list.
        made = self._folder / "new-crl.pem"
        run(
            [
                self._openssl,
                "ca",
                *ours,
                "-gencrl",
                "-crl_lastupdate",
                times[0],
                "-crl_nextupdate",
                times[1],
                "-out",
                made,
            ]
        )
        return made.replace(self._folder / "crl.pem")

    def _request(self, name: str, subject: str, certificate: Path, *more: str | Path) -> None:
        key = self._folder / f"{name}.key"
        new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", subject]
        run([self._openssl, *new, "-keyout", key, "-out", certificate, *more])
