"""Bad input is refused with its reason, by `osteonode analyse` and by a node, which continues to work."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from copy import deepcopy
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, RLELossless, generate_uid

from node.analyse.study import analyse_files
from node.config import default, load
from node.decode import files_below
from node.operate.database import open_store
from node.show.why import explain
from tests.end_to_end.conftest import ServedNode, StoreScp, wait_for
from tests.node.decode.damaged_instances import damaged
from tests.patience import PATIENCE_S
from tests.peers import REPOSITORY
from tests.thoroughness import first_of

Series = list[Dataset]
Change = Callable[[Series], Series]


def unchanged(series: Series) -> Series:
    return series


def missing_slice(series: Series) -> Series:
    return series[:7] + series[8:]


def two_at_one_place(series: Series) -> Series:
    series[7].ImagePositionPatient = series[6].ImagePositionPatient
    return series


def after_contrast(series: Series) -> Series:
    for dataset in series:
        dataset.ContrastBolusAgent = "Gadobutrol"
    return series


def of_the_head(series: Series) -> Series:
    for dataset in series:
        dataset.BodyPartExamined = "HEAD"
        dataset.SeriesDescription = "t1_se_sag brain"
        dataset.ProtocolName = "head"
        dataset.StudyDescription = "MRI head"
    return series


def a_ct(series: Series) -> Series:
    for dataset in series:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
        dataset.Modality = "CT"
    return series


def compressed_with_loss(series: Series) -> Series:
    for dataset in series:
        dataset.LossyImageCompression = "01"
    return series


def agent_in_all_but_the_first(series: Series) -> Series:
    for dataset in series[1:]:
        dataset.ContrastBolusAgent = "Gadobutrol"
    return series


def two_echoes(series: Series) -> Series:
    for dataset in series[1::2]:
        dataset.EchoTime = "90"
    return series


def one_derived(series: Series) -> Series:
    series[4].ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    return series


def inverted(series: Series) -> Series:
    for dataset in series:
        dataset.PhotometricInterpretation = "MONOCHROME1"
    return series


def slope_that_overflows(series: Series) -> Series:
    for dataset in series:
        dataset.RescaleSlope, dataset.RescaleIntercept = "1e38", "0"
    return series


def of_two_birth_dates(series: Series) -> Series:
    for number, dataset in enumerate(series):
        dataset.PatientBirthDate = "19400229" if number % 2 else "19850101"
    return series


REASONS: dict[Change, str] = {
    missing_slice: "a slice is missing",
    two_at_one_place: "two slices lie at one place",
    after_contrast: "contrast",
    of_the_head: "not the lumbar spine",
    a_ct: "CT",
    compressed_with_loss: "with loss",
    agent_in_all_but_the_first: "its header names a contrast agent",
    two_echoes: "do not agree about EchoTime",
    one_derived: "do not agree about ImageType",
    inverted: "dark and bright are exchanged",
    slope_that_overflows: "no usable RescaleSlope",
    of_two_birth_dates: "birth date",
}


@pytest.fixture
def write_changed(sample_study: Path, tmp_path: Path) -> Callable[[Change], Path]:
    """Return a function that writes the T1 series of the sample, with a change, as a study of its own."""

    def write(change: Change) -> Path:
        folder = tmp_path / change.__name__
        folder.mkdir()
        study, series = generate_uid(), generate_uid()
        files = files_below(sample_study.glob("studies/*/t1_sag"))
        for number, dataset in enumerate(change([dcmread(path) for path in files])):
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            dataset.save_as(folder / f"{number}.dcm", enforce_file_format=True)
        return folder

    return write


@pytest.mark.parametrize(
    "change",
    first_of(*REASONS, why="a node is sent each of them in another test"),
    ids=lambda change: change.__name__,
)
def test_offline_it_is_refused_with_its_reason(
    change: Change, write_changed: Callable[[Change], Path], tmp_path: Path
) -> None:
    outcome = analyse_files(files_below([write_changed(change)]), default(), tmp_path / "out")
    assert REASONS[change].lower() in " ".join(outcome.refusals).lower()
    assert not outcome.results
    assert not (tmp_path / "out").exists()


def test_a_truncated_object_is_refused_with_its_reason(
    write_changed: Callable[[Change], Path], tmp_path: Path
) -> None:
    folder = write_changed(unchanged)
    first = files_below([folder])[0]
    first.write_bytes(first.read_bytes()[:-1000])
    outcome = analyse_files(files_below([folder]), default(), tmp_path / "out")
    assert "truncated" in " ".join(outcome.refusals)


ASCII_TERMINAL = {
    "LC_ALL": "C",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONIOENCODING": "ascii:strict",
}


def analyse(folder: Path, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run the command in a terminal that shows ASCII only."""
    return subprocess.run(
        [sys.executable, "-m", "node", "analyse", str(folder), *map(str, words)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env=os.environ | ASCII_TERMINAL,
    )


@pytest.mark.slow
@pytest.mark.gate("a whole study; `tests/node/decode/test_damaged_instances.py` has it in short")
def test_the_command_measures_the_healthy_series_whatever_the_others_hold(
    sample_study: Path, tmp_path: Path
) -> None:
    """Dozens of series, each with an instance damaged in another way, are refused beside one whole T1."""
    folder = tmp_path / "study"
    folder.mkdir()
    whole = files_below(sample_study.glob("studies/*/t1_sag"))
    for path in whole:
        (folder / path.name).write_bytes(path.read_bytes())
    (study_uid,) = {dcmread(path).StudyInstanceUID for path in whole}
    slices = [dcmread(path) for path in files_below(sample_study.glob("studies/*/t2_sag"))[:4]]
    for seed in range(36):
        series = generate_uid()
        for number, dataset in enumerate(deepcopy(slices)):
            dataset.SeriesInstanceUID = series
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            if seed % 2:
                dataset.compress(RLELossless, generate_instance_uid=False)
            path = folder / f"{seed}_{number}.dcm"
            if number == 1:
                path.write_bytes(damaged(dataset, seed))
            else:
                dataset.save_as(path, enforce_file_format=True)
    done = analyse(folder, "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    told = {study["study_uid"]: study for study in json.loads(done.stdout)}
    assert "levels T1w" in told[study_uid]["summary"]


def test_a_terminal_that_cannot_show_a_character_is_no_fault(
    write_changed: Callable[[Change], Path], tmp_path: Path
) -> None:
    done = analyse(write_changed(of_the_head), "--out", tmp_path / "out")
    assert done.returncode == 3, done.stderr
    assert "its description says ?" in done.stderr


@pytest.mark.slow
@pytest.mark.peers
def test_the_node_keeps_state_and_reason_and_goes_on(
    write_changed: Callable[[Change], Path], sample_study: Path, tmp_path: Path, loopback_shim: Path
) -> None:
    with (
        StoreScp(tmp_path / "pacs", loopback_shim) as pacs,
        ServedNode(tmp_path / "node", "STORESCP", pacs.port, quiet_s=1, max_wait_s=2) as node,
    ):
        bad = {change: write_changed(change) for change in REASONS}
        for folder in bad.values():
            node.store(folder)
        node.store(sample_study / "studies")

        def results() -> list[Path] | None:
            found = list(pacs.directory.iterdir())
            return found if len(found) >= 5 else None

        wait_for(results, node.log)
        uids = {
            change: str(dcmread(files_below([folder])[0], stop_before_pixels=True).StudyInstanceUID)
            for change, folder in bad.items()
        }
        with closing(open_store(load(node.config))) as store:
            answers = {change: explain(store, uid) for change, uid in uids.items()}
        for change, answer in answers.items():
            assert REASONS[change].lower() in answer.lower(), answer
        change = next(iter(uids))
        assert " ".join(answers[change].split()) in " ".join(node.ask("why", uids[change]).split())
