"""What can go wrong in the science, parted by what the caller does next."""

from analysis.domain.reason import Reason

__all__ = ["AnalysisError", "ModelRejectedError", "RefusedError"]


class AnalysisError(Exception):
    """Root of every error that this room raises on purpose."""


class RefusedError(AnalysisError):
    """The input cannot be analysed honestly; tell the user why and do not try again.

    Parameters
    ----------
    *reasons : Reason
        Fit to be read by a radiologist. They never hold patient data.
    """

    def __init__(self, *reasons: Reason) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons

    def __reduce__(self) -> tuple[type["RefusedError"], tuple[Reason, ...]]:
        # An exception crosses from the worker process to the node by its constructor's arguments.
        return type(self), self.reasons


class ModelRejectedError(AnalysisError):
    """A model bundle is not what it claims to be: checksum, type or feature configuration differ."""
