"""The table of attributes is that of highdicom, in less memory."""

import json
import pkgutil

from highdicom import _standard_utils

from dicom_templates.objects.iod_tables import load_attribute_table


def test_the_table_has_the_same_content_and_equal_entries_once() -> None:
    _standard_utils.get_module_attribute_map.cache_clear()
    load_attribute_table()
    table = _standard_utils.get_module_attribute_map()
    content = pkgutil.get_data("highdicom", "_standard/module_attribute_map.json")
    assert content is not None
    assert table == json.loads(content)
    entries = [entry for module in table.values() for entry in module]
    different = {json.dumps(entry, sort_keys=True) for entry in entries}
    assert len({id(entry) for entry in entries}) == len(different) < 0.6 * len(entries)
