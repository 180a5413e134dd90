"""Read a result from disk before it is sent."""

import json
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from node.errors import PermanentError

__all__ = ["patient_id_in", "read_result"]


def read_result(path: Path) -> Dataset:
    """Read the file of a result.

    Raises
    ------
    PermanentError
        If the file is missing or damaged.
    """
    try:
        return dcmread(path)
    except FileNotFoundError:
        raise PermanentError("the file of this result is gone") from None
    except (InvalidDicomError, EOFError, ValueError) as error:
        raise PermanentError(f"the file of this result is damaged ({type(error).__name__})") from error


def patient_id_in(path: Path) -> str:
    """Return the Patient ID in the file of a result, for the audit trail; empty if it has none.

    Raises
    ------
    PermanentError
        If the file is missing or damaged.
    """
    if path.suffix != ".json":
        return str(read_result(path).get("PatientID", ""))
    try:
        report = json.loads(path.read_bytes())["entry"][0]["resource"]
        return str(report.get("subject", {}).get("identifier", {}).get("value", ""))
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        raise PermanentError("the file of this result is gone or damaged") from None
