"""Importing a module changes nothing of the process; settings of libraries are made by entry points."""

import json
import logging
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import config

from node.analyse.worker_process import WorkerProcess
from node.science.parallel import in_processes
from tests.node.calls import reading_validation_mode
from tests.node.process_state import differences, process_state
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]


def in_a_fresh_process(*words: str) -> str:
    told = subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True, text=True)
    return told.stdout.splitlines()[-1]


def test_no_module_changes_the_process_when_it_is_imported() -> None:
    assert json.loads(in_a_fresh_process("-m", "tests.node.process_state")) == {}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        pytest.param(
            lambda patch: patch.setattr(config.settings, "_reading_validation_mode", config.RAISE),
            "pydicom.config.settings._reading_validation_mode", id="a setting of pydicom",
        ),
        pytest.param(
            lambda patch: patch.setattr("pynetdicom._config.LOG_HANDLER_LEVEL", "none"),
            "pynetdicom._config.LOG_HANDLER_LEVEL", id="a setting of pynetdicom",
        ),
        pytest.param(
            lambda patch: patch.setattr("pynetdicom.transport.AssociationSocket.send", lambda *_: None),
            "pynetdicom.transport.AssociationSocket.send", id="a method of a library",
        ),
        pytest.param(
            lambda patch: patch.setattr(logging.getLogger("pydicom"), "level", 7), "logger pydicom",
            id="the level of a logger",
        ),
        pytest.param(
            lambda patch: patch.setattr(logging.getLogger("of nobody yet"), "level", 7),
            "logger of nobody yet", id="the level of a new logger",
        ),
        pytest.param(
            lambda patch: patch.setattr(warnings, "filters", [*warnings.filters, None]), "warnings",
            id="a filter of warnings",
        ),
        pytest.param(lambda patch: patch.setenv("OMP_NUM_THREADS", "7"), "environ", id="the environment"),
        pytest.param(lambda patch: patch.chdir("/"), "cwd", id="the working directory"),
        pytest.param(lambda patch: patch.setattr(sys, "excepthook", print), "hooks", id="a hook"),
    ],
)  # fmt: skip
def test_a_change_is_seen(
    change: Callable[[pytest.MonkeyPatch], None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = process_state()
    with monkeypatch.context() as patch:
        change(patch)
        after = process_state()
    assert name in differences(before, after)


def test_a_change_of_a_signal_is_seen() -> None:
    before = process_state()
    old = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    after = process_state()
    signal.signal(signal.SIGUSR1, old)
    assert differences(before, after) == ["signals"]


READING_MODE = "from pydicom import config; print(config.settings.reading_validation_mode == config.IGNORE)"


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(
            "from node.cli import application\n"
            "from typer.testing import CliRunner\n"
            "CliRunner().invoke(application, ['studies', '--config', '/nowhere.toml'])",
            id="a command",
        ),
        pytest.param(
            "from node.app import Node\nfrom node.config import default\nNode(default())",
            id="a node",
        ),
        pytest.param("from node.science.parallel import _call\n_call(abs, 1)", id="a task of a cluster"),
    ],
)
def test_an_entry_point_makes_the_settings_that_reading_depends_on(entry: str, tmp_path: Path) -> None:
    entry = f"import os\nos.chdir({str(tmp_path)!r})\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n{entry}"
    assert in_a_fresh_process("-c", f"{entry}\n{READING_MODE}") == "True"


def test_a_worker_process_makes_them_too() -> None:
    worker = WorkerProcess("tests.node.calls:reading_validation_mode")
    try:
        assert worker.call(time_limit_s=PATIENCE_S) == config.IGNORE
    finally:
        worker.stop()
    with in_processes(2) as spread:
        assert dict(spread(reading_validation_mode, [1, 2])) == {0: config.IGNORE, 1: config.IGNORE}
