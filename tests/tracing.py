"""What a command does outside: connections, look-ups of names, and files that nobody asked for."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.patience import PATIENCE_S
from tests.peers import program

__all__ = ["Traced", "foreign_calls", "strace", "traced"]

_AT_HOME = re.compile(
    r"AF_UNIX"  # no name is looked up and nothing leaves the machine
    r'|sin_addr=inet_addr\("127\.'
    r'|inet_pton\(AF_INET6, "::1"'
    r'|inet_addr\("0\.0\.0\.0"\)|"::", '  # no address: the C library sorts what to listen on by it
    r"|AF_UNSPEC"  # dissolves a connection
    r"|AF_NETLINK"  # asks the kernel for the addresses of this machine
)
_RESOLVERS = re.compile(r'sun_path="[^"]*resolve')
"""Not that of nscd, which is asked for the names of users too."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A command that has ended.

    Attributes
    ----------
    returncode : int
        Its exit status.
    stdout, stderr : str
        What it printed.
    foreign : list of str
        Its system calls that reach for another machine or for a resolver of names.
    strays : list of Path
        Files that it left in its home, temporary and working directories.
    """

    returncode: int
    stdout: str
    stderr: str
    foreign: list[str]
    strays: list[Path]


def foreign_calls(log: str) -> list[str]:
    """Return the system calls in a log of strace that reach for another machine or a resolver of names."""
    calls = [line for line in log.splitlines() if re.search(r"\b(connect|sendto|sendmsg|sendmmsg)\(", line)]
    return [
        line
        for line in calls
        if ("sa_family" in line and not _AT_HOME.search(line)) or _RESOLVERS.search(line)
    ]


def strace(log: Path, *options: str) -> list[str]:
    """Return the command that runs another one, with all its processes, and writes its calls to a file."""
    return [
        str(program("strace", "strace")), *options, "--seccomp-bpf", "-f", "-qq",
        "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(log),
    ]  # fmt: skip


def traced(folder: Path, *words: str | Path | int) -> Traced:
    """Run a command of osteonode under strace, with all its processes, in empty directories of its own."""
    places = {name: folder / name for name in ("home", "temporary", "working")}
    for place in places.values():
        place.mkdir(parents=True)
    log = folder / "strace.log"
    command = [*strace(log), sys.executable, "-m", "node", *words]
    done = subprocess.run(
        [str(word) for word in command],
        cwd=places["working"],
        env=os.environ | {"HOME": str(places["home"]), "TMPDIR": str(places["temporary"])},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    strays = [path for place in places.values() for path in place.rglob("*")]
    return Traced(done.returncode, done.stdout, done.stderr, foreign_calls(log.read_text()), strays)
