"""The routing rule for Orthanc sends the lumbar spine, and no other MR of the hospital."""

from pathlib import Path

import pytest
from pydicom import dcmread

from node.decode import files_below
from tests.end_to_end.conftest import wait_for
from tests.node.nodes import slice_of
from tests.peers import REPOSITORY, Orthanc, StoreScp, build_loopback_shim

pytestmark = [pytest.mark.peers, pytest.mark.slow]

SENT = {
    "body part": {"BodyPartExamined": "LSPINE"},
    "two words": {"BodyPartExamined": "L SPINE"},
    "German study": {"StudyDescription": "MRT LWS nativ", "BodyPartExamined": "SPINE"},
    "French protocol": {"ProtocolName": "RACHIS_LOMBAIRE"},
    "Spanish series": {"SeriesDescription": "T1 SAG COLUMNA LUMBAR"},
    "Italian": {"StudyDescription": "RM rachide lombosacrale"},
    "no body part": {"StudyDescription": "MR Lumbar Spine wo contrast"},
    "thoracolumbar": {"SeriesDescription": "sag t2 thoracolumbar"},
}
KEPT = {
    "brain": {"StudyDescription": "MR Brain", "BodyPartExamined": "HEAD"},
    "neck of a lumbar study": {"StudyDescription": "MR cervical and lumbar", "BodyPartExamined": "CSPINE"},
    "knee": {"StudyDescription": "MRT Knie links"},
    "silent": {},
    "sound of it": {"StudyDescription": "MR pelvis, bulb of false aneurysm", "SeriesDescription": "belly"},
    "computed tomography": {"Modality": "CT", "BodyPartExamined": "LSPINE"},
}


def test_orthanc_routes_the_lumbar_spine_only(tmp_path: Path) -> None:
    files, uids = [], {}
    for number, (name, told) in enumerate({**SENT, **KEPT}.items()):
        image = slice_of(number, study=f"1.2.826.0.1.77.{number}")
        image.StudyDescription = ""
        for keyword, value in told.items():
            setattr(image, keyword, value)
        image.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
        files.append(tmp_path / f"{number}.dcm")
        uids[image.SOPInstanceUID] = name

    with StoreScp(tmp_path / "node", build_loopback_shim(tmp_path)) as node:
        routing = {
            "LuaScripts": [str(REPOSITORY / "docs" / "routing" / "orthanc.lua")],
            "StableAge": 1,
            "DicomModalities": {"osteonode": ["OSTEONODE", "127.0.0.1", node.port]},
        }
        with Orthanc(tmp_path / "orthanc", routing) as orthanc:
            orthanc.store(files)

            def arrived() -> set[str]:
                read = [dcmread(path, force=True) for path in files_below([tmp_path / "node"])]
                return {uids[one.SOPInstanceUID] for one in read if "SOPInstanceUID" in one}

            def is_over() -> bool | None:
                stable = [orthanc.get(f"/series/{one}")["IsStable"] for one in orthanc.get("/series")]
                jobs = [orthanc.get(f"/jobs/{one}")["State"] for one in orthanc.get("/jobs")]
                return (all(stable) and len(jobs) >= len(SENT) and set(jobs) == {"Success"}) or None

            wait_for(is_over, 60, lambda: f"{sorted(arrived())}\n{orthanc.log()}")

    assert arrived() == set(SENT)
