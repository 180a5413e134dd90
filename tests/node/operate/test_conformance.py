"""The conformance statement says what the code negotiates."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import node
from dicom_templates.result_kinds import DICOM_KINDS, STORAGE_CLASSES, ResultKind, SrClass
from dicom_templates.result_set import build
from node.operate.conformance import STATEMENT, tables, with_tables
from tests.dicom_templates.cases import make_case


def test_its_tables_are_those_of_the_code() -> None:
    statement = STATEMENT.read_text(encoding="utf-8")
    assert with_tables(statement) == statement, "run `uv run python -m node.operate.conformance`"


def test_a_table_that_differs_is_noticed() -> None:
    statement = STATEMENT.read_text(encoding="utf-8")
    altered = statement.replace("Enhanced SR Storage", "Enhanced XX Storage")
    assert altered != statement
    assert with_tables(altered) == statement
    with pytest.raises(ValueError, match="has the tables"):
        with_tables(statement.replace("<!-- table query-scu -->", ""))


def test_it_lists_the_classes_of_all_that_is_made() -> None:
    case = make_case(slices=4, size=32)
    made: dict[ResultKind, set[str]] = {}
    for sr_class in SrClass:
        options = replace(case.options, sr_classes=(sr_class,), kinds=DICOM_KINDS)
        for one in build(case.findings, case.sources, options).objects:
            made.setdefault(one.kind, set()).add(str(one.dataset.SOPClassUID))
    assert made == {kind: set(map(str, uids)) for kind, uids in STORAGE_CLASSES.items()}
    assert set(made) == DICOM_KINDS
    assert all(uid in tables()["storage-scu"] for uids in made.values() for uid in uids)


def test_contexts_are_made_only_where_the_statement_looks() -> None:
    room = Path(str(node.__file__)).parent
    makers = {
        path.relative_to(room).as_posix()
        for path in room.rglob("*.py")
        if re.search(r"\bbuild_context\(", path.read_text())
    }
    # The demonstration is not part of the node; `doctor` proposes the contexts that `deliver` uses.
    assert makers - {"science/demo.py", "operate/doctor/echo.py"} == {
        "dicom/contexts.py",
        "dicom/query.py",
        "dicom/commitment.py",
    }
