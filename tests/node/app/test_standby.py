"""A second node waits until the first has ended, and goes on with its work."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from node.config import load
from node.operate.database import open_store
from tests.node.nodes import send, slice_of
from tests.patience import wait_until
from tests.peers import free_port, wait_until_open


@contextmanager
def standing_by(folder: Path, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "node", "serve", "--standby"]
    with (folder / name).open("wb") as log, subprocess.Popen(command, cwd=folder, stderr=log) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_second_node_takes_over_once_the_first_was_killed(tmp_path: Path, url: str) -> None:
    port = free_port()
    (tmp_path / "config.toml").write_text(
        f'[node]\nport = {port}\n[web]\nport = 0\n[assembly]\nquiet_s = 600\n[store]\nurl = "{url}"\n'
        '[[sources]]\nae_title = "*"\nnetwork = "127.0.0.0/8"\n'
    )
    with standing_by(tmp_path, "first") as first:
        wait_until_open(port)
        with standing_by(tmp_path, "second") as second:
            wait_until(lambda: "standing_by" in (tmp_path / "second").read_text())
            assert send(port, slice_of(1)) == [0]
            first.kill()
            first.wait()
            wait_until_open(port)
            assert send(port, slice_of(2)) == [0]
            assert second.poll() is None
    with closing(open_store(load(tmp_path / "config.toml"))) as store:
        assert len(list(store.all_instances())) == 2
