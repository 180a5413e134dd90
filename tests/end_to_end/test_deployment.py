"""The files in `docs/deployment`: the unit, the example with Orthanc, and that a backup can be restored."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from pydicom import dcmread

from node.cli import application
from node.config import NodeSettings, StoreSettings, load
from node.domain.study import StudyState
from node.operate.database import open_store
from tests.certificates import Authority
from tests.end_to_end.conftest import ServedNode
from tests.node.nodes import (
    Pacs,
    quick,
    quick_node,
    running_pacs,
    send,
    slice_of,
    state_of,
)
from tests.patience import PATIENCE_S, wait_until
from tests.peers import REPOSITORY, free_port, program
from tests.postgres import Postgres, running_postgres

FOLDER = REPOSITORY / "docs" / "deployment"
UNIT = FOLDER / "osteonode.service"
COMPOSE = FOLDER / "compose"
STATE, BACKUP = "/var/lib/osteonode", "/srv/backup"


def unit() -> dict[str, list[str]]:
    """Return the settings of the section [Service], each with all its values."""
    settings: dict[str, list[str]] = {}
    section = UNIT.read_text().partition("[Service]")[2].partition("\n[")[0]
    for line in section.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            settings.setdefault(name, []).append(value)
    return settings


@pytest.mark.peers
def test_the_unit_has_no_fault_and_exposes_little(tmp_path: Path) -> None:
    systemd_analyze = program("systemd-analyze", "systemd")
    text = UNIT.read_text()
    assert "/opt/osteonode/bin/osteonode " in text
    (tmp_path / UNIT.name).write_text(text.replace("/opt/osteonode/bin/osteonode ", "/bin/true "))
    for words in (["verify"], ["security", "--offline=true", "--threshold=20"]):
        command = [str(systemd_analyze), *words, str(tmp_path / UNIT.name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not done.stderr


def test_the_unit_starts_a_command_that_there_is() -> None:
    (start,) = unit()["ExecStart"]
    path, command, *options = shlex.split(start)
    assert Path(path).name == "osteonode"
    group: Any = typer.main.get_command(application)
    context = group.commands[command].make_context(command, list(options))
    given = {name: value for name, value in context.params.items() if value}
    assert given == {"config": Path("/etc/osteonode/config.toml")}, "the main node, and no other"
    (again,) = unit()["ExecReload"]
    assert shlex.split(again) == ["/bin/sh", "-c", "kill -HUP ${MAINPID}"]


def test_the_unit_gives_the_node_the_time_and_the_place_that_it_needs() -> None:
    settings = unit()
    assert float(settings["TimeoutStopSec"][0]) > 2 * NodeSettings().stop_s
    assert settings["KillMode"] == ["mixed"]
    assert settings["OOMPolicy"] == ["continue"], "else a worker without memory ends the node"
    users = (FOLDER / "osteonode.sysusers.conf").read_text().split("\n")[1].split()
    assert (users[1], users[-2]) == (settings["User"][0], f"/var/lib/{settings['StateDirectory'][0]}")
    assert users[-2] == STATE
    assert f'directory = "{STATE}"' in (FOLDER / "README.md").read_text()


def test_every_file_that_the_page_names_is_there() -> None:
    text = (FOLDER / "README.md").read_text()
    named = set(re.findall(r"docs/deployment/([\w./]+[a-z])", text))
    assert {"osteonode.service", "osteonode.sysusers.conf", "osteonode.tmpfiles.conf"} <= named
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert not [name for name in (*named, *links) if not (FOLDER / name).exists()]


def test_the_example_fits_together() -> None:
    """Not run, as images cannot be had in the tests: names, ports and networks are compared."""
    compose = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    node, orthanc = compose["services"]["osteonode"], compose["services"]["orthanc"]
    assert set(compose) == {"name", "services", "networks", "volumes"}
    for service in (node, orthanc):
        for volume in service["volumes"]:
            origin, target, *_ = volume.split(":")
            assert target.startswith("/")
            assert origin in compose["volumes"] or (COMPOSE / origin).resolve().is_file()
        assert set(service["networks"]) <= set(compose["networks"])
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert node["read_only"]
    assert node["user"] == "10001:10001"
    assert node["cap_drop"] == ["ALL"]
    context = (COMPOSE / node["build"]["context"]).resolve()
    assert context == REPOSITORY
    assert (context / node["build"]["dockerfile"]).is_file()

    settings = load(COMPOSE / "config.toml")
    there = json.loads((COMPOSE / "orthanc.json").read_text())
    (source,), (destination,) = settings.sources, settings.destinations
    (network,) = compose["networks"]["dicom"]["ipam"]["config"]
    assert source.network == ip_network(network["subnet"])
    assert source.ae_title == destination.ae_title == there["DicomAet"]
    assert (destination.host, destination.port) == ("orthanc", there["DicomPort"])
    assert there["DicomModalities"]["osteonode"] == [settings.node.ae_title, "osteonode", settings.node.port]
    assert str(settings.storage.directory) in {volume.split(":")[1] for volume in node["volumes"]}


def test_the_image_is_made_of_all_that_the_package_needs() -> None:
    lines = (FOLDER / "Containerfile").read_text().splitlines()
    copied = {
        word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1] if "=" not in word
    }
    package = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    wheel = package["tool"]["hatch"]["build"]["targets"]["wheel"]
    project = package["project"]
    needed = {*wheel["packages"], *wheel["force-include"], project["readme"], *project["license-files"]}
    assert needed <= copied
    assert "USER 10001:10001" in lines
    (health,) = [line for line in lines if line.startswith("HEALTHCHECK")]
    (start,) = [line for line in lines if line.startswith("CMD")]
    _, script, config = json.loads(health.partition("CMD ")[2])
    assert config in json.loads(start.partition("CMD ")[2])
    assert f"COPY docs/deployment/healthcheck.py {script}" in lines


def health(config: Path) -> int:
    """Return the exit status of the health check of the container."""
    command = [sys.executable, str(FOLDER / "healthcheck.py"), str(config)]
    return subprocess.run(command, check=False, capture_output=True, timeout=PATIENCE_S).returncode


@pytest.mark.parametrize("https", [False, True])
def test_the_health_check_asks_the_page_as_the_configuration_has_it(tmp_path: Path, *, https: bool) -> None:
    config = tmp_path / "config.toml"
    port, tls = free_port(), Authority(tmp_path / "keys").issue("node").settings
    text = f"[web]\nport = {port}\nhttps = {str(https).lower()}\n[node]\nport = {free_port()}\n"
    text += f'[storage]\ndirectory = "{tmp_path / "var"}"\n'
    files = ((key, getattr(tls, key)) for key in ("certificate", "key", "ca"))
    text += "[node.tls]\n" + "".join(f'{key} = "{path}"\n' for key, path in files)
    config.write_text(text)
    assert health(config) == 1
    with quick_node(load(config)):
        assert health(config) == 0
        config.write_text(text.replace(f"https = {str(https).lower()}", f"https = {str(not https).lower()}"))
        assert health(config) == 1, "it speaks the other protocol"
    config.write_text(text.replace(f"port = {port}", "port = 0"))
    assert health(config) == 0, "nothing can be asked"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


CONFINED = """
import ctypes, os, sys
os.environ["TMPDIR"] = sys.argv[1]
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)  # Linux 6.3 or later
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Applies PrivateTmp and MemoryDenyWriteExecute of the unit, as far as that goes without systemd."""

READ_ONLY = (
    'mount --bind "$0" "$0" && mount -o remount,bind,ro / && '
    'exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"'
)


def confinement(writable: Path) -> tuple[str, ...]:
    """Return a command that runs another with the restrictions of the unit; nothing if that is forbidden."""
    alone = ("unshare", "--mount", "--propagation", "private", "sh", "-c", READ_ONLY, str(writable))
    if os.geteuid() != 0 or subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        return ()
    return (*alone, sys.executable, "-c", CONFINED, str(writable))


DEPLOYED = pytest.mark.gate("analyses a study in a confined node; changes with `docs/deployment` only")


@dataclass(frozen=True, slots=True)
class Run:
    """A node that has reported a study, and the PACS that got it."""

    node: ServedNode
    pacs: Pacs
    study_uid: str
    is_confined: bool


@pytest.fixture(scope="module")
def reported(sample_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("deployed")
    under = confinement(folder)
    images = [dcmread(path) for path in sorted(sample_study.rglob("*.dcm")) if "mask" not in path.name]
    images = [image for image in images if image.Modality == "MR"]
    with running_pacs() as pacs, ServedNode(folder, "PACS", pacs.port, under=under) as node:
        assert set(send(node.port, *images)) == {0}
        wait_until(lambda: "study_sent" in node.log())
        yield Run(node, pacs, str(images[0].StudyInstanceUID), bool(under))


@pytest.mark.slow
@DEPLOYED
def test_a_node_reports_under_the_restrictions_of_the_unit(reported: Run) -> None:
    if not reported.is_confined:
        pytest.skip("needs root, and the right to mount")
    assert reported.node.process is not None
    status = Path(f"/proc/{reported.node.process.pid}/status").read_text()
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    mounts = Path(f"/proc/{reported.node.process.pid}/mountinfo").read_text().splitlines()
    (root,) = [line.split()[5] for line in mounts if line.split()[4] == "/"]
    assert root.startswith("ro")
    assert len(reported.pacs.received) == 5


def shell_of(heading: str, replaced: dict[str, str], *, block: int = 0) -> str:
    """Return a block of commands below a heading of the page, with other folders."""
    section = (FOLDER / "README.md").read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    commands = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[block]
    for there, here in replaced.items():
        assert there in commands
        commands = commands.replace(there, here)
    return str(commands)


@pytest.mark.peers
@pytest.mark.slow
@DEPLOYED
def test_what_was_backed_up_is_restored_and_nothing_is_sent_twice(reported: Run, tmp_path: Path) -> None:
    program("sqlite3", "sqlite3")
    before = reported.node
    backup, restored = tmp_path / "backup", tmp_path / "node" / "var"
    places = {STATE: str(before.directory / "var"), BACKUP: str(backup)}
    # While the node runs.
    run_shell(shell_of("Back up", {**places, "/etc/osteonode": str(before.directory)}))
    run_shell(shell_of("Restore", {STATE: str(restored), BACKUP: str(backup)}))
    sent = list(reported.pacs.uids)
    assert len(sent) == len(set(sent)) == 5

    with ServedNode(tmp_path / "node", "PACS", reported.pacs.port) as after:
        wait_until(lambda: "node_started" in after.log())
        with (
            closing(open_store(load(before.config))) as old,
            closing(open_store(load(after.config))) as new,
        ):
            there = new.study(reported.study_uid)
            assert there == old.study(reported.study_uid)
            assert there is not None
            assert there.state is StudyState.DELIVERED
            assert new.history(reported.study_uid) == old.history(reported.study_uid)
            images = new.instances(reported.study_uid)
            assert images == old.instances(reported.study_uid)
            assert len(images) > 20
        assert files_of(restored) == files_of(before.directory / "var")
        assert "delivered" in after.ask("why", reported.study_uid)
        # An image again: the node is at work, and knows that it has it.
        again = next((restored / "instances").rglob("*.dcm"))
        assert send(after.port, dcmread(again)) == [0]
        wait_until(lambda: "association_requested" in after.log())
    assert reported.pacs.uids == sent


@pytest.mark.peers
@pytest.mark.gate("changes with `docs/deployment` only")
def test_a_backup_of_postgresql_is_restored_and_nothing_is_sent_twice(
    postgres: Postgres, tmp_path: Path
) -> None:
    program("pg_dump", "postgresql-client")
    backup, first, second = tmp_path / "backup", tmp_path / "first", tmp_path / "second"
    backup.mkdir()
    old, new = postgres.new_database(), postgres.new_database()

    def dump_or_restore(url: str, block: int) -> None:
        places = {
            "postgresql://osteonode@db.example/osteonode": url.replace("+psycopg", ""),
            BACKUP: str(backup),
        }
        run_shell(shell_of("With PostgreSQL", places, block=block))

    with running_pacs() as pacs:
        configuration = replace(quick(first, pacs.destination), store=StoreSettings(old))
        with quick_node(configuration) as node:
            image = slice_of(1)
            send(node.port, image)
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
            known = node.store.study(image.StudyInstanceUID)
            history = node.store.history(image.StudyInstanceUID)
            dump_or_restore(old, block=0)
            shutil.copytree(first, second)
        sent = list(pacs.uids)
        dump_or_restore(new, block=1)
        dump_or_restore(new, block=1)  # over what is there
        with quick_node(replace(quick(second, pacs.destination), store=StoreSettings(new))) as node:
            assert node.store.study(image.StudyInstanceUID) == known
            assert node.store.history(image.StudyInstanceUID) == history
            assert send(node.port, image) == [0]
            assert len(node.store.instances(image.StudyInstanceUID)) == 1
        assert pacs.uids == sent


def files_of(directory: Path) -> dict[str, bytes]:
    """Return all images and results below a storage directory."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for name in ("instances", "results", "quarantine")
        for path in (directory / name).rglob("*")
        if path.is_file()
    }


def run_shell(commands: str) -> None:
    done = subprocess.run(
        ["sh", "-e", "-c", commands], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stderr
