"""Segmentation back ends that are programs of the site, run on one series in a temporary folder."""

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import SeriesInput
from analysis.domain.segmentation import Segmentation
from analysis.itk import write
from analysis.segment import Segmenter
from analysis.segment.external_mask import ExternalMask, adopt
from node.analyse.segmenters.programs import PROGRAM_OF, Program
from node.errors import PermanentError, TransientError

__all__ = ["executable_of", "program_segmenter", "version_of"]

_VERSION_LIMIT_S = 60.0
_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_CANCEL = b"cancel"
_QUOTED_CHARACTERS = 300


def program_segmenter(
    backend: str, executable: str, arguments: Sequence[str], time_limit_s: float
) -> Segmenter:
    """Return a segmenter that runs a program on each series.

    The program gets the image as NIfTI, and nothing that identifies the patient.

    Parameters
    ----------
    backend : str
        Name of the program in [segmentation] backend.
    executable : str
        Path of the program; empty for its usual name on the PATH.
    arguments : sequence of str
        Appended to the arguments of each call.
    time_limit_s : float
        Limit for all calls on one series.
    """
    program = PROGRAM_OF[backend]

    def outline(source: SeriesInput, contrast: Contrast) -> Segmentation:
        path = executable_of(program, executable)
        method = f"{program.name} {version_of(program, path)}"
        deadline = time.monotonic() + time_limit_s
        with TemporaryDirectory(prefix="osteonode-") as folder:
            image = Path(folder) / program.image.format(contrast=contrast.value)
            out = Path(folder) / "out"
            out.mkdir()
            write(image, source.volume.signal(), source.volume.grid)
            for call in program.commands(image, out, contrast):
                _run(program, [str(path), *call, *arguments], Path(folder), deadline)
            found = program.read(out)
        mask = ExternalMask(
            found.labels,
            found.grid,
            method,
            whole_vertebrae=program.whole_vertebrae,
            names_need_sacrum=True,
            transitional=found.transitional,
        )
        return adopt(mask, source.volume)

    return outline


def executable_of(program: Program, configured: str) -> Path:
    """Return the path of a program.

    Raises
    ------
    PermanentError
        If the program is not found.
    """
    found = shutil.which(configured or program.command)
    if found is None:
        where = f"at {configured}" if configured else "on the PATH"
        raise PermanentError(
            f"{program.name} was not found {where}: install it, let [segmentation] executable say where it "
            "is, or choose another backend"
        )
    return Path(found)


def version_of(program: Program, path: Path) -> str:
    """Return the version of the distribution that a console script belongs to, or "unknown".

    Two of the programs have no option for it, and importing them takes many seconds. So the interpreter in
    the first line of the script is asked for the metadata of the distribution.
    """
    try:
        head = path.read_bytes()[:512].decode("utf-8", errors="replace").splitlines()[:2]
    except OSError:
        head = []
    words = " ".join(head).replace("'''exec'", " ").removeprefix("#!").split()
    interpreter = next((word.strip("\"'") for word in words if "python" in Path(word).name), None)
    if interpreter is not None:
        ask = f"import importlib.metadata as m; print(m.version({program.name!r}))"
        with suppress(OSError, subprocess.SubprocessError):
            answer = subprocess.run(
                [interpreter, "-c", ask], capture_output=True, text=True, timeout=_VERSION_LIMIT_S, check=True
            )
            return answer.stdout.strip()
    return "unknown"


def _run(program: Program, command: list[str], folder: Path, deadline: float) -> None:
    """Run one call of a program to its end.

    Raises
    ------
    TransientError
        If it takes too long or fails: the graphics card may have been busy, so another attempt may succeed.
    """
    log = folder / "log"
    with log.open("wb") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-I", "-S", _SUPERVISOR, *command],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C in a terminal must reach this process only, which then cancels the program.
            start_new_session=True,
        )
        try:
            code = supervisor.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise TransientError(
                f"{program.name} took longer than [segmentation] time_limit_s allows; raise it, or give the "
                "program a graphics card"
            ) from None
        finally:
            # Processes that the program started can outlive it and hold memory; the supervisor kills them.
            supervisor.communicate(_CANCEL)
    if code:
        raise TransientError(f"{program.name} ended with {code}; the last that it said: {_last_words(log)}")


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    said = next((line for line in reversed(lines) if line), "nothing")
    return "".join(letter for letter in said if letter.isprintable())[:_QUOTED_CHARACTERS]
