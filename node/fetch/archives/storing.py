"""Has images stored one after the other while a series comes, and notes which are safe."""

from collections.abc import Collection
from queue import Empty, SimpleQueue

from node.domain.dimse_status import CONFLICTING_INSTANCE, DATASET_DOES_NOT_MATCH, OUT_OF_RESOURCES, SUCCESS
from node.errors import TransientError
from node.fetch.archives.brake import Brake
from node.ports import IncomingObject, Transfer

__all__ = ["Storing"]

_REFUSALS = {
    DATASET_DOES_NOT_MATCH: "it sent what was not asked for",
    OUT_OF_RESOURCES: "this node has too little disk, or the image is larger than [node] max_instance_mb",
    CONFLICTING_INSTANCE: "another image is stored under the same SOP Instance UID",
}


class Storing:
    """The images of one series, as they come.

    Parameters
    ----------
    transfer : Transfer
        Stores them.
    expected : collection of str or None
        SOP Instance UIDs of the series, if the archive told them.
    timeout_s : float
        Time for an image to become durable.
    brake : Brake
        Tells if the node stops.

    Attributes
    ----------
    reason : str
        Why this node did not take an image; empty if it took all.
    """

    def __init__(
        self, transfer: Transfer, expected: Collection[str] | None, timeout_s: float, brake: Brake
    ) -> None:
        self._transfer = transfer
        self._expected = expected
        self._timeout_s = timeout_s
        self._brake = brake
        self._incoming: IncomingObject | None = None
        self._sop_uid = ""
        self._safe: set[str] = set()
        self._refused = 0
        self.reason = ""

    def begin(self, sop_class_uid: str, sop_uid: str, transfer_syntax_uid: str) -> IncomingObject:
        """Begin with the next image.

        Raises
        ------
        TransientError
            If the one before is not stored yet: only its answer lets an archive go on.
        """
        if self._incoming is not None:
            raise TransientError("it sent an image before the previous one was answered")
        self._sop_uid = sop_uid
        self._incoming = self._transfer.begin(sop_class_uid, sop_uid, transfer_syntax_uid)
        return self._incoming

    def store(self) -> int:
        """Store the image that has come completely; return the status that its sender gets.

        Raises
        ------
        TransientError
            If it does not become durable in time, or the node stops.
        """
        incoming, self._incoming = self._incoming, None
        if incoming is None:
            raise TransientError("it ended an image that it had not begun")
        answers: SimpleQueue[int] = SimpleQueue()
        self._transfer.store(incoming, answers.put)
        try:
            status = answers.get(timeout=self._timeout_s)
        except Empty:
            raise TransientError("this node did not get an image onto the disk in time") from None
        if status == SUCCESS:
            self._safe.add(self._sop_uid)
        else:
            self._refused += 1
            self.reason = self.reason or _REFUSALS.get(
                status, "this node could not read an image that it sent"
            )
        self._brake.check()
        return status

    def close(self) -> None:
        """Discard an image that has not come completely."""
        if self._incoming is not None:
            self._incoming.close()
            self._incoming = None

    def conclude(self, failed: int) -> None:
        """Note whether the series is whole; `failed` images could not be sent."""
        missing = bool(failed) if self._expected is None else not self._safe >= set(self._expected)
        if not missing and not self._refused:
            self._transfer.note_whole()
