"""Every class that stores objects is accepted: a router stops at the first object that is rejected."""

from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AllStoragePresentationContexts, build_context
from pynetdicom.sop_class import ModalityWorklistInformationFind, StudyRootQueryRetrieveInformationModelMove

from node.config import AssemblySettings
from node.dicom.contexts import contexts_answering, is_storage, storage_contexts
from node.domain.study import StudyState
from node.store.retention import drop_unused
from tests.node.analyses import CLASSES
from tests.node.nodes import STUDY, quick, quick_node, running_pacs, slice_of, state_of
from tests.patience import application_entity, wait_until

PRIVATE = {
    "Philips MR Series Data": "1.3.46.670589.2.3.1.1",
    "Philips private MR spectrum": "1.3.46.670589.11.0.0.12.1",
    "GE private 3D model": "1.2.840.113619.4.26",
    "Siemens CSA non-image": "1.3.12.2.1107.5.9.1",
    "a site's own": "2.25.329800735698586629295641978511506172918",
}
RETIRED = {
    "Nuclear Medicine Image": "1.2.840.10008.5.1.4.1.1.5",
    "Ultrasound Image": "1.2.840.10008.5.1.4.1.1.6",
    "Standalone Overlay": "1.2.840.10008.5.1.4.1.1.8",
    "Hardcopy Grayscale Image": "1.2.840.10008.5.1.1.29",
}
NEWER = {"not in pydicom's tables yet": "1.2.840.10008.5.1.4.1.1.9999.1"}
UNLISTED = {**PRIVATE, **RETIRED, **NEWER}


def object_of(sop_class: str, number: int) -> Dataset:
    """Return an object that is no MR image, of the study of the slices."""
    dataset = slice_of(number, series="9")
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = f"1.2.826.0.1.9.{number}"
    return dataset


def statuses(port: int, *datasets: Dataset) -> list[int | None]:
    """Send objects in their order as a router does, and return their statuses; None if one cannot be sent."""
    ae = application_entity("ROUTER")
    for uid in dict.fromkeys(dataset.SOPClassUID for dataset in datasets):
        ae.add_requested_context(uid, [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
    association = ae.associate("127.0.0.1", port, ae_title="OSTEONODE")
    assert association.is_established
    taken = {context.abstract_syntax for context in association.accepted_contexts}
    answers = [
        association.send_c_store(dataset).Status if dataset.SOPClassUID in taken else None
        for dataset in datasets
    ]
    association.release()
    return answers


@pytest.mark.parametrize("uid", UNLISTED.values(), ids=UNLISTED)
def test_an_object_of_a_class_that_is_not_listed_costs_its_study_nothing(tmp_path: Path, uid: str) -> None:
    with running_pacs() as pacs, quick_node(quick(tmp_path, pacs.destination)) as node:
        sent = [slice_of(1), object_of(uid, 1), slice_of(2)]
        assert statuses(node.port, *sent) == [0, 0, 0]
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        assert len(pacs.received) == len(CLASSES)
        other = next(one for one in node.store.instances(STUDY) if one.sop_class_uid == uid)
        path = node.instance_store.path(other)
        assert path.exists()
        assert drop_unused(node.store, node.instance_store) == 1
        assert not path.exists()
        assert len(node.store.instances(STUDY)) == 2
        assert drop_unused(node.store, node.instance_store) == 0


def test_it_is_kept_while_its_study_is_not_finished(tmp_path: Path) -> None:
    with quick_node(quick(tmp_path, assembly=AssemblySettings(quiet_s=3600))) as node:
        assert statuses(node.port, object_of(PRIVATE["GE private 3D model"], 1)) == [0]
        assert drop_unused(node.store, node.instance_store) == 0
        assert len(node.store.instances(STUDY)) == 1


def test_every_storage_class_of_the_tables_is_storage_and_no_other_service_is() -> None:
    assert all(is_storage(str(context.abstract_syntax)) for context in AllStoragePresentationContexts)
    for other in (ModalityWorklistInformationFind, StudyRootQueryRetrieveInformationModelMove):
        assert not is_storage(other)
        assert contexts_answering([other]) is storage_contexts()


def test_what_is_no_storage_is_still_rejected(tmp_path: Path) -> None:
    with quick_node(quick(tmp_path)) as node:
        ae = application_entity("ROUTER")
        ae.requested_contexts = [
            build_context(ModalityWorklistInformationFind), build_context(PRIVATE["a site's own"])
        ]  # fmt: skip
        association = ae.associate("127.0.0.1", node.port, ae_title="OSTEONODE")
        assert [context.abstract_syntax for context in association.rejected_contexts] == [
            ModalityWorklistInformationFind
        ]
        association.release()
