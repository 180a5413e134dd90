"""C-FIND and C-GET: the images come over the association that this node has opened."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from io import BytesIO

from pydicom import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID
from pynetdicom import build_role, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet

from node.dicom.association import Peer
from node.dicom.contexts import GET_CONTEXTS, retrieved_contexts
from node.dicom.pynetdicom_internals import BeginStore, cut_off
from node.domain.audit import Party
from node.domain.dimse_status import OUT_OF_RESOURCES, SUCCESS
from node.domain.header import HEADER_BYTES
from node.errors import NodeError, PermanentError, TransientError
from node.fetch.archives.brake import Brake
from node.fetch.archives.dimse import Progress, asking, find, identifier, judge_end, reach
from node.fetch.archives.storing import Storing
from node.fetch.archives.wire import Level, Sent, most_images
from node.ports import Intake

__all__ = ["GetWire"]

_GET = StudyRootQueryRetrieveInformationModelGet
_PIXELS = 0x7FE00008
"""The first tag of the pixel data and its variants."""


class GetWire:
    """The `Wire` for C-GET.

    Parameters
    ----------
    peer : Peer
        The archive.
    intake : Intake
        Takes the images.
    brake : Brake
        Tells if the node stops.
    """

    def __init__(self, peer: Peer, intake: Intake, brake: Brake) -> None:
        self._peer = peer
        self._intake = intake
        self._brake = brake

    def reach(self) -> None:
        """See `Wire`."""
        reach(self._peer)

    def find(self, level: Level, keys: Mapping[str, str], most: int) -> Sequence[Dataset]:
        """See `Wire`."""
        return find(self._peer, level, keys, most, self._brake)

    def header(self, study_uid: str, series_uid: str, sop_uid: str) -> Dataset | None:
        """See `Wire`; the image comes, and is thrown away."""
        heads: list[_Head] = []

        def begin(_sop_class_uid: str, _sop_uid: str, transfer_syntax_uid: str) -> _Head:
            heads[:] = [_Head(transfer_syntax_uid)]
            return heads[0]

        asked = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid, "SOPInstanceUID": sop_uid}
        self._get(Level.IMAGE, asked, begin, lambda _: SUCCESS, most=1)
        return heads[0].read() if heads else None

    def fetch(self, study_uid: str, series_uid: str, expected: Collection[str] | None) -> Sent:
        """See `Wire`."""
        archive = Party(self._peer.ae_title, self._peer.host, is_requestor=False)
        asked = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
        with self._intake.open(archive, study_uid, series_uid) as transfer:
            storing = Storing(transfer, expected, self._peer.timeout_s, self._brake)
            try:
                sent = self._get(
                    Level.SERIES,
                    asked,
                    storing.begin,
                    lambda _: storing.store(),
                    most=most_images(expected),
                    refusal=lambda: storing.reason,
                )
            finally:
                storing.close()
            storing.conclude(sent.failed)
        return sent

    def _get(
        self,
        level: Level,
        keys: Mapping[str, str],
        begin: BeginStore,
        store: Callable[[evt.Event], int],
        *,
        most: int,
        refusal: Callable[[], str] = str,
    ) -> Sent:
        progress = Progress(self._peer.timeout_s, self._brake)
        faults: list[Exception] = []
        count = 0

        def take(event: evt.Event) -> int:
            nonlocal count
            count += 1
            try:
                progress.note(count)
                if count > most:
                    raise PermanentError("it sends more images than it said it has")  # noqa: TRY301 - handled as any other
                return store(event)
            except Exception as error:  # noqa: BLE001 - raised below, in the thread that asked
                faults.append(error)
                cut_off(event.assoc)
                return OUT_OF_RESOURCES

        storage = retrieved_contexts()
        roles = [build_role(uid, scp_role=True) for uid in {str(one.abstract_syntax) for one in storage}]
        contexts = [*GET_CONTEXTS, *storage]
        options = {"roles": roles, "handlers": [(evt.EVT_C_STORE, take)], "begin_store": begin}
        with asking(self._peer, contexts, "C-GET", **options) as association:
            for status, _ in association.send_c_get(identifier(level, keys), _GET):
                if faults:
                    raise _known(faults[0])
                if (sent := judge_end(status, "C-GET", progress, refusal())) is not None:
                    return sent
                progress.note(count)
        raise TransientError("it gave no end of its answers to a C-GET")


class _Head:
    """The beginning of the dataset of one image."""

    def __init__(self, transfer_syntax_uid: str) -> None:
        self._syntax = UID(transfer_syntax_uid)
        self._bytes = bytearray()

    def write(self, fragment: memoryview) -> None:
        """Keep it, if it may belong to the header."""
        self._bytes += fragment[: max(0, HEADER_BYTES - len(self._bytes))]

    def read(self) -> Dataset | None:
        """Return the header; None if it cannot be read."""
        if self._syntax.is_deflated:
            return None
        with suppress(Exception):  # a damaged header tells nothing; the image itself will be refused
            return read_dataset(
                BytesIO(self._bytes),
                self._syntax.is_implicit_VR,
                self._syntax.is_little_endian,
                stop_when=lambda tag, _vr, _length: tag >= _PIXELS,
            )
        return None


def _known(error: Exception) -> Exception:
    return error if isinstance(error, NodeError) else TransientError("this node could not take an image")
