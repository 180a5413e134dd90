"""The table of attributes is that of highdicom, of which only what is asked for is read."""

import json
from pathlib import Path
from unittest.mock import patch

import pytest
from highdicom import _standard_utils

from dicom_templates.objects import iod_tables
from dicom_templates.objects.iod_tables import ModuleTable, load_attribute_table, table_of

FILE = iod_tables._FILE


def test_the_table_has_the_same_content() -> None:
    _standard_utils.get_module_attribute_map.cache_clear()
    load_attribute_table()
    table = _standard_utils.get_module_attribute_map()
    assert isinstance(table, ModuleTable), "highdicom has it, and its file is written as we know it"
    assert dict(table) == json.loads(FILE.read_bytes())
    assert "no-such-module" not in table


def test_a_module_is_read_when_it_is_looked_up() -> None:
    table = table_of(FILE)
    with patch("json.loads", wraps=json.loads) as read:
        assert "patient" in table
        assert not read.called
        assert table["patient"] is table["patient"]
        assert read.call_count == 1


@pytest.mark.parametrize("indent", [None, 1, 4])
def test_a_table_that_is_written_in_another_way_is_read_whole(tmp_path: Path, indent: int | None) -> None:
    content = {"a": [{"keyword": "PatientID"}], "b": []}
    file = tmp_path / "table.json"
    file.write_text(json.dumps(content, indent=indent), encoding="utf-8")
    assert table_of(file) == content
