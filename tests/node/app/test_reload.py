"""A running node takes another configuration, by SIGHUP as the process that an administrator runs."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from node.app import Node
from node.config import Configuration, Destination, Source, TlsSettings
from node.domain.study import StudyState
from node.errors import ConfigurationError
from tests.node.analyses import CLASSES
from tests.node.nodes import (
    STUDY,
    Pacs,
    quick,
    quick_node,
    running_pacs,
    send,
    slice_of,
    state_of,
)
from tests.patience import PATIENCE_S, wait_until
from tests.peers import free_port, wait_until_open

OTHER = f"{STUDY}.2"


@dataclass(frozen=True, slots=True)
class Served:
    """A process that runs `osteonode serve`."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    port: int

    def events(self, name: str) -> list[dict[str, str]]:
        """Return the lines of one kind in its log."""
        lines = (self.folder / "log").read_text().splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in events if event["event"] == name]

    def write(self, *, caller: str = "FIRST", level: str = "info", port: int = 0, more: str = "") -> None:
        """Write its configuration."""
        (self.folder / "config.toml").write_text(
            f"[node]\nport = {port or self.port}\n[web]\nport = 0\n"
            f'[log]\nformat = "json"\nlevel = "{level}"\n'
            f'[[sources]]\nae_title = "{caller}"\nnetwork = "127.0.0.0/8"\n{more}'
        )

    def reload(self, event: str, count: int = 1) -> list[dict[str, str]]:
        """Send SIGHUP; return all lines of one kind once there are new ones."""
        before = len(self.events(event))
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(self.events(event)) >= before + count)
        return self.events(event)

    def accepts(self, caller: str) -> bool:
        """Send an image, and tell whether the association was accepted."""
        try:
            return send(self.port, slice_of(1), calling=caller) == [0]
        except ConnectionRefusedError:
            return False


@contextmanager
def served(folder: Path, *, stdin: int = subprocess.DEVNULL, **settings: str) -> Iterator[Served]:
    folder.mkdir()
    command = [sys.executable, "-m", "node", "serve", "--config", str(folder / "config.toml")]
    port = free_port()
    Served.write(Served(None, folder, port), **settings)  # type: ignore[arg-type]  # not started yet
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdin=stdin, stderr=log) as process,
    ):
        try:
            wait_until_open(port)
            yield Served(process, folder, port)
            assert process.poll() in {None, 0}
        finally:
            process.kill()


def test_sighup_applies_what_is_safe_and_names_what_needs_a_restart(tmp_path: Path) -> None:
    with served(tmp_path / "node", level="warning") as node:
        assert node.accepts("FIRST")
        assert not node.accepts("SECOND")
        assert not node.events("association_requested")
        node.write(caller="SECOND", port=free_port(), more="[storage]\nretention_days = 1\n")
        (restart,) = node.reload("restart_needed")
        (applied,) = node.events("configuration_applied")
        assert applied["keys"] == "sources, storage.retention_days, log.level"
        assert restart["keys"] == "node.port"
        assert node.accepts("SECOND")
        assert not node.accepts("FIRST")
        assert node.events("association_requested"), "the log level is the new one"


def test_a_faulty_file_changes_nothing_and_is_logged_with_its_faults(tmp_path: Path) -> None:
    with served(tmp_path / "node") as node:
        node.write(caller="SECOND", more="[storage]\nretention_day = 1\nwatermark_mb = -1\n")
        faults = node.reload("configuration_faulty", 2)
        assert [fault["reason"].split(":")[1] for fault in faults] == ["13", "12"]
        assert "did you mean retention_days?" in " ".join(fault["reason"] for fault in faults)
        assert node.accepts("FIRST")
        assert not node.accepts("SECOND")
        (node.folder / "config.toml").unlink()
        assert "cannot be read" in node.reload("configuration_faulty")[-1]["reason"]
        assert node.accepts("FIRST")


def test_a_closed_terminal_ends_a_node_and_an_open_one_does_not(tmp_path: Path) -> None:
    master, terminal = pty.openpty()
    with served(tmp_path / "node", stdin=terminal) as node:
        os.close(terminal)
        node.reload("configuration_applied")
        os.close(master)
        node.process.send_signal(signal.SIGHUP)
        assert node.process.wait(PATIENCE_S) == 0


def with_destinations(node: Node, *destinations: Destination) -> Configuration:
    return replace(node.configuration, destinations=destinations)


def has_all(pacs: Pacs) -> bool:
    return len(pacs.uids) == len(CLASSES)


def delivered(node: Node, study: str) -> None:
    send(node.port, slice_of(1, study=study))
    wait_until(lambda: state_of(node, study) is StudyState.DELIVERED)


def test_results_go_to_the_destinations_in_force_when_they_are_made(tmp_path: Path) -> None:
    with running_pacs() as first, running_pacs() as second:
        one, two = (replace(to.destination, name=name) for to, name in ((first, "one"), (second, "two")))
        with quick_node(quick(tmp_path, one)) as node:
            delivered(node, STUDY)
            assert has_all(first)
            change = node.apply(with_destinations(node, two))
            assert (change.applied, change.restart) == (("destinations",), ())
            delivered(node, OTHER)
            assert has_all(first), "it got nothing more"
            assert has_all(second)
            assert "deliver-one" not in {run.name for run in node._schedule.runs()}


def test_what_waits_for_a_destination_goes_to_its_new_address_and_nothing_goes_twice(tmp_path: Path) -> None:
    with running_pacs() as pacs:
        dead = replace(pacs.destination, port=free_port())
        with quick_node(quick(tmp_path, dead)) as node:
            send(node.port, slice_of(1))
            wait_until(lambda: state_of(node) is StudyState.DELIVERING)
            node.apply(with_destinations(node, pacs.destination))
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
            node.apply(with_destinations(node, replace(pacs.destination, verify=True)))
            assert has_all(pacs)


def test_a_destination_that_cannot_be_used_changes_nothing_at_all(tmp_path: Path) -> None:
    with running_pacs() as pacs, quick_node(quick(tmp_path, pacs.destination)) as node:
        before = node.configuration
        no_file = replace(pacs.destination, name="other", tls=TlsSettings(ca=tmp_path / "missing.pem"))
        unusable = replace(with_destinations(node, no_file), sources=())
        with pytest.raises(ConfigurationError, match="tls of other"):
            node.apply(unusable)
        assert node.configuration is before
        delivered(node, STUDY)
        assert has_all(pacs)


def test_an_open_association_of_a_removed_source_ends_as_it_would_have(tmp_path: Path) -> None:
    from tests.node.nodes import open_association

    with quick_node(quick(tmp_path)) as node:
        association = open_association(node.port, slice_of(1))
        node.apply(replace(node.configuration, sources=()))
        assert association.send_c_store(slice_of(1)).Status == 0
        association.release()
        with pytest.raises(ConnectionRefusedError):
            send(node.port, slice_of(2))


def test_a_quota_is_not_refilled_by_a_reload(tmp_path: Path) -> None:
    source = Source(network=ip_network("127.0.0.0/8"), max_instances_per_hour=2)
    with quick_node(replace(quick(tmp_path), sources=(source,))) as node:
        assert send(node.port, slice_of(1), slice_of(2)) == [0, 0]
        node.apply(replace(node.configuration, sources=(replace(source, max_associations=3),)))
        assert send(node.port, slice_of(3)) == [0xA700]
        node.apply(replace(node.configuration, sources=(replace(source, max_instances_per_hour=3),)))
        assert send(node.port, slice_of(3), slice_of(4)) == [0, 0xA700]


def swept(node: Node) -> bool:
    node._schedule.soon("retention")
    return True


def test_the_new_retention_applies_to_what_is_there(tmp_path: Path) -> None:
    with quick_node(quick(tmp_path)) as node:
        delivered(node, STUDY)
        short = timedelta(seconds=0.1) / timedelta(days=1)
        storage = replace(node.configuration.storage, retention_days=short)
        node.apply(replace(node.configuration, storage=storage))
        wait_until(lambda: swept(node) and not node.store.instances(STUDY))
