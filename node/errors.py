"""The errors of the service, divided by what to do next."""

__all__ = [
    "BusyError",
    "ClusterError",
    "ConfigurationError",
    "InstanceRejectedError",
    "LeaseLostError",
    "NodeError",
    "PermanentError",
    "StorageFullError",
    "TakenError",
    "TooManyFoundError",
    "TransientError",
    "WorkerLostError",
]


class NodeError(Exception):
    """Base of all errors that `node` raises on purpose; their messages hold no patient data."""


class TransientError(NodeError):
    """Worth another attempt, later."""


class BusyError(TransientError):
    """A peer is asked too much: nothing is asked of it for a while.

    Parameters
    ----------
    message : str
        Why, in words.
    wait_s : float
        For how long it asks to be left alone, in seconds; 0 if it does not say.
    """

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class PermanentError(NodeError):
    """Another attempt would fail in the same way; an operator must act."""


class TakenError(PermanentError):
    """Another node works with the storage or the database, which are free once it has ended."""


class TooManyFoundError(PermanentError):
    """More studies match a query than can be taken at once; a narrower query may be answered."""


class LeaseLostError(NodeError):
    """The work was leased to another worker, or its input changed: discard it silently."""


class StorageFullError(TransientError):
    """Too little disk is free to store another instance safely."""


class WorkerLostError(TransientError):
    """A worker process died, hung or ran out of memory; this counts as an attempt of its study."""


class ClusterError(PermanentError):
    """The Dask cluster that was asked for cannot be used."""


class InstanceRejectedError(PermanentError):
    """An instance cannot be stored: its sender gets the status, and its bytes go to quarantine.

    Parameters
    ----------
    status : int
        DIMSE status of PS3.4 B.2.3.
    reason : str
        Why, in words, without patient data.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class ConfigurationError(PermanentError):
    """All faults of a configuration, reported together.

    Parameters
    ----------
    faults : sequence of str
        One sentence each, with the line in the file if it has one.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
