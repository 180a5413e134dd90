"""Purged studies lose their images and results, and keep their history."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from node.domain.study import StudyState
from node.operate.purge import purge_studies
from tests.node.nodes import (
    quick,
    quick_node,
    send,
    slice_of,
    state_of,
)
from tests.patience import wait_until

NOW = datetime(2030, 1, 1, tzinfo=UTC)
STUDY = "1.2.826.0.1.1"


def test_old_studies_are_cleared_away_and_their_history_stays(tmp_path: Path) -> None:
    configuration = quick(tmp_path)
    with quick_node(configuration) as node:
        send(node.port, slice_of(1))
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        (instance,) = node.store.instances(STUDY)
        path = node.instance_store.path(instance)
        assert purge_studies(node.store, configuration, NOW, timedelta(days=36500)) == 0
        assert path.exists()
        assert purge_studies(node.store, configuration, NOW, timedelta(days=1)) == 1
        assert not path.exists()
        assert not node.store.instances(STUDY)
        assert node.store.history(STUDY)
        assert state_of(node) is StudyState.DELIVERED
