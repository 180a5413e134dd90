"""C-FIND, and C-MOVE to this node: the images come over associations that the archive opens, as a source."""

from collections.abc import Collection, Mapping, Sequence

from pydicom import Dataset
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove

from node.dicom.association import Peer
from node.dicom.contexts import MOVE_CONTEXTS
from node.errors import TransientError
from node.fetch.archives.brake import Brake
from node.fetch.archives.dimse import Progress, asking, find, identifier, judge_end, reach, suboperations
from node.fetch.archives.wire import Level, Sent

__all__ = ["MoveWire"]

_MOVE = StudyRootQueryRetrieveInformationModelMove


class MoveWire:
    """The `Wire` for C-MOVE.

    Parameters
    ----------
    peer : Peer
        The archive; it must know the calling AE title as a destination.
    brake : Brake
        Tells if the node stops.
    """

    def __init__(self, peer: Peer, brake: Brake) -> None:
        self._peer = peer
        self._brake = brake

    def reach(self) -> None:
        """See `Wire`."""
        reach(self._peer)

    def find(self, level: Level, keys: Mapping[str, str], most: int) -> Sequence[Dataset]:
        """See `Wire`."""
        return find(self._peer, level, keys, most, self._brake)

    def header(self, study_uid: str, series_uid: str, sop_uid: str) -> Dataset | None:
        """See `Wire`; whatever is moved is stored, so no image is moved only to be looked at."""
        del study_uid, series_uid, sop_uid
        return None

    def fetch(self, study_uid: str, series_uid: str, expected: Collection[str] | None) -> Sent:
        """See `Wire`."""
        del expected
        asked = identifier(Level.SERIES, {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid})
        progress = Progress(self._peer.timeout_s, self._brake)
        with asking(self._peer, MOVE_CONTEXTS, "C-MOVE") as association:
            for status, _ in association.send_c_move(asked, self._peer.calling, _MOVE):
                if (sent := judge_end(status, "C-MOVE", progress)) is not None:
                    return sent
                progress.note(suboperations(status))
        raise TransientError("it gave no end of its answers to a C-MOVE")
