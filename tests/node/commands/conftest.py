"""A storage for each test of a command."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.storages import Storage


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    made = Storage(tmp_path)
    yield made
    made.store.close()
