"""Automatic routing from PACS to node to PACS, with a real Orthanc and the Lua script in docs."""

import re
from collections import Counter
from pathlib import Path

import pytest
from pydicom import dcmread

from node.decode import files_below
from node.operate.doctor.rights import is_open_to_others
from tests.end_to_end.conftest import ServedNode, wait_for
from tests.peers import REPOSITORY, Orthanc, free_port, program, run
from tests.tracing import foreign_calls, strace

pytestmark = [pytest.mark.peers, pytest.mark.slow]

EXPECTED = {"SR": 2, "SEG": 2, "OT": 1}
"""Series that come back: measurement report and text report, a SEG each for T1 and T2, the summary image."""


def found_by_c_find(orthanc: Orthanc, study_uid: str) -> Counter[str]:
    """Return the modalities of the series of a study, as a PACS client finds them."""
    answer = run(
        [
            program("findscu", "dcmtk"), "-S", "-aec", orthanc.ae_title, "127.0.0.1", str(orthanc.dicom_port),
            "-k", "QueryRetrieveLevel=SERIES", "-k", f"StudyInstanceUID={study_uid}", "-k", "Modality", "-v",
        ]
    )  # fmt: skip
    return Counter(re.findall(r"\(0008,0060\) CS \[(\w+)\s*\]", answer))


def test_a_study_stored_in_orthanc_has_its_results_in_orthanc(tmp_path: Path, sample_study: Path) -> None:
    """Node and workers connect to no other machine and look up no name; what they write is for their user."""
    calls = tmp_path / "strace.log"
    files = [path for path in files_below([sample_study]) if path.suffix == ".dcm"]
    study_uid = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    node_port = free_port()
    routing = {
        "LuaScripts": [str(REPOSITORY / "docs" / "routing" / "orthanc.lua")],
        "StableAge": 2,
        "DicomModalities": {"osteonode": ["OSTEONODE", "127.0.0.1", node_port]},
    }
    with (
        Orthanc(tmp_path / "orthanc", routing) as orthanc,
        ServedNode(
            tmp_path / "node",
            "ORTHANC",
            orthanc.dicom_port,
            port=node_port,
            under=tuple(strace(calls, "--daemonize")),  # so that a signal meant for the node reaches it
        ) as node,
    ):
        orthanc.store(files)

        def all_back() -> Counter[str] | None:
            modalities = found_by_c_find(orthanc, study_uid)
            return modalities if all(modalities[name] >= count for name, count in EXPECTED.items()) else None

        modalities = wait_for(all_back, lambda: f"{node.log()}\n{orthanc.log()}")
        sent_on = Counter(re.findall(r"delivered", node.log()))

    assert {name: modalities[name] for name in EXPECTED} == EXPECTED, sent_on
    assert f"sin_port=htons({orthanc.dicom_port})" in calls.read_text()
    assert not foreign_calls(calls.read_text())
    written = list(node.directory.joinpath("var").rglob("*.*"))
    assert written
    assert not [path for path in written if is_open_to_others(path)]
