"""SIGTERM ends a node within `stop_s`, whatever its peers do."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from pynetdicom.sop_class import Verification

from node.config import load
from node.operate.database import open_store
from tests.node.nodes import open_association, slice_of
from tests.patience import application_entity
from tests.peers import free_port, wait_until_open

STOP_S = 6.0
SPARE_S = 20.0
"""For a machine that is slow: what is compared is an end by itself with the idle timeout of a minute."""


@contextmanager
def serving(folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    port = free_port()
    folder.mkdir()
    (folder / "config.toml").write_text(
        f"[node]\nport = {port}\nstop_s = {STOP_S}\n[assembly]\nquiet_s = 600\n"
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
    count = 0
    while not stop.is_set():
        with suppress(Exception):
            association = open_association(port, slice_of(0))
            while association.is_established and not stop.is_set():
                image = slice_of(count, study=f"1.2.826.0.1.{number}")
                count += 1
                if association.send_c_store(image).get("Status") == 0:
                    stored.append(str(image.SOPInstanceUID))


def test_a_node_under_load_ends_in_time_and_has_all_that_it_acknowledged(tmp_path: Path) -> None:
    stop = threading.Event()
    stored: list[str] = []
    with serving(tmp_path / "node") as (process, port), ExitStack() as stack:
        threads = [threading.Thread(target=sending, args=(port, stop, stored, n)) for n in range(4)]
        for thread in threads:
            thread.start()
        # Peers that do nothing, with and without an association.
        ae = application_entity("IDLE")
        ae.add_requested_context(Verification)
        idle = [ae.associate("127.0.0.1", port, ae_title="OSTEONODE") for _ in range(3)]
        stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        while len(stored) < 40:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_S + SPARE_S)
        stop.set()
        for thread in threads:
            thread.join()
        for association in idle:
            association.abort()
    assert process.returncode == 0
    with closing(open_store(load(tmp_path / "node" / "config.toml"))) as store:
        kept = {instance.sop_uid for instance in store.all_instances()}
    assert set(stored) <= kept
