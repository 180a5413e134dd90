"""Nothing of a patient is ever written down outside the spool: canaries are planted and searched for."""

import ast
import logging
from io import StringIO
from pathlib import Path

import pytest
from pydicom import Dataset

import node
from node.domain.study import StudyState
from node.log import _FACTS, get_log, guarded
from node.show.why import explain
from tests.node.analyses import FAULTS
from tests.node.nodes import in_quarantine, quick, quick_node, send, slice_of, state_of
from tests.patience import wait_until

CANARY = "CANARY7"
TEXTS = (
    "PatientName", "PatientAddress", "PatientComments", "OtherPatientIDs", "StudyID", "StudyDescription",
    "SeriesDescription", "InstitutionName", "StationName", "ReferringPhysicianName", "OperatorsName",
    "ProtocolName", "AccessionNumber", "RequestedProcedureDescription",
)  # fmt: skip


def with_canaries(number: int, study: str) -> Dataset:
    """Make a slice with a canary in every text of its header."""
    dataset = slice_of(number, study=study, patient_id=CANARY)
    for keyword in TEXTS:
        setattr(dataset, keyword, f"{CANARY}^{CANARY}")
    return dataset


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_no_canary_is_in_the_log_the_store_or_an_answer(tmp_path: Path, written: StringIO) -> None:
    faulty, fine = "1.2.826.0.1.1.664", "1.2.826.0.1.2"
    assert faulty.endswith(FAULTS)
    with quick_node(quick(tmp_path, engine={"attempts": 1}), analyse="by_study") as node:
        send(node.port, with_canaries(1, fine), calling=CANARY[::-1])
        broken = with_canaries(2, fine)
        del broken.StudyInstanceUID
        send(node.port, broken)
        altered = with_canaries(1, fine)
        altered.Rows = 9
        send(node.port, altered)
        send(node.port, with_canaries(1, faulty))
        wait_until(lambda: state_of(node, fine) is StudyState.DELIVERED)
        wait_until(lambda: len(node.store.history(faulty)) >= 4)
        answers = explain(node.store, fine) + explain(node.store, faulty)
        rows = repr((node.store.history(faulty), in_quarantine(node.store), node.store.studies(9)))
    log = written.getvalue()
    assert "study_reported" in log
    assert "instance_rejected" in log
    for text in (log, answers, rows):
        assert CANARY not in text
    database = b"".join(path.read_bytes() for path in tmp_path.glob("osteonode.db*"))
    assert CANARY.encode() not in database


def test_a_fact_nobody_allowed_is_not_written(written: StringIO) -> None:
    get_log().info("study_reported", study="1.2.3", patient_name=CANARY)
    assert "1.2.3" in written.getvalue()
    assert CANARY not in written.getvalue()


def test_no_line_of_ours_loses_a_fact_on_the_way() -> None:
    """Of a fact that is not allowed nothing is written, and nobody is told."""
    lost = []
    for path in Path(node.__path__[0]).rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr in {"bind", "debug", "info", "warning", "error", "critical"}
            ):
                logs = ast.unparse(call.func.value).rpartition(".")[2] in {"log", "_log"}
                names = {one.arg for one in call.keywords if one.arg} if logs else set()
                lost += [f"{path.name}:{call.lineno} {name}" for name in sorted(names - _FACTS)]
    assert not lost


def test_a_fault_of_a_sweep_is_told_without_its_message(written: StringIO) -> None:
    def broken() -> None:
        raise ValueError(CANARY)

    guarded("assemble", broken, get_log())()
    assert "ValueError" in written.getvalue()
    assert "test_log.py" in written.getvalue()
    assert CANARY not in written.getvalue()


@pytest.mark.parametrize("name", ["pynetdicom", "pydicom", "pynetdicom.dimse"])
def test_the_dicom_libraries_are_silent(name: str, written: StringIO) -> None:
    del written
    assert not logging.getLogger(name).isEnabledFor(logging.CRITICAL)
