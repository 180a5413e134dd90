"""The first command of the README; and `osteonode analyse` writes the same results as a node."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread

from node.science.demo import SEED
from tests.peers import REPOSITORY

pytestmark = pytest.mark.slow

EXPECTED = {
    "sr.dcm", "seg_t1.dcm", "seg_t2.dcm", "text.dcm", "summary.dcm", "summary.png", "report.html",
    "overlay_t1.png", "overlay_t2.png",
}  # fmt: skip


def osteonode(*words: str | Path | int) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "node", *map(str, words)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def python(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_the_demonstration_shows_the_result_and_writes_it(tmp_path: Path) -> None:
    done = osteonode("demo", "--out", tmp_path / "demo")

    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in (tmp_path / "demo").iterdir()} == EXPECTED
    for words in ("Osteoporosis", "Abnormal bone density", "VBQ T1", "levels T1"):
        assert words in done.stdout
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "simulated" in page.lower()
    assert "bodies in common" in page
    assert (tmp_path / "demo" / "summary.png").read_bytes().startswith(b"\x89PNG")


def test_the_offline_command_writes_what_the_node_sent_byte_for_byte(tmp_path: Path) -> None:
    assert osteonode("demo", "--out", tmp_path / "demo").returncode == 0
    assert osteonode("sample", "--out", tmp_path / "sample", "--seed", SEED).returncode == 0
    done = osteonode("analyse", tmp_path / "sample" / "studies", "--out", tmp_path / "offline", "--json")
    assert done.returncode == 0, done.stdout + done.stderr

    (study,) = json.loads(done.stdout)
    assert {result["kind"] for result in study["results"]} == {"sr", "seg", "text", "summary"}
    for name in sorted(path.name for path in (tmp_path / "demo").iterdir()):
        sent, offline = (tmp_path / folder / name for folder in ("demo", "offline"))
        if sent.suffix == ".dcm":
            # The file meta information (group 2) names the writing program and is not part of the object.
            assert dcmread(sent).SOPInstanceUID == dcmread(offline).SOPInstanceUID
            assert dcmread(sent) == dcmread(offline), name
        else:
            assert sent.read_bytes() == offline.read_bytes(), name


def test_a_refusal_exits_with_3_and_says_why(tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear colleague")
    done = osteonode("analyse", letter, "--out", tmp_path / "out")
    assert done.returncode == 3
    assert "letter.txt: not a DICOM file" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_path_that_does_not_exist_is_a_fault_of_usage(tmp_path: Path) -> None:
    done = osteonode("analyse", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "nowhere does not exist" in done.stderr


@pytest.mark.parametrize("words", [["--help"], ["serve", "--help"], ["analyse", "--help"]])
def test_help_does_not_pay_for_the_science(words: list[str]) -> None:
    heavy = [
        "numpy",
        "scipy",
        "SimpleITK",
        "sklearn",
        "onnxruntime",
        "radiomics",
        "highdicom",
        "matplotlib",
        "pydicom",
        "pynetdicom",
    ]
    script = (
        "import sys\n"
        f"sys.argv = ['osteonode', *{words!r}]\n"
        "from node.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', sorted(set({heavy!r}) & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert "LOADED []" in done.stdout


def test_the_listener_does_not_pay_for_the_science() -> None:
    heavy = ["SimpleITK", "sklearn", "onnxruntime", "radiomics", "highdicom", "matplotlib"]
    script = f"import sys, node.app\nprint('LOADED', sorted(set({heavy!r}) & set(sys.modules)))\n"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert "LOADED []" in done.stdout
