"""The routing rules send the lumbar spine, and no other MR of the hospital."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asteval import Interpreter
from pydicom import dcmread

from node.decode import files_below
from tests.end_to_end.conftest import wait_for
from tests.node.nodes import slice_of
from tests.peers import REPOSITORY, Orthanc, StoreScp, build_loopback_shim, program, run
from tests.thoroughness import first_of

pytestmark = [pytest.mark.peers, pytest.mark.slow]

ROUTING = REPOSITORY / "docs" / "routing"
_PYTHON_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancPython.so")
SCRIPTS: dict[str, dict[str, Any]] = {
    "Lua": {"LuaScripts": [str(ROUTING / "orthanc.lua")]},
    "Python": {"Plugins": [str(_PYTHON_PLUGIN)], "PythonScript": str(ROUTING / "orthanc_plugin.py")},
}

SENT = {
    "body part": {"BodyPartExamined": "LSPINE"},
    "two words": {"BodyPartExamined": "L SPINE"},
    "German study": {"StudyDescription": "MRT LWS nativ", "BodyPartExamined": "SPINE"},
    "French protocol": {"ProtocolName": "RACHIS_LOMBAIRE"},
    "Spanish series": {"SeriesDescription": "T1 SAG COLUMNA LUMBAR"},
    "Italian": {"StudyDescription": "RM rachide lombosacrale"},
    "no body part": {"StudyDescription": "MR Lumbar Spine wo contrast"},
    "thoracolumbar": {"SeriesDescription": "sag t2 thoracolumbar"},
    "Russian": {"StudyDescription": "МРТ поясничного отдела", "BodyPartExamined": "SPINE"},  # noqa: RUF001
    "Chinese series": {"SeriesDescription": "腰椎 T1"},
    "underscores": {"SeriesDescription": "t2_tse_sag_LWS"},
}
KEPT = {
    "brain": {"StudyDescription": "MR Brain", "BodyPartExamined": "HEAD"},
    "neck of a lumbar study": {"StudyDescription": "MR cervical and lumbar", "BodyPartExamined": "CSPINE"},
    "knee": {"StudyDescription": "MRT Knie links"},
    "silent": {},
    "sound of it": {"StudyDescription": "MR pelvis, bulb of false aneurysm", "SeriesDescription": "belly"},
    "computed tomography": {"Modality": "CT", "BodyPartExamined": "LSPINE"},
}


Header = Mapping[str, str]
_ATTRIBUTES = ("BodyPartExamined", "SeriesDescription", "ProtocolName", "StudyDescription")


def mercure_sends(header: Header, _folder: Path) -> bool:
    """Evaluate the rule as mercure does: by asteval, with the tags as attributes, absent ones empty."""
    evaluate = Interpreter(use_numpy=False, minimal=True)
    evaluate.symtable.clear()
    evaluate.symtable |= {"any": any, "map": map, "tags": SimpleNamespace(**header)}
    sent = evaluate((ROUTING / "mercure.rule").read_text(), raise_errors=True)
    assert isinstance(sent, bool)
    return sent


def conquest_sends(header: Header, folder: Path) -> bool:
    """Run the converter in Lua, with the image as the server gives it."""
    data = ", ".join(f"{keyword} = [==[{value}]==]" for keyword, value in header.items())
    call = folder / "call.lua"
    call.write_text(f"Data = {{ {data} }}\nscript = print\ndofile('{ROUTING / 'conquest.lua'}')\n")
    told = run([program("lua5.1", "lua5.1"), call])
    assert told in {"", "forward to OSTEONODE channel *\n"}
    return bool(told)


def dcm4chee_sends(header: Header, _folder: Path) -> bool:
    """Tell whether all conditions of one export rule hold; each is a pattern for the whole value."""
    rules: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for entry in (ROUTING / "dcm4chee-arc.ldif").read_text().split("\n\n"):
        if "objectClass: dcmExportRule" in entry:
            conditions = re.findall(r"^dcmProperty: (\w+)(!?=)(.*)$", entry, re.MULTILINE)
            rules[re.findall("^cn: (.*)$", entry, re.MULTILINE)[0]] += conditions
    assert len(rules) == len(_ATTRIBUTES)
    return any(
        all(bool(re.fullmatch(pattern, header[keyword])) is (sign == "=") for keyword, sign, pattern in rule)
        for rule in rules.values()
    )


@pytest.mark.parametrize("sends", [mercure_sends, conquest_sends, dcm4chee_sends])
def test_a_rule_finds_the_lumbar_spine_only(sends: Callable[[Header, Path], bool], tmp_path: Path) -> None:
    headers = {
        name: dict.fromkeys(_ATTRIBUTES, "") | {"Modality": "MR"} | told
        for name, told in {**SENT, **KEPT}.items()
    }
    assert {name for name, header in headers.items() if sends(header, tmp_path)} == set(SENT)


def test_the_rules_in_lua_have_the_same_words() -> None:
    def shared(name: str) -> str:
        text = (ROUTING / name).read_text()
        return text[text.index("local WORDS") : text.index("  return false\nend")]

    assert "says_lumbar" in shared("orthanc.lua")
    assert shared("conquest.lua") == shared("orthanc.lua")


@pytest.mark.parametrize("script", first_of(*SCRIPTS, why="another Orthanc, asked by the same words"))
def test_orthanc_routes_the_lumbar_spine_only(script: str, tmp_path: Path) -> None:
    files, uids = [], {}
    for number, (name, told) in enumerate({**SENT, **KEPT}.items()):
        image = slice_of(number, study=f"1.2.826.0.1.77.{number}")
        image.StudyDescription = ""
        image.SpecificCharacterSet = "ISO_IR 192"
        for keyword, value in told.items():
            setattr(image, keyword, value)
        image.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
        files.append(tmp_path / f"{number}.dcm")
        uids[image.SOPInstanceUID] = name

    with StoreScp(tmp_path / "node", build_loopback_shim(tmp_path)) as node:
        routing = {
            **SCRIPTS[script],
            "StableAge": 1,
            "JobsHistorySize": 100,
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

            wait_for(is_over, lambda: f"{sorted(arrived())}\n{orthanc.log()}")

    assert arrived() == set(SENT)
