"""The errors of the analysis, by what the caller does next."""

from analysis.domain.reason import Reason

__all__ = ["AnalysisError", "ModelRejectedError", "RefusedError"]


class AnalysisError(Exception):
    """Base class of the errors that `analysis` raises."""


class RefusedError(AnalysisError):
    """The input cannot be analysed; the user is told why, and it is not tried again.

    Parameters
    ----------
    *reasons : Reason
        Why, for a radiologist; without patient data.
    """

    def __init__(self, *reasons: Reason) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons

    def __reduce__(self) -> tuple[type["RefusedError"], tuple[Reason, ...]]:
        # Pickling passes an exception's `args`, which are the joined sentence and not the reasons.
        return type(self), self.reasons


class ModelRejectedError(AnalysisError):
    """A model is not what its card claims: a checksum, a type or the feature configuration differs."""
