"""What can go wrong in the service, parted by what to do next."""

__all__ = [
    "ClusterError",
    "ConfigurationError",
    "InstanceRejectedError",
    "LeaseLostError",
    "NodeError",
    "PermanentError",
    "StorageFullError",
    "TransientError",
    "WorkerLostError",
]


class NodeError(Exception):
    """Root of every error that this room raises on purpose; its message never holds patient data."""


class TransientError(NodeError):
    """Worth another try, later."""


class PermanentError(NodeError):
    """Another try would end the same way; a person must look."""


class LeaseLostError(NodeError):
    """The work was given to another, or its input changed meanwhile: drop it, and tell nobody."""


class StorageFullError(TransientError):
    """Too little disk is left to promise that another instance is safe."""


class WorkerLostError(TransientError):
    """A worker process died, hung or ran out of memory; its study counts an attempt."""


class ClusterError(PermanentError):
    """The Dask cluster that was asked for cannot be used."""


class InstanceRejectedError(PermanentError):
    """An instance that cannot be kept; the sender gets the status, the quarantine the bytes.

    Parameters
    ----------
    status : int
        DIMSE status of PS3.4 B.2.3.
    reason : str
        In words, without patient data.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class ConfigurationError(PermanentError):
    """Every fault of a configuration, told at once.

    Parameters
    ----------
    faults : sequence of str
        One sentence each, with the line where it has one.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
