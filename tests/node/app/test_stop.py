"""SIGTERM ends a node within `stop_s`, whatever its peers do."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import count
from pathlib import Path

from node.config import load
from node.operate.database import open_store
from tests.node.wire import request_association, store_pdu, wire_to
from tests.patience import PATIENCE_S, wait_until
from tests.peers import free_port, wait_until_open

STOP_S = 6.0
IDLE_S = 6 * PATIENCE_S
"""A node that waited for its peers would wait for as long."""


@contextmanager
def serving(folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    port = free_port()
    folder.mkdir()
    (folder / "config.toml").write_text(
        f"[node]\nport = {port}\nstop_s = {STOP_S}\nidle_timeout_s = {IDLE_S}\n[assembly]\nquiet_s = 600\n"
        '[[sources]]\nae_title = "*"\nnetwork = "127.0.0.0/8"\n'
    )
    command = [sys.executable, "-m", "node", "serve"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, cwd=folder, stderr=log) as process:
        try:
            wait_until_open(port)
            yield process, port
        finally:
            process.kill()


def sending(port: int, stop: threading.Event, stored: list[str], number: int) -> None:
    """Send images over one association after the other; note what the node said it has stored."""
    study, images = f"1.2.826.0.1.{number}", count()
    while not stop.is_set():
        with suppress(OSError, AssertionError), wire_to(port) as wire:
            request_association(wire)
            while not stop.is_set():
                image = next(images)
                wire.send(store_pdu(study, image))
                if wire.status() != 0:
                    break
                stored.append(f"{study}.1.{image}")


def test_a_node_under_load_ends_in_time_and_has_all_that_it_acknowledged(tmp_path: Path) -> None:
    stop = threading.Event()
    stored: list[str] = []
    with serving(tmp_path / "node") as (process, port), ExitStack() as stack:
        threads = [threading.Thread(target=sending, args=(port, stop, stored, n)) for n in range(4)]
        for thread in threads:
            thread.start()
        # Peers that do nothing, with and without an association.
        for _ in range(3):
            request_association(stack.enter_context(wire_to(port)))
        stack.enter_context(wire_to(port))
        wait_until(lambda: len(stored) >= 40)
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
        stop.set()
        for thread in threads:
            thread.join()
    assert process.returncode == 0
    with closing(open_store(load(tmp_path / "node" / "config.toml"))) as store:
        kept = {instance.sop_uid for instance in store.all_instances()}
    assert set(stored) <= kept
