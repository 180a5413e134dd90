"""Whatever is wrong with one instance costs its own series, with a reason, and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from analysis.domain.acquisition import AcquisitionFacts
from analysis.domain.volume import Grid, Volume
from dicom_templates.objects.mr_image import ImageIdentity, mr_images
from node.analyse.findings import _decode_candidates, identity_reasons, no_progress
from node.decode import scan
from node.settle.examine_headers import examine_headers
from tests.enhanced_mr import enhanced_mr
from tests.node.decode.damaged_instances import damaged
from tests.node.decode.test_decode import AXES
from tests.thoroughness import share_of

# As in a worker process; see `node.analyse.worker_process`.
pytestmark = pytest.mark.filterwarnings("ignore")

HEALTHY, DAMAGED = "1.2.3.10", "1.2.3.100"
TIMES = {HEALTHY: (600, 10), DAMAGED: (3500, 100)}
SHAPE = (3, 16, 12)
SYNTAXES = (
    ExplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
)
GDCM = {
    JPEGLSLossless: "JPEGLSLossless",
    JPEG2000Lossless: "JPEG2000Lossless",
    JPEGLosslessSV1: "JPEGLosslessProcess14_1",
    RLELossless: "RLELossless",
}


def images(series: str) -> list[Dataset]:
    repetition, echo = TIMES[series]
    facts = AcquisitionFacts(
        repetition_time_ms=repetition, echo_time_ms=echo, scanning_sequence=("SE",),
        series_description="sag lumbar", image_type=("ORIGINAL", "PRIMARY"), body_part="LSPINE",
    )  # fmt: skip
    identity = ImageIdentity(
        patient_id="1", patient_name="Müller^Jörg", study_uid="1.2.3", series_uid=series, age="061Y",
        frame_of_reference_uid="1.2.3.5", study_date="20260101", study_time="080000",
    )  # fmt: skip
    voxels = np.random.default_rng(echo).integers(0, 1000, SHAPE).astype(np.float32)
    return list(
        mr_images(Volume(voxels, Grid(SHAPE, (4.4, 20.0, 20.0), (12.0, -60.0, 80.0), AXES)), facts, identity)
    )


def encoded(path: Path, syntax: UID) -> None:
    """Encode a file anew."""
    if syntax in GDCM:
        import gdcm  # type: ignore[import-untyped]  # not earlier: loaded before Python's zlib, it brings down the process

        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, GDCM[syntax])))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)


class Study:
    """A T1 that is whole, and a T2 of which one instance can be damaged."""

    def __init__(self, folder: Path) -> None:
        self.healthy = [folder / f"healthy{number}.dcm" for number in range(SHAPE[0])]
        for path, image in zip(self.healthy, images(HEALTHY), strict=True):
            image.save_as(path, enforce_file_format=True)
        self.others: dict[UID, list[Path]] = {}
        for syntax in SYNTAXES:
            self.others[syntax] = [folder / f"{syntax}_{number}.dcm" for number in range(SHAPE[0])]
            for path, image in zip(self.others[syntax], images(DAMAGED), strict=True):
                image.save_as(path, enforce_file_format=True)
                encoded(path, syntax)
        enhanced = self.others[UID("1.2")] = [folder / "enhanced.dcm"]
        enhanced_mr(images(DAMAGED), uid="1.2.3.7").save_as(enhanced[0], enforce_file_format=True)
        self._spoilt = folder / "spoilt.dcm"

    def spoilt(self, seed: int) -> list[Path]:
        """Return the files of the study, one of which is damaged as a seed says."""
        kinds = list(self.others.values())
        files = list(kinds[seed % len(kinds)])
        victim = seed // len(kinds) % len(files)
        self._spoilt.write_bytes(damaged(dcmread(files[victim]), seed // len(kinds)))
        files[victim] = self._spoilt
        return [*self.healthy, *files]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(tmp_path_factory.mktemp("study"))


def outcome(paths: list[Path]) -> tuple[set[str], list[str]]:
    """Read a study as the node and `osteonode analyse` do; return the series to be measured, and reasons."""
    examine_headers(paths)
    series, unreadable = scan(paths)
    if told := identity_reasons(series):
        return {HEALTHY}, list(told)
    decoded, _, not_used = _decode_candidates(
        [one for one in series if one.study_uid == "1.2.3"], no_progress
    )
    reasons = [str(reason) for one in not_used for reason in one.reasons]
    return {one.series_uid for one in decoded}, [*reasons, *(str(file.reason) for file in unreadable)]


def survives(study: Study, seeds: Iterator[int]) -> None:
    lost, refused = [], 0
    for seed in seeds:
        measured, reasons = outcome(study.spoilt(seed))
        if HEALTHY not in measured:
            lost.append(seed)
        refused += bool(reasons)
    assert not lost
    assert refused > 10  # or nothing would have been damaged


def test_a_study_that_is_not_damaged_is_measured_in_every_encoding(study: Study) -> None:
    for files in study.others.values():
        assert outcome([*study.healthy, *files]) == ({HEALTHY, DAMAGED}, [])


def test_every_element_and_frame_may_be_damaged(study: Study) -> None:
    seeds = range(0, 2800, 23)
    survives(study, iter(seeds[:: len(seeds) // share_of(len(seeds))]))


@pytest.mark.nightly  # a quarter of an hour: each is a study that is read, often decoded in a process apart
def test_every_element_and_frame_may_be_damaged_in_thousands_of_ways(study: Study) -> None:
    survives(study, iter(range(2800)))
