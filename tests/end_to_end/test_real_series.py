"""A real series is sent by storescu of DCMTK, and the SEG that comes back contains L1 to L5."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import highdicom
import numpy as np
import pytest
from pydicom.uid import SegmentationStorage

from analysis.domain.segmentation import Level
from dicom_templates.objects.mr_image import ImageIdentity, mr_images
from dicom_templates.origin.uids import derive_uid
from node.config import load
from node.domain.study import StudyState
from node.operate.database import open_store
from tests.end_to_end.conftest import ServedNode, StoreScp
from tests.patience import wait_until
from tests.real_images import RealCase, chu_case
from tests.thoroughness import first_of

pytestmark = [pytest.mark.peers, pytest.mark.slow]

LUMBAR = [level for level in Level if level.lumbar]


def write_as_dicom(case: RealCase, number: int, folder: Path) -> str:
    """Write a case as a study, and return its UID."""
    name = f"chu {number}"
    identity = ImageIdentity(
        patient_id=f"CHU {number}", patient_name="REAL^CASE", sex="O", age="050Y",
        study_uid=derive_uid("study", name), series_uid=derive_uid("series", name),
        frame_of_reference_uid=derive_uid("frame", name), study_date="20150101", study_time="120000",
    )  # fmt: skip
    folder.mkdir()
    for index, dataset in enumerate(mr_images(case.volume, case.facts, identity)):
        dataset.save_as(folder / f"{index:03d}.dcm", enforce_file_format=True)
    return str(identity.study_uid)


def segments_by_level(seg: highdicom.seg.Segmentation) -> dict[Level, int]:
    """Return the segment numbers by the level in their labels ("L3 vertebra" …)."""
    named = {}
    for number in seg.segment_numbers:
        label = seg.get_segment_description(number).segment_label
        named.update({level: number for level in Level if label.startswith(level.name)})
    return named


def dice(case: RealCase, level: Level, seg: highdicom.seg.Segmentation, number: int) -> float:
    """Return the Dice coefficient of a segment and the manual mask, by position in the patient."""
    found = seg.get_volume(segment_numbers=[number], combine_segments=True, relabel=True)
    truth = case.positions_mm(level)
    homogeneous = np.c_[truth, np.ones(len(truth))]
    indices = np.rint((np.linalg.inv(found.affine) @ homogeneous.T)[:3].T).astype(int)
    both = int((found.array[tuple(indices.T)] > 0).sum())
    return 2 * both / (len(truth) + int((found.array > 0).sum()))


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory, loopback_shim: Path) -> Iterator[StoreScp]:
    with StoreScp(tmp_path_factory.mktemp("pacs"), loopback_shim) as running:
        yield running


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, pacs: StoreScp) -> Iterator[ServedNode]:
    with ServedNode(tmp_path_factory.mktemp("node"), "STORESCP", pacs.port, max_wait_s=3) as running:
        yield running


@pytest.mark.parametrize("number", first_of(1, 5, why="another patient"))
def test_l1_to_l5_of_a_real_t2_come_back_in_the_seg(
    tmp_path: Path, pacs: StoreScp, node: ServedNode, number: int
) -> None:
    case = chu_case(number)
    study_uid = write_as_dicom(case, number, tmp_path / "series")
    node.store(tmp_path / "series")
    with closing(open_store(load(node.config))) as store:

        def is_delivered() -> bool:
            study = store.study(study_uid)
            return study is not None and study.state is StudyState.DELIVERED

        wait_until(is_delivered)
    # DCMTK names files by modality, and writes SG for a segmentation.
    received = [highdicom.seg.segread(path) for path in pacs.directory.glob("SG.*")]
    (seg,) = [one for one in received if study_uid == one.StudyInstanceUID]
    assert seg.SOPClassUID == SegmentationStorage

    by_level = segments_by_level(seg)
    overlaps = {level.name: round(dice(case, level, seg, by_level[level]), 3) for level in LUMBAR}
    assert set(LUMBAR) <= set(by_level)
    assert min(overlaps.values()) > 0.75, overlaps
