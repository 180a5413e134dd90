"""Compare how fast the node receives while its status page has no viewers, some viewers, or a flood of them.

Run ``uv run python -m tests.benchmarks.bench_status_page``. Some viewers means three requests a second, more
than one Prometheus and two browsers make. The flood is eight clients that send the next request as soon as
they have a response; on a machine with few cores, the clients themselves take time from the node. Only ratios
within a round are meaningful. No test asserts a time.
"""

import argparse
import http.client
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

from rich.console import Console
from rich.table import Table

from tests.benchmarks.bench_receive import NODE, Receiver, running, send, write_files
from tests.peers import free_port

CROWDS = {"nobody": (0, 0.0), "three a second": (3, 1.0), "eight at once": (8, 0.0)}
"""Number of clients, and the pause of each between its requests in s."""


@contextmanager
def looking(port: int, viewers: int, pause_s: float, answered: list[float]) -> Iterator[None]:
    """Run clients that request the page and the metrics; their waiting times in s are added to `answered`."""
    done = threading.Event()

    def look() -> None:
        for number in count():
            began = perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/metrics" if number % 2 else "/")
            reply = connection.getresponse()
            assert reply.status == 200, reply.status
            reply.read()
            connection.close()
            answered.append(perf_counter() - began)
            if done.wait(pause_s):
                return

    threads = [threading.Thread(target=look) for _ in range(viewers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def main() -> None:
    """Print the rates of receiving and their ratios."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--number", type=int, default=400, help="objects in a round")
    options.add_argument("--associations", type=int, default=2)
    chosen = options.parse_args()
    rates: dict[str, list[float]] = {name: [] for name in CROWDS}
    answered: dict[str, list[float]] = {name: [] for name in CROWDS}
    studies = count(int(perf_counter()))
    with TemporaryDirectory() as folder:
        port, web = free_port(), free_port()
        with running(
            [sys.executable, "-c", NODE, Path(folder, "node"), str(port), str(web)], Path(folder)
        ) as node:
            assert node.stdout is not None
            assert any(line.strip() == b"up" for line in node.stdout)
            sleep(10)  # its worker processes import the analysis meanwhile
            for turn in range(chosen.rounds):
                order = list(CROWDS.items())
                for name, (viewers, pause_s) in (*order[turn % 3 :], *order[: turn % 3]):
                    with TemporaryDirectory(dir=folder) as place:
                        folders = [Path(place, str(number)) for number in range(chosen.associations)]
                        for one in folders:
                            one.mkdir()
                            write_files(one, 320, chosen.number // chosen.associations, next(studies))
                        with looking(web, viewers, pause_s, answered[name]):
                            seconds = send("dcmsend", Receiver("ours", "OSTEONODE", port), folders)
                    rates[name].append(chosen.number / seconds)
    table = Table("looking", "objects /s", "of what it is alone", "pages in all", "longest wait s")
    for name, ours in rates.items():
        ratio = median(a / b for a, b in zip(ours, rates["nobody"], strict=True))
        waits = answered[name]
        table.add_row(
            name, f"{median(ours):.0f}", f"{ratio:.2f}", str(len(waits)), f"{max(waits, default=0):.2f}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
