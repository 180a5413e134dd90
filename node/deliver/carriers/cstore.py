"""Send results by C-STORE, those of one study over one association."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydicom import Dataset
from pynetdicom.association import Association

from node.deliver.carriers.result_file import read_result
from node.dicom.association import Peer, associated
from node.dicom.contexts import contexts_for
from node.dicom.query import find_instances
from node.domain.delivery import DeliveryResponse, Disposition, judge_status
from node.domain.records import Result
from node.errors import TransientError

__all__ = ["CStoreCarrier"]


class CStoreCarrier:
    """The `Carrier` for a destination that is reached by DIMSE.

    Parameters
    ----------
    peer : Peer
        The destination.
    folder : Path
        The folder that the names of results are relative to.
    """

    def __init__(self, peer: Peer, folder: Path) -> None:
        self._peer = peer
        self._folder = folder

    @contextmanager
    def open(self, results: Sequence[Result]) -> Iterator[Callable[[Result], DeliveryResponse]]:
        """See `node.deliver.carriers.Carrier`."""
        classes = dict.fromkeys(result.sop_class_uid for result in results)
        with associated(self._peer, contexts_for(classes)) as association:
            accepted = {context.abstract_syntax for context in association.accepted_contexts}

            def send(result: Result) -> DeliveryResponse:
                # The other kinds are still sent: an old archive may accept SR but not SEG.
                if result.sop_class_uid not in accepted:
                    return DeliveryResponse(Disposition.NOT_ACCEPTED, None, "it takes none of this kind")
                return _store(association, read_result(self._folder / result.name))

            yield send

    def find(self, results: Sequence[Result]) -> set[str]:
        """See `node.deliver.carriers.Carrier`."""
        study_uid = results[0].study_uid
        return find_instances(self._peer, study_uid, sorted({result.series_uid for result in results}))


def _store(association: Association, dataset: Dataset) -> DeliveryResponse:
    if not association.is_established:
        raise TransientError("the destination ended the association")
    try:
        response = association.send_c_store(dataset)
    except RuntimeError as error:  # pynetdicom: the association ended between the check and the call
        raise TransientError("the destination ended the association") from error
    if "Status" not in response:
        raise TransientError("the destination gave no answer to a C-STORE")
    status = int(response.Status)
    return DeliveryResponse(
        judge_status(status), status, "" if status == 0 else f"it answered 0x{status:04X}"
    )
