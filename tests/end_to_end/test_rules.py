"""A hospital routes all of its MR, and the rules of the node take the lumbar spine."""

from dataclasses import replace
from pathlib import Path

import pytest

from node.config import AssemblySettings, parse
from tests.end_to_end.conftest import wait_for
from tests.end_to_end.test_routing import KEPT, SENT
from tests.node.nodes import quick, quick_node, slice_of
from tests.peers import Orthanc

pytestmark = [
    pytest.mark.peers,
    pytest.mark.slow,
    pytest.mark.gate("an Orthanc and a node; `tests/node/receive/test_rules.py` has it without the Orthanc"),
]

TEXTS = ("StudyDescription", "SeriesDescription", "ProtocolName", "BodyPartExamined")
WORDS = ("lumbar", "lws", "lombaire", "lombosacrale", "lspine", "l spine", "пояснич", "腰椎")
RULES = f"""
[[rules]]
name = "no MR"
take = false
modality = "!MR"
[[rules]]
name = "neck"
take = false
body_part = "CSPINE"
[[rules]]
name = "lumbar region"
take = true
body_part = ["LSPINE", "L SPINE"]
[[rules]]
name = "lumbar"
take = true
description = {[f"*{word}*" for word in WORDS]}
[[rules]]
name = "lumbar protocol"
take = true
protocol = {[f"*{word}*" for word in WORDS]}
[[rules]]
name = "rest"
take = false
"""
EVERYTHING = 'function OnStoredInstance(id, tags, metadata)\n  SendToModality(id, "osteonode")\nend\n'


def test_orthanc_routes_everything_and_the_rules_take_the_lumbar_spine(tmp_path: Path) -> None:
    files, names = [], {}
    (tmp_path / "everything.lua").write_text(EVERYTHING)
    for number, (name, told) in enumerate({**SENT, **KEPT}.items()):
        image = slice_of(number, study=f"1.2.826.0.1.77.{number}")
        image.SpecificCharacterSet = "ISO_IR 192"
        silent = {
            "StudyDescription": "x",
            "SeriesDescription": "x",
            "ProtocolName": "x",
            "BodyPartExamined": "x",
        }
        for keyword, value in (silent | told).items():
            setattr(image, keyword, value)
        image.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
        files.append(tmp_path / f"{number}.dcm")
        names[image.StudyInstanceUID] = name
    base = quick(tmp_path / "node", assembly=AssemblySettings(quiet_s=3600))
    with quick_node(replace(base, rules=parse(RULES).rules)) as node:
        routing = {
            "LuaScripts": [str(tmp_path / "everything.lua")],
            "DicomModalities": {"osteonode": ["OSTEONODE", "127.0.0.1", node.port]},
        }
        with Orthanc(tmp_path / "orthanc", routing) as orthanc:
            orthanc.store(files)

            def is_over() -> bool | None:
                jobs = {orthanc.get(f"/jobs/{one}")["State"] for one in orthanc.get("/jobs")}
                discarded = sum(objects for objects, _ in node.store.discards().values())
                here = len(node.store.studies(100)) + discarded
                return (jobs == {"Success"} and here == len(files)) or None

            wait_for(is_over, orthanc.log)
        taken = {names[study.study_uid] for study in node.store.studies(100)}
    assert taken == set(SENT)
