"""The first command of the README; and `osteonode analyse` writes the same results as a node."""

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from node.science.demo import SEED
from tests.patience import PATIENCE_S
from tests.peers import REPOSITORY
from tests.schemas import strict
from tests.tracing import Traced, foreign_calls, traced

pytestmark = pytest.mark.slow

EXPECTED = {
    "sr.dcm", "seg_t1.dcm", "seg_t2.dcm", "text.dcm", "summary.dcm", "summary.png", "report.html",
    "overlay_t1.png", "overlay_t2.png", "findings.json",
}  # fmt: skip


def osteonode(*words: str | Path | int) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "node", *map(str, words)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def open_to_others(folder: Path) -> list[Path]:
    """Return what other users of the machine can read or enter."""
    return [path for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077]


def python(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    return done.stdout


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What the demonstration did, and the folder with its results."""

    done: Traced
    out: Path


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Demonstration:
    folder = tmp_path_factory.mktemp("demonstration")
    return Demonstration(traced(folder / "traced", "demo", "--out", folder / "demo"), folder / "demo")


def test_the_demonstration_shows_the_result_and_writes_it(demonstration: Demonstration) -> None:
    """Nothing leaves the machine meanwhile, and all that is written is in its folder, for its user only."""
    done, out = demonstration.done, demonstration.out
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.foreign
    assert not done.strays
    assert not open_to_others(out)
    assert {path.name for path in out.iterdir()} == EXPECTED
    for words in ("Osteoporosis", "Abnormal bone density", "VBQ T1w", "levels T1w"):
        assert words in done.stdout
    page = (out / "report.html").read_text()
    assert "simulated" in page.lower()
    assert "bodies in common" in page
    assert (out / "summary.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.gate("a second whole analysis, by the code that analysed the first")
def test_the_offline_command_writes_what_the_node_sent_byte_for_byte(
    demonstration: Demonstration, tmp_path: Path
) -> None:
    assert demonstration.done.returncode == 0
    assert osteonode("sample", "--out", tmp_path / "sample", "--seed", SEED).returncode == 0
    report = dcmread(demonstration.out / "sr.dcm")
    made = datetime.strptime(report.ContentDate + report.ContentTime, "%Y%m%d%H%M%S")  # noqa: DTZ007 - local
    studies, out = tmp_path / "sample" / "studies", tmp_path / "offline"
    analyse = ("analyse", studies, "--out", out, "--made", made.isoformat(), "--json")
    done = traced(tmp_path / "traced", *analyse)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.foreign
    assert not done.strays
    for folder in ("sample", "offline"):
        assert not open_to_others(tmp_path / folder)

    (study,) = json.loads(done.stdout)
    assert {result["kind"] for result in study["results"]} == {"sr", "seg", "text", "summary"}
    strict("analyse").validate([study])
    assert study["findings"] == json.loads((tmp_path / "offline" / "findings.json").read_text())
    assert [len(series["bodies"]) for series in study["findings"]["series"]] == [5, 5]
    for sent in sorted(demonstration.out.iterdir()):
        name, offline = sent.name, out / sent.name
        if sent.suffix == ".dcm":
            # The file meta information (group 2) names the writing program and is not part of the object.
            assert dcmread(sent).SOPInstanceUID == dcmread(offline).SOPInstanceUID
            assert dcmread(sent) == dcmread(offline), name
        else:
            assert sent.read_bytes() == offline.read_bytes(), name


@pytest.mark.parametrize(
    ("address", "is_foreign"),
    [
        ('AF_INET, sin_port=htons(53), sin_addr=inet_addr("10.0.0.2")', True),
        ('AF_INET6, inet_pton(AF_INET6, "2001:db8::1", &x)', True),
        ('AF_UNIX, sun_path="/run/systemd/resolve/io.systemd.Resolve"', True),
        ('AF_UNIX, sun_path="/var/run/nscd/socket"', False),
        ('AF_INET, sin_port=htons(4242), sin_addr=inet_addr("127.0.0.1")', False),
        ('AF_INET6, inet_pton(AF_INET6, "::1", &x)', False),
    ],
)
@pytest.mark.parametrize(
    "call", ["connect(3, {{sa_family={}}}, 16) = 0", "sendto(3, 0, 0, 0, {{sa_family={}}}) = 0"]
)
def test_a_call_of_another_machine_or_of_a_resolver_is_seen(
    call: str, address: str, *, is_foreign: bool
) -> None:
    assert bool(foreign_calls(f"7 {call.format(address)}")) is is_foreign


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
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert "LOADED []" in done.stdout


def test_the_listener_does_not_pay_for_the_science() -> None:
    heavy = ["SimpleITK", "sklearn", "onnxruntime", "radiomics", "highdicom", "matplotlib"]
    script = f"import sys, node.app\nprint('LOADED', sorted(set({heavy!r}) & set(sys.modules)))\n"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert "LOADED []" in done.stdout
