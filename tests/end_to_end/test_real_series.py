"""A real series is sent by storescu of DCMTK, and the SEG that comes back contains L1 to L5."""

from pathlib import Path

import highdicom
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import SegmentationStorage

from analysis.domain.segmentation import Level
from dicom_templates.objects.mr_image import ImageIdentity, mr_images
from dicom_templates.origin.uids import derive_uid
from tests.end_to_end.conftest import ServedNode, StoreScp, wait_for
from tests.real_images import RealCase, chu_case

pytestmark = [pytest.mark.peers, pytest.mark.slow]

LUMBAR = [level for level in Level if level.lumbar]


def write_as_dicom(case: RealCase, folder: Path) -> None:
    identity = ImageIdentity(
        patient_id="CHU", patient_name="REAL^CASE", sex="O", age="050Y",
        study_uid=derive_uid("study", "chu"), series_uid=derive_uid("series", "chu"),
        frame_of_reference_uid=derive_uid("frame", "chu"), study_date="20150101", study_time="120000",
    )  # fmt: skip
    folder.mkdir()
    for number, dataset in enumerate(mr_images(case.volume, case.facts, identity)):
        dataset.save_as(folder / f"{number:03d}.dcm", enforce_file_format=True)


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


@pytest.mark.parametrize("number", [1, 5])
def test_l1_to_l5_of_a_real_t2_come_back_in_the_seg(tmp_path: Path, loopback_shim: Path, number: int) -> None:
    case = chu_case(number)
    write_as_dicom(case, tmp_path / "series")
    with (
        StoreScp(tmp_path / "pacs", loopback_shim) as pacs,
        ServedNode(tmp_path / "node", "STORESCP", pacs.port, max_wait_s=3) as node,
    ):
        node.store(tmp_path / "series")

        def received_seg() -> Path | None:
            # DCMTK names files by modality, and writes SG for a segmentation.
            kept = (path for path in pacs.directory.iterdir() if path.name.startswith("SG."))
            return next(kept, None)

        wait_for(received_seg, node.log)
        wait_for(lambda: "delivered" in node.log() or None, node.log)
        path = received_seg()
        assert path is not None
        assert dcmread(path).SOPClassUID == SegmentationStorage
        seg = highdicom.seg.segread(path)

    by_level = segments_by_level(seg)
    overlaps = {level.name: round(dice(case, level, seg, by_level[level]), 3) for level in LUMBAR}
    assert set(LUMBAR) <= set(by_level)
    assert min(overlaps.values()) > 0.75, overlaps
