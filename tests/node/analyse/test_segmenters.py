"""The segmentation back ends: mask folders, and programs with stand-ins that behave like them."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pytest
from highdicom.seg import Segmentation as SegObject
from highdicom.seg import SegmentDescription
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from analysis.domain.acquisition import AcquisitionFacts, Contrast
from analysis.domain.findings import SeriesInput
from analysis.domain.segmentation import Level, Segmentation
from analysis.errors import RefusedError
from analysis.itk import write
from analysis.segment.external_mask import CANAL, SACRUM
from analysis.settings import SegmentationSettings
from dicom_templates.codes.concepts import FINDING_SITE_OF
from dicom_templates.objects.mr_image import ImageIdentity, mr_images
from node.analyse.segmenters import back_end_state, fingerprint, segmenter_for
from node.analyse.study import analyse_files
from node.config import BackendSettings, Configuration, default, parse
from node.errors import ConfigurationError, PermanentError, TransientError
from tests.analysis.spine_scene import LUMBAR, dice, spine_scene
from tests.node.nodes import is_running
from tests.patience import PATIENCE_S, wait_until
from tests.peers import REPOSITORY

SCENE = spine_scene()
GRID = SCENE.volume.grid
SERIES = "1.2.3.4"
FRAME = "1.2.3.5"
FACTS = AcquisitionFacts(
    repetition_time_ms=3500,
    echo_time_ms=100,
    scanning_sequence=("SE",),
    series_description="t2_tse_sag lumbar",
    body_part="LSPINE",
    modality="MR",
)
SOURCE = SeriesInput(SERIES, FACTS, SCENE.volume, "digest", frame_of_reference=FRAME)
NIFTI = dict(SegmentationSettings().labels) | {"canal": 9}
MASKS = SegmentationSettings(backend="masks", labels=tuple(NIFTI.items()))


def nifti_labels(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return labels as NIfTI masks have them with `MASKS`, which has no label for a whole sacrum."""
    return np.where(labels == CANAL, 9, np.where(labels == SACRUM, 0, labels)).astype(np.uint8)


def outline(
    settings: SegmentationSettings, place: BackendSettings, *, contrast: Contrast = Contrast.T1
) -> Segmentation:
    return segmenter_for(settings, place)(SOURCE, contrast)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write the scene as a T2 series of MR images, and return the files."""
    folder = tmp_path_factory.mktemp("images")
    identity = ImageIdentity(
        patient_id="1", patient_name="A^B", study_uid="1.2.3", series_uid=SERIES,
        frame_of_reference_uid=FRAME, study_date="20260101", study_time="080000",
    )  # fmt: skip
    paths = []
    for number, dataset in enumerate(mr_images(SCENE.volume, FACTS, identity)):
        paths.append(folder / f"{number}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def write_seg(
    path: Path, images: list[Path], segments: dict[Code, npt.NDArray[np.bool_]], **changed: object
) -> None:
    """Write a SEG as another program might: without empty frames, and with its own segment labels."""
    descriptions = [
        SegmentDescription(
            segment_number=number,
            segment_label=code.meaning,
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=code,
            algorithm_type="MANUAL",
        )
        for number, code in enumerate(segments, start=1)
    ]
    seg = SegObject(
        source_images=[dcmread(image) for image in images],
        pixel_array=np.stack(list(segments.values()), axis=-1).astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=descriptions,
        series_instance_uid=generate_uid(),
        series_number=9,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="Somebody",
        manufacturer_model_name="Else",
        software_versions="1",
        device_serial_number="1",
        omit_empty_frames=True,
    )
    for keyword, value in changed.items():
        setattr(seg, keyword, value)
    seg.save_as(path)


def by_code(labels: npt.NDArray[np.uint8]) -> dict[Code, npt.NDArray[np.bool_]]:
    segments = {FINDING_SITE_OF[level]: labels == level for level in LUMBAR}
    return segments | {codes.SCT.SpinalCanalStructure: labels == CANAL}


# --- Folders of masks -----------------------------------------------------------------------------


def test_a_nifti_mask_is_found_by_the_series_uid(tmp_path: Path) -> None:
    write(tmp_path / f"{SERIES}.nii.gz", nifti_labels(SCENE.labels()), GRID)
    write(tmp_path / "1.2.3.44.nii.gz", np.zeros(GRID.shape, np.uint8), GRID)
    found = outline(MASKS, BackendSettings(masks=tmp_path))
    assert np.array_equal(found.labels, SCENE.bodies)
    assert found.csf is not None
    assert found.method.startswith("mask (NIfTI) ")


def test_a_series_without_a_mask_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no mask of this series"):
        outline(MASKS, BackendSettings(masks=tmp_path))


def test_two_masks_of_one_series_are_one_too_many(tmp_path: Path) -> None:
    for name in (f"{SERIES}.nii.gz", f"{SERIES}.nii"):
        write(tmp_path / name, SCENE.bodies, GRID)
    with pytest.raises(RefusedError, match="2 masks"):
        outline(MASKS, BackendSettings(masks=tmp_path))


def test_labels_that_nobody_named_are_refused(tmp_path: Path) -> None:
    labels = SCENE.bodies.copy()
    labels[0, 0, 0] = 77
    write(tmp_path / f"{SERIES}.nii.gz", labels, GRID)
    with pytest.raises(RefusedError, match="77"):
        outline(MASKS, BackendSettings(masks=tmp_path))


def test_a_mask_folder_that_is_gone_stops_the_work_for_a_person_to_look(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="cannot be read"):
        outline(MASKS, BackendSettings(masks=tmp_path / "none"))


def test_a_series_uid_never_reaches_a_path(tmp_path: Path) -> None:
    write(tmp_path / "x.nii.gz", SCENE.bodies, GRID)
    (tmp_path / "masks").mkdir()
    hostile = replace(SOURCE, series_uid="../x")
    with pytest.raises(RefusedError, match="no UID"):
        segmenter_for(MASKS, BackendSettings(masks=tmp_path / "masks"))(hostile, Contrast.T1)


def test_a_seg_is_found_by_the_series_it_refers_to_and_read_by_its_codes(
    tmp_path: Path, images: list[Path]
) -> None:
    (tmp_path / "deep").mkdir()
    write_seg(tmp_path / "deep" / "any.dcm", images, by_code(SCENE.labels()))
    found = outline(MASKS, BackendSettings(masks=tmp_path))
    # The file leaves out the empty outer slices, but the labels that are read include them.
    assert np.array_equal(found.labels, SCENE.bodies)
    assert found.csf is not None
    name, _, version = found.method.rpartition(" ")
    assert name == "mask (DICOM SEG)"
    assert len(version) == 64


def test_our_own_seg_may_be_a_mask(tmp_path: Path, images: list[Path]) -> None:
    write(tmp_path / f"{SERIES}.nii.gz", nifti_labels(SCENE.labels()), GRID)
    first = analysed(tmp_path / "first", images, MASKS, tmp_path)
    (tmp_path / "again").mkdir()
    first["seg"].save_as(tmp_path / "again" / "seg.dcm")
    found = outline(MASKS, BackendSettings(masks=tmp_path / "again"))
    assert np.array_equal(found.labels, SCENE.bodies)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"FrameOfReferenceUID": "1.2.3.99"}, "another frame of reference"),
        ({"extra": codes.SCT.Vertebra}, "without a known level"),
        ({"extra": codes.SCT.Liver}, "without a known level"),
    ],
)
def test_a_seg_that_does_not_fit_is_refused(
    tmp_path: Path, images: list[Path], change: dict[str, object], words: str
) -> None:
    segments = by_code(SCENE.labels())
    if "extra" in change:
        code = change.pop("extra")
        assert isinstance(code, Code)
        segments[code] = SCENE.sacrum
    write_seg(tmp_path / "seg.dcm", images, segments, **change)
    with pytest.raises(RefusedError, match=words):
        outline(MASKS, BackendSettings(masks=tmp_path))


def test_overlapping_vertebrae_in_a_seg_are_refused(tmp_path: Path, images: list[Path]) -> None:
    segments = by_code(SCENE.labels())
    segments[codes.SCT.L2Vertebra] = segments[codes.SCT.L2Vertebra] | segments[codes.SCT.L3Vertebra]
    write_seg(tmp_path / "seg.dcm", images, segments)
    with pytest.raises(RefusedError, match="overlap"):
        outline(MASKS, BackendSettings(masks=tmp_path))


def test_a_damaged_seg_is_nobodys_mask(tmp_path: Path, images: list[Path]) -> None:
    write_seg(tmp_path / "seg.dcm", images, by_code(SCENE.labels()))
    content = (tmp_path / "seg.dcm").read_bytes()
    (tmp_path / "seg.dcm").write_bytes(content[: len(content) // 2])
    with pytest.raises(RefusedError):
        outline(MASKS, BackendSettings(masks=tmp_path))


# --- What identifies a result ----------------------------------------------------------------------------


def configured(settings: SegmentationSettings, masks: Path) -> Configuration:
    standard = default()
    analysis = replace(standard.analysis, segmentation=settings)
    return replace(standard, analysis=analysis, segmentation=BackendSettings(masks=masks))


def analysed(
    out: Path, images: list[Path], settings: SegmentationSettings, masks: Path
) -> dict[str, Dataset]:
    outcome = analyse_files(images, configured(settings, masks), out)
    assert not outcome.refusals
    return {file.kind.value: dcmread(file.path) for file in outcome.results}


def test_another_mask_gives_another_result_and_the_same_mask_the_same(
    tmp_path: Path, images: list[Path]
) -> None:
    labels = nifti_labels(SCENE.labels())
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        write(folder / f"{SERIES}.nii.gz", labels, GRID)
    first = analysed(tmp_path / "1", images, MASKS, here)
    # The path of the folder does not change the result.
    moved = analysed(tmp_path / "2", images, MASKS, there)
    labels[labels == Level.L1] = 0
    write(here / f"{SERIES}.nii.gz", labels, GRID)
    changed = analysed(tmp_path / "3", images, MASKS, here)
    for kind in first:
        assert first[kind].SOPInstanceUID == moved[kind].SOPInstanceUID
        assert first[kind].SOPInstanceUID != changed[kind].SOPInstanceUID
    algorithm = first["seg"].SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmName == "mask (NIfTI)"
    assert len(algorithm.AlgorithmVersion) == 64
    assert first["seg"].SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"


def test_settings_of_the_back_end_are_in_the_digest_and_its_place_is_not() -> None:
    standard = default().analysis
    assert replace(standard, segmentation=MASKS).digest() != standard.digest()
    program = '[segmentation]\nbackend = "spineps"\n'
    moved = program + 'executable = "/opt/spineps"\ntime_limit_s = 60\n'
    assert parse(program).analysis.digest() == parse(moved).analysis.digest()
    assert parse(program + 'arguments = ["-cpu"]\n').analysis.digest() != parse(program).analysis.digest()


def test_a_cohort_is_measured_again_when_a_mask_changes(tmp_path: Path) -> None:
    place = BackendSettings(masks=tmp_path)
    write(tmp_path / f"{SERIES}.nii.gz", SCENE.bodies, GRID)
    before = fingerprint(MASKS, place)
    write(tmp_path / f"{SERIES}.nii.gz", SCENE.vertebrae, GRID)
    assert fingerprint(MASKS, place) != before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('backend = "nnunet"', "must be one of embedded"),
        ('backend = "masks"', "masks must be named"),
        ('backend = "onnx"', "model must be named"),
        ("labels = { L1 = 1, L9 = 2 }", "may give each of L1"),
        ("labels = { L1 = 1, L2 = 1 }", "may give each of L1"),
        ('labels = { L1 = "one" }', "whole numbers"),
        ('backend = "spineps"\ntime_limit_s = 300', "over twice as long"),
        ("arguments = [1]", "list of words"),
    ],
)
def test_faults_of_the_section_are_told(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        parse(f"[segmentation]\n{text}\n")
    assert len(caught.value.faults) == 1


# --- Programs -------------------------------------------------------------------------------------

STAND_IN = """#!{python}
import sys, time, shutil
from pathlib import Path
sys.path.insert(0, {here!r})
arguments = sys.argv[1:]
(Path({seen!r})).open("a").write("\\n".join([*arguments, str(Path.cwd()), ""]))
{body}
"""

TOTALSPINESEG = """
image, out = Path(arguments[0]), Path(arguments[1])
assert image.is_file() and image.name.endswith(".nii.gz")
(out / "step2_output").mkdir(parents=True)
shutil.copy(Path({masks!r}) / "step2.nii.gz", out / "step2_output" / image.name)
"""

SPINEPS = """
assert arguments[0] == "sample"
options = dict(zip(arguments[1::2], arguments[2::2]))
image = Path(options["-i"])
assert image.name.startswith("sub-") and options["-ms"] in ("t1w", "t2w")
stem = image.name.removesuffix(".nii.gz").replace("_T", "_mod-T")
folder = image.parent / "derivatives_seg"
raw = folder / "output_raw_T1w"
raw.mkdir(parents=True)
for kind in ("spine", "vert"):
    shutil.copy(Path({masks!r}) / f"{{kind}}.nii.gz", folder / f"{{stem}}_seg-{{kind}}_msk.nii.gz")
    shutil.copy(Path({masks!r}) / f"{{kind}}.nii.gz", raw / f"{{stem}}_seg-{{kind}}-raw_msk.nii.gz")
"""

TOTALSEGMENTATOR = """
out = Path(arguments[arguments.index("-o") + 1])
task = arguments[arguments.index("--task") + 1]
assert "--ml" in arguments and Path(arguments[arguments.index("-i") + 1]).is_file()
shutil.copy(Path({masks!r}) / f"{{task}}.nii.gz", out)
"""

StandIn = Callable[..., BackendSettings]


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    """Return a function that writes an executable which behaves like a program and returns given masks."""

    def write_program(body: str, masks: dict[str, npt.NDArray[np.uint8]]) -> BackendSettings:
        folder = tmp_path / "masks"
        folder.mkdir(exist_ok=True)
        for name, labels in masks.items():
            write(folder / f"{name}.nii.gz", labels, GRID)
        path = tmp_path / "program"
        text = STAND_IN.format(
            python=sys.executable, here=str(tmp_path), seen=str(tmp_path / "seen"),
            body=body.format(masks=str(folder)),
        )  # fmt: skip
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return BackendSettings(executable=str(path), time_limit_s=PATIENCE_S)

    return write_program


def totalspineseg_labels() -> npt.NDArray[np.uint8]:
    """Return labels as in `step2_output`: 41 to 45 vertebrae, 50 sacrum, 1 cord, 2 canal, 92 to 95 discs."""
    labels = np.where(SCENE.vertebrae > 0, 40 + SCENE.vertebrae, 0)
    labels[SCENE.canal] = 2
    labels[6, :60, 70:74] = 1
    labels[SCENE.sacrum] = 50
    labels[3:10, 36:43, 34:60] = 92
    return labels.astype(np.uint8)


def spineps_labels() -> dict[str, npt.NDArray[np.uint8]]:
    vert = np.where(SCENE.vertebrae > 0, 19 + SCENE.vertebrae, 0)
    spine = np.where(SCENE.bodies > 0, 49, np.where(SCENE.vertebrae > 0, 41, 0))
    spine[SCENE.canal], spine[SCENE.sacrum], vert[SCENE.sacrum] = 61, 26, 26
    return {"vert": vert.astype(np.uint8), "spine": spine.astype(np.uint8)}


def totalsegmentator_labels() -> dict[str, npt.NDArray[np.uint8]]:
    vertebrae = np.where(SCENE.vertebrae > 0, 7 - SCENE.vertebrae, 0)
    vertebrae[SCENE.sacrum] = 1
    return {"vertebrae_mr": vertebrae.astype(np.uint8), "total_mr": (21 * SCENE.canal).astype(np.uint8)}


PROGRAMS = {
    "totalspineseg": (TOTALSPINESEG, {"step2": totalspineseg_labels()}),
    "spineps": (SPINEPS, spineps_labels()),
    "totalsegmentator": (TOTALSEGMENTATOR, totalsegmentator_labels()),
}


@pytest.mark.parametrize("backend", PROGRAMS)
def test_what_a_program_outlines_becomes_named_bodies_with_fluid(
    stand_in: StandIn, tmp_path: Path, backend: str
) -> None:
    place = stand_in(*PROGRAMS[backend])
    found = outline(SegmentationSettings(backend=backend, arguments=("-extra",)), place, contrast=Contrast.T2)
    for level in LUMBAR:
        assert dice(found.labels == level, SCENE.bodies == level) > 0.98, level.name
    assert found.levels_certain
    assert found.csf is not None
    assert found.csf.quality > 0.8
    assert found.method.endswith(" unknown")
    seen = (tmp_path / "seen").read_text().splitlines()
    assert "-extra" in seen
    assert not Path(seen[-1]).exists()  # its working folder was removed
    if backend == "spineps":
        assert "t2w" in seen


@pytest.mark.parametrize(("backend", "change"), [("totalspineseg", 46), ("spineps", 25)])
def test_a_sixth_lumbar_vertebra_makes_the_names_uncertain(
    stand_in: StandIn, backend: str, change: int
) -> None:
    body, masks = PROGRAMS[backend]
    name = "step2" if backend == "totalspineseg" else "vert"
    extra = masks[name].copy()
    extra[SCENE.sacrum & (np.indices(extra.shape)[1] < 200)] = change
    found = outline(SegmentationSettings(backend=backend), stand_in(body, masks | {name: extra}))
    assert not found.levels_certain


def test_a_mask_without_canal_from_a_program_withholds_the_score(stand_in: StandIn) -> None:
    body, masks = PROGRAMS["totalsegmentator"]
    place = stand_in(body, masks | {"total_mr": np.zeros(GRID.shape, np.uint8)})
    found = outline(SegmentationSettings(backend="totalsegmentator"), place)
    assert found.csf is None
    assert len(found.usable_lumbar) == 5
    assert any("no spinal canal" in concern for concern in found.concerns)


def test_a_program_that_is_not_installed_says_what_to_do() -> None:
    settings = SegmentationSettings(backend="spineps")
    with pytest.raises(PermanentError, match="install it"):
        outline(settings, BackendSettings(executable="/nowhere/spineps"))


def test_a_program_that_fails_may_be_tried_again_and_its_last_words_are_told(stand_in: StandIn) -> None:
    body = 'print("first", file=sys.stderr); print("CUDA out of memory\\n", file=sys.stderr); sys.exit(3)'
    with pytest.raises(TransientError, match="ended with 3; the last that it said: CUDA out of memory"):
        outline(SegmentationSettings(backend="totalspineseg"), stand_in(body, {}))


def test_a_program_that_writes_nothing_found_no_spine(stand_in: StandIn) -> None:
    for backend in PROGRAMS:
        with pytest.raises(RefusedError, match="no spine"):
            outline(SegmentationSettings(backend=backend), stand_in("", {}))


FAMILY = """
import subprocess
sleep = [sys.executable, "-c", "import time; time.sleep(3600)"]
child = subprocess.Popen(sleep)
runaway = subprocess.Popen(sleep, start_new_session=True)
leaves_one = "import subprocess as s, sys; print(s.Popen(sys.argv[1:], stdout=-3, start_new_session=1).pid)"
orphan = subprocess.run([sys.executable, "-c", leaves_one, *sleep], stdout=-1, text=True, check=True).stdout
family = f"{{Path.cwd()}} {{child.pid}} {{runaway.pid}} {{orphan}}"
Path({masks!r}, "family.new").write_text(family)
Path({masks!r}, "family.new").rename(Path({masks!r}, "family"))
"""
"""Starts a child, a child in a session of its own, and a grandchild that is orphaned."""


@dataclass(frozen=True)
class Family:
    """The processes that a program started, and its working folder."""

    folder: Path
    processes: tuple[int, ...]

    @classmethod
    def noted_in(cls, folder: Path) -> Self:
        """Wait until the program has written which processes it started."""
        wait_until((folder / "masks" / "family").exists)
        where, *processes = (folder / "masks" / "family").read_text().split()
        return cls(Path(where), tuple(map(int, processes)))

    @property
    def living(self) -> list[int]:
        """The processes that are still running."""
        return [pid for pid in self.processes if is_running(pid)]


def test_a_program_that_hangs_is_ended_with_all_that_it_started(stand_in: StandIn, tmp_path: Path) -> None:
    place = replace(stand_in(FAMILY + "time.sleep(3600)", {}), time_limit_s=5.0)
    with pytest.raises(TransientError, match="time_limit_s"):
        outline(SegmentationSettings(backend="totalspineseg"), place)
    family = Family.noted_in(tmp_path)
    assert len(family.processes) == 3
    assert not family.living
    assert not family.folder.exists()


def test_what_a_program_leaves_behind_is_ended_with_it(stand_in: StandIn, tmp_path: Path) -> None:
    body, masks = PROGRAMS["totalspineseg"]
    outline(SegmentationSettings(backend="totalspineseg"), stand_in(FAMILY + body, masks))
    family = Family.noted_in(tmp_path)
    assert len(family.processes) == 3
    assert not family.living


NODE = """
import sys
from node.analyse.worker_process import WorkerProcess
if __name__ == "__main__":
    worker = WorkerProcess("tests.node.calls:outline")
    worker.start()
    print(worker._process.pid, flush=True)
    worker.call(sys.argv[1], time_limit_s=3000)
"""


@pytest.mark.parametrize("killed", ["node", "worker"])
def test_a_program_ends_with_the_node_or_worker_that_is_killed(
    stand_in: StandIn, tmp_path: Path, killed: str
) -> None:
    place = stand_in(FAMILY + "time.sleep(3600)", {})
    node = subprocess.Popen(
        [sys.executable, "-c", NODE, place.executable], stdout=subprocess.PIPE, cwd=REPOSITORY
    )
    try:
        assert node.stdout is not None
        worker = int(node.stdout.readline())
        node.stdout.close()
        family = Family.noted_in(tmp_path)
        assert len(family.living) == 3
        assert family.folder.is_dir()
        os.kill(node.pid if killed == "node" else worker, signal.SIGKILL)
        wait_until(lambda: not family.living)
        wait_until(lambda: not family.folder.exists())
        wait_until(lambda: not is_running(worker))
    finally:
        node.kill()
        node.wait()


def test_the_version_is_that_of_the_distribution_beside_the_program(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "site" / "TotalSegmentator-2.18.0.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: TotalSegmentator\nVersion: 2.18.0\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    place = stand_in(*PROGRAMS["totalsegmentator"])
    settings = SegmentationSettings(backend="totalsegmentator")
    assert outline(settings, place).method == "TotalSegmentator 2.18.0"
    assert back_end_state(settings, place).message == "TotalSegmentator 2.18.0 is installed"


# --- State of the back end -------------------------------------------------------------------------


def test_a_back_end_that_cannot_work_says_why(tmp_path: Path) -> None:
    for settings, place, words in (
        (MASKS, BackendSettings(masks=tmp_path), "0 files"),
        (MASKS, BackendSettings(masks=tmp_path / "none"), "cannot be read"),
        (SegmentationSettings(backend="onnx"), BackendSettings(model=tmp_path / "x.onnx"), "cannot be read"),
        (SegmentationSettings(backend="spineps"), BackendSettings(executable="/no/spineps"), "not found at"),
    ):
        state = back_end_state(settings, place)
        assert not state.ready
        assert words in state.message


def test_the_embedded_segmenter_is_ready() -> None:
    assert back_end_state(SegmentationSettings(), BackendSettings()).ready
