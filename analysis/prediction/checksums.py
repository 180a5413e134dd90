"""The files of a model bundle and their checksums; quick to import."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from analysis.errors import ModelRejectedError

__all__ = ["CHECKSUMS", "CONTENT", "checked", "digest_of", "written_card"]

CONTENT = ("card.json", "card.md", "model.skops")
CHECKSUMS = "SHA256"


def digest_of(path: Path) -> str:
    """Return the digest of a bundle, which reports cite, without loading the estimators.

    Raises
    ------
    ModelRejectedError
        If a file is missing or damaged.
    """
    return checked(path)[1]


def checked(path: Path) -> tuple[dict[str, bytes], str]:
    """Check the checksums of a bundle; return its files and its digest.

    Raises
    ------
    ModelRejectedError
        If a file is missing or damaged.
    """
    try:
        checksums = (path / CHECKSUMS).read_bytes()
        content = {name: (path / name).read_bytes() for name in CONTENT}
    except OSError as error:
        missing = Path(error.filename or path).name
        raise ModelRejectedError(f"the model bundle {path.name} is not complete: no {missing}") from error
    expected = "".join(f"{sha256(content[name]).hexdigest()}  {name}\n" for name in CONTENT).encode()
    if expected != checksums:
        stated = dict.fromkeys(checksums.decode("ascii", "replace").splitlines())
        wrong = [name for name in CONTENT if f"{sha256(content[name]).hexdigest()}  {name}" not in stated]
        what = ", ".join(wrong) or CHECKSUMS
        raise ModelRejectedError(f"the model bundle {path.name} is damaged: wrong checksum of {what}")
    return content, sha256(checksums).hexdigest()


def written_card(path: Path) -> dict[str, Any]:
    """Read the card of a bundle, unchecked and without loading the estimators; empty if it cannot be read."""
    try:
        card = json.loads((path / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}
