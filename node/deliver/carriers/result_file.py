"""Read a result from disk before it is sent."""

from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from node.errors import PermanentError

__all__ = ["read_result"]


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
