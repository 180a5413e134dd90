"""Installation as a user does it: the wheel, without a checkout, on every supported Python that is here."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S
from tests.peers import REPOSITORY, missing

pytestmark = pytest.mark.slow

OLDEST, *NEWER = "3.11", "3.12", "3.13"


def run(*command: str | Path, folder: Path) -> str:
    """Run a command outside the checkout, so that nothing of it can be imported by accident."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE_S,  # gigabytes are downloaded and written
        env=environment,  # each process would compile its imports anew
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def uv() -> str:
    found = shutil.which("uv")
    if found is None:
        missing("uv is not installed (pip install uv)")
    return str(found)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both distributions, and return their folder."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", folder, folder=REPOSITORY)
    return folder


def wheel_in(folder: Path) -> Path:
    (wheel,) = folder.glob("osteonode-*.whl")
    return wheel


def interpreter(version: str, folder: Path) -> Path:
    """Return an installed Python of a version; skip the test if there is none."""
    name = f"python{version}"
    found = [Path(sys.base_prefix, "bin", name), *Path.home().glob(f".pyenv/versions/{version}.*/bin/{name}")]
    for python in (*found, Path(shutil.which(name) or name)):
        try:
            run(python, "-c", "import sqlite3, ssl, venv", folder=folder)
        except (AssertionError, OSError):  # a placeholder of a version manager, or without its modules
            continue
        return python
    pytest.skip(f"no Python {version} is installed")


def try_out(scripts: Path, folder: Path) -> None:
    """Do what a new user does first."""
    assert run(scripts / "osteonode", "--version", folder=folder).startswith("OsteoNode ")
    run(scripts / "osteonode", "init", folder / "node", folder=folder)
    assert "[[sources]]" in (folder / "node" / "config.toml").read_text()
    run(scripts / "osteonode", "demo", "--out", folder / "demo", folder=folder)
    assert (folder / "demo" / "sr.dcm").exists()


def test_neither_distribution_holds_the_training(built: Path) -> None:
    (sdist,) = built.glob("osteonode-*.tar.gz")
    with tarfile.open(sdist) as source, zipfile.ZipFile(wheel_in(built)) as wheel:
        names = source.getnames(), wheel.namelist()
    for held in names:
        assert not [name for name in held if "segment/training" in name]
        assert [name for name in held if name.endswith("config.toml")]
        assert [name for name in held if name.endswith("segmenter.onnx")]


@pytest.mark.gate("installs everything from a wheelhouse; changes with packaging only")
def test_a_wheelhouse_installs_without_an_index(built: Path, tmp_path: Path) -> None:
    """The two commands of `docs/install.md` for a machine without a network, on the oldest Python."""
    python = interpreter(OLDEST, tmp_path)
    for name in ("there", "here"):
        run(python, "-m", "venv", tmp_path / name, folder=tmp_path)
    there, here = (tmp_path / name / "bin" for name in ("there", "here"))
    run(there / "pip", "wheel", "-q", "-w", "wheelhouse", wheel_in(built), folder=tmp_path)
    run(
        here / "pip",
        "install",
        "-q",
        "--no-compile",  # of all that is installed; a module is compiled when it is first used
        "--no-index",
        "--find-links",
        "wheelhouse",
        "osteonode",
        folder=tmp_path,
    )
    try_out(here, tmp_path)


@pytest.mark.gate("installs everything into another Python; changes with the dependencies only")
@pytest.mark.parametrize("version", NEWER)
def test_the_wheel_works_on_a_newer_python(version: str, built: Path, uv: str, tmp_path: Path) -> None:
    python = interpreter(version, tmp_path)
    run(uv, "venv", "-q", "--python", python, tmp_path / "here", folder=tmp_path)
    scripts = tmp_path / "here" / "bin"
    run(uv, "pip", "install", "-q", "--python", scripts / "python", wheel_in(built), folder=tmp_path)
    try_out(scripts, tmp_path)
