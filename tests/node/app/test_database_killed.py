"""PostgreSQL is killed under load and started again: nothing that was acknowledged is lost."""

import signal
import threading
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from node.config import StoreSettings
from node.domain.study import StudyState
from node.store.staging import read_certified
from tests.node.nodes import quick, quick_node, running_pacs, send, slice_of, state_of
from tests.patience import wait_until
from tests.postgres import running_postgres

STUDIES = [f"1.2.826.0.8.{number}" for number in range(4)]


class Load:
    """Senders of one image after the other, each of a study of its own, and what was acknowledged to them."""

    def __init__(self, port: int) -> None:
        self.acknowledged: dict[str, list[int]] = {study: [] for study in STUDIES}
        self.statuses: set[int] = set()
        self._port = port
        self._stopping = threading.Event()
        self._senders = [threading.Thread(target=self._send, args=(study,)) for study in STUDIES]
        for sender in self._senders:
            sender.start()

    def _send(self, study: str) -> None:
        for number in count():
            if self._stopping.is_set():
                return
            with suppress(ConnectionError, RuntimeError):
                (status,) = send(self._port, slice_of(number, study=study))
                self.statuses.add(status)
                if status == 0:
                    self.acknowledged[study].append(number)

    def go_on(self, more: int) -> None:
        """Wait until so many more are acknowledged."""
        before = sum(map(len, self.acknowledged.values()))
        wait_until(lambda: sum(map(len, self.acknowledged.values())) > before + more)

    def stop(self) -> None:
        """Wait until all senders have ended."""
        self._stopping.set()
        for sender in self._senders:
            sender.join()


@pytest.mark.peers
@pytest.mark.nightly
def test_nothing_acknowledged_is_lost_when_the_database_is_killed(tmp_path: Path) -> None:
    with running_postgres() as server, running_pacs() as pacs:
        settings = replace(quick(tmp_path, pacs.destination), store=StoreSettings(url=server.new_database()))
        with quick_node(settings) as node:
            load = Load(node.port)
            try:
                for _ in range(3):
                    load.go_on(40)
                    server.kill(signal.SIGKILL)
                    server.start()
                load.go_on(40)
            finally:
                load.stop()
            for study, numbers in load.acknowledged.items():
                kept = {one.sop_uid: one for one in node.store.instances(study)}
                assert {f"{study}.1.{number}" for number in numbers} <= set(kept)
                assert all(read_certified(node.instance_store.path(one)) for one in kept.values())
                # Its sender says again that this is all of it.
                send(node.port, *(slice_of(number, study=study) for number in numbers))
            wait_until(lambda: all(state_of(node, one) is StudyState.DELIVERED for one in STUDIES))
        assert load.statuses == {0, 0xA700}, "it was killed under load"
