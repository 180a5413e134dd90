"""The database of a node can be opened by another process, whether or not the node runs."""

from pathlib import Path

import pytest

from node.errors import PermanentError
from node.operate.database import open_store
from tests.node.nodes import (
    quick,
    quick_node,
    send,
    slice_of,
)

STUDY = "1.2.826.0.1.1"


def test_the_store_can_be_asked_while_the_node_runs_and_after(tmp_path: Path) -> None:
    configuration = quick(tmp_path)
    with quick_node(configuration) as node:
        send(node.port, slice_of(1))
        beside = open_store(configuration)
        assert beside.study(STUDY)
        beside.close()
    after = open_store(configuration)
    assert [study.study_uid for study in after.studies(9)] == [STUDY]
    after.close()


def test_without_a_node_there_is_nothing_to_ask(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="no node has run"):
        open_store(quick(tmp_path / "never"))
