"""Analyses that end as a test wants. Worker processes import them by name, so this module imports little."""

import ctypes
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from analysis.domain.acquisition import Contrast
from analysis.domain.reason import Reason, quoted
from analysis.errors import RefusedError
from dicom_templates.options import Predecessor
from dicom_templates.result_kinds import USUAL_KINDS, ResultKind, SrClass
from node.clock import SystemClock
from node.config import Configuration
from node.domain.completeness import Candidate, Examination
from node.domain.results import Lineage, Outcome, ResultFile
from node.errors import PermanentError, StorageFullError, TransientError

NO_LINEAGE = Lineage()
REFUSES, DIES, HANGS, FAULTS, EATS_MEMORY, SLOW = "661", "662", "663", "664", "665", "667"
HOLDS_ONCE, WAITS = "668", "669"
NOT_OURS, HALF, UNREADABLE, BREAKS, STOPS, UNWANTED = "671", "672", "673", "674", "675", "676"
WAITS_FOR_FILE = "677"
MARKS = "OSTEONODE_TEST_MARKS"
"""Environment variable with the folder in which `HOLDS_ONCE` and `WAITS` leave the process IDs of workers."""
GO = "go"
"""File in that folder for which `WAITS` waits."""

CLASSES = {kind: kind.storage(SrClass.COMPREHENSIVE) for kind in USUAL_KINDS}


A_GAP = Reason("slice_missing", from_mm=4.0, to_mm=12.5, spacing_mm=4.0)


def examine_as_pair(paths: Sequence[Path]) -> Examination:
    """Find T1 and T2 in whatever is there."""
    assert paths
    series = str(dcmread(paths[0]).SeriesInstanceUID)
    return Examination(
        tuple(Candidate(series, contrast, len(paths)) for contrast in (Contrast.T1, Contrast.T2))
    )


def examine_by_series(paths: Sequence[Path]) -> Examination:
    """Series 1 is a whole T1, series 2 a whole T2, series 3 a broken T1, anything else not for us."""
    known = {"1": Contrast.T1, "2": Contrast.T2, "3": Contrast.T1}
    counts = Counter(str(dcmread(path).SeriesInstanceUID) for path in paths)
    numbers = {uid: uid.rsplit(".", 1)[1] for uid in counts}
    return Examination(
        candidates=tuple(
            Candidate(uid, known[number], counts[uid], (A_GAP,) if number == "3" else ())
            for uid, number in sorted(numbers.items())
            if number in known
        ),
        others=("MR: not of the lumbar spine",) if set(numbers.values()) - set(known) else (),
    )


def examine_by_headers(paths: Sequence[Path]) -> Examination:
    """Examine as the node does."""
    from node.settle.examine_headers import examine_headers

    return examine_headers(paths)


def _break(paths: Sequence[Path], doing: str) -> None:
    """Break twice, and never again; an early examination that breaks counts as no attempt."""
    image = paths[0]
    told = image.parents[3] / f"broke-{doing}-{image.parent.name}"
    with told.open("ab") as file:
        file.write(b".")
    if told.stat().st_size <= 2:
        raise TransientError("its process died")


def examine_by_study(paths: Sequence[Path]) -> Examination:
    """Find what the last number of the Study Instance UID says; in most cases a pair."""
    first = dcmread(paths[0])
    behaviour = first.StudyInstanceUID.rsplit(".", 1)[1]
    if behaviour == NOT_OURS:
        return Examination(others=("MR: not of the lumbar spine",))
    if behaviour == DIES:
        os._exit(139)
    if behaviour == UNREADABLE:
        raise RefusedError(quoted("its geometry is no stack"))
    if behaviour == BREAKS:
        _break(paths, "examine")
    pair = examine_as_pair(paths)
    return Examination(pair.candidates[:1]) if behaviour == HALF else pair


def report(
    paths: Sequence[Path], _configuration: object, out: Path, lineage: Lineage = NO_LINEAGE
) -> Outcome:
    """Write one object of each kind; UIDs depend on inputs, patient and lineage as the real ones do."""
    inputs = sorted(str(dcmread(path).SOPInstanceUID) for path in paths)
    first = dcmread(paths[0])
    key = sha256("".join([*inputs, str(first.get("PatientID"))]).encode()).hexdigest()
    replaced = lineage.predecessors(key)
    digest = sha256(repr((key, replaced)).encode()).hexdigest()
    out.mkdir(parents=True)
    results = []
    for number, (kind, sop_class) in enumerate(CLASSES.items()):
        uid = f"2.25.{int(digest[:24], 16)}.{number}"
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = sop_class
        dataset.SOPInstanceUID = uid
        dataset.StudyInstanceUID = first.StudyInstanceUID
        dataset.SeriesInstanceUID = f"2.25.{int(digest[:24], 16)}"
        dataset.PatientName = first.PatientName
        dataset.PatientID = first.PatientID
        dataset.InstanceNumber = len(inputs)
        dataset.PredecessorDocumentsSequence = [named(one) for one in replaced]
        dataset.save_as(out / f"{kind}.dcm", enforce_file_format=True)
        results.append(ResultFile(kind, out / f"{kind}.dcm", sop_class, uid, dataset.SeriesInstanceUID))
    made = lineage.made_at(key, SystemClock().now())
    return Outcome(tuple(results), (), {"inputs": str(len(inputs))}, key, replaced, made=made)


def report_of_pair(
    paths: Sequence[Path], configuration: object, out: Path, lineage: Lineage = NO_LINEAGE
) -> Outcome:
    """Report series 1 and 2 only, as the real analysis reports only what it uses."""
    used = [path for path in paths if str(dcmread(path).SeriesInstanceUID)[-2:] in {".1", ".2"}]
    others = {str(dcmread(path).SeriesInstanceUID)[-1:] for path in paths if path not in used}
    beside = tuple(quoted(f"series {one} is axial") for one in sorted(others))
    return replace(report(used, configuration, out, lineage), beside=beside)


def explain_and_break(*_arguments: object) -> Outcome:
    raise TransientError("its process ended with 139")


def explain_without_room(*_arguments: object) -> Outcome:
    raise StorageFullError("there is no room for its results")


def write_true_results(
    _paths: Sequence[Path], configuration: Configuration, out: Path, _lineage: Lineage
) -> Outcome:
    """Write the objects that the templates make of findings made by hand."""
    from dicom_templates.result_set import build
    from node.analyse.result_files import report_options, write_results
    from tests.dicom_templates.cases import make_case

    case = make_case(slices=4, size=32)
    options = report_options(configuration, case.options.made)
    return Outcome(write_results(build(case.findings, case.sources, options), out), (), {}, "key")


def by_templates(paths: Sequence[Path], configuration: Configuration, out: Path, lineage: Lineage) -> Outcome:
    """Analyse as the node does; a test replaces the science."""
    from node.analyse.study import analyse_files

    return analyse_files(paths, configuration, out, lineage)


def named(predecessor: Predecessor) -> Dataset:
    item = Dataset()
    item.ReferencedSOPInstanceUID = predecessor.sop_instance_uid
    return item


def by_study(  # noqa: C901 - one line for each
    paths: Sequence[Path], configuration: object, out: Path, lineage: Lineage = NO_LINEAGE
) -> Outcome:
    """End as the last number of the Study Instance UID says, so that one node serves many tests."""
    behaviour = dcmread(paths[0]).StudyInstanceUID.rsplit(".", 1)[1]
    if behaviour == BREAKS:
        _break(paths, "analyse")
    if behaviour == STOPS:
        raise PermanentError("the checksum of the model differs")
    if behaviour == REFUSES:
        raise RefusedError(quoted("only two usable vertebrae"), quoted("levels are uncertain"))
    if behaviour == DIES:
        os._exit(139)
    if behaviour == HANGS:
        time.sleep(3600)
    if behaviour == FAULTS:
        raise ValueError("a message that quotes PLANTED^NAME")
    if behaviour == EATS_MEMORY:
        np.ones((16384, 1024, 1024))
    if behaviour == SLOW:
        time.sleep(1.5)
    if behaviour == WAITS_FOR_FILE:
        _wait_for_file(go_file(paths[0].parents[3], str(dcmread(paths[0]).StudyInstanceUID)))
    if behaviour == UNWANTED:
        made = report(paths, configuration, out, lineage)
        return replace(made, results=(replace(made.results[0], kind=ResultKind.PDF),))
    if behaviour == WAITS:
        _wait_for_go(Path(os.environ[MARKS]))
    if behaviour == HOLDS_ONCE:
        _hold_once(Path(os.environ[MARKS]) / str(os.getpid()))
    return report(paths, configuration, out, lineage)


def go_file(storage: Path, study: str) -> Path:
    """Return the file in the storage for which an analysis of `WAITS_FOR_FILE` waits."""
    return storage / f"go-{study}"


def _wait_for_file(file: Path) -> None:
    while not file.exists():
        time.sleep(0.02)


def _wait_for_go(marks: Path) -> None:
    (marks / str(os.getpid())).touch()
    _wait_for_file(marks / GO)


def _hold_once(mark: Path) -> None:
    """Leave the ID of this process and never return, unless another process has left its ID before."""
    first = not list(mark.parent.iterdir())
    mark.touch()
    if first:
        # In C and with the interpreter locked, as in much of the science.
        ctypes.PyDLL(None).sleep(3600)
