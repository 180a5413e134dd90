"""Compare the time of our radiomics with that of plain pyradiomics, body by body.

Run ``uv run python -m tests.benchmarks.bench_features`` on an idle machine. Both get the same prepared
images of usual size with five bodies, and the same settings. The values are equal to 1e-6, which
tests/analysis/measurement/test_radiomics.py tests. No test asserts a time.
"""

import argparse
from collections.abc import Callable
from statistics import median
from time import perf_counter, process_time

from rich.console import Console
from rich.table import Table

from analysis.domain.segmentation import CsfSample
from analysis.measurement.pyradiomics import calculate, extractor
from analysis.measurement.radiomics import prepare
from analysis.settings import FeatureSettings
from tests.analysis.synthetic_bodies import LUMBAR, csf_on, grid, labels_on, segmentation_of, textured


def main() -> None:
    """Print both times, and their ratio."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repeats", type=int, default=5)
    chosen = options.parse_args()
    settings = FeatureSettings()
    where = grid((15, 384, 384), (4.4, 0.72, 0.72))
    labels = labels_on(where)
    segmentation = segmentation_of(labels, where, csf=CsfSample(csf_on(where), 1.0))
    volume = textured(labels, where)

    images, mask = prepare(volume, segmentation, settings)
    plain = extractor(settings)
    prepared = _time(lambda: prepare(volume, segmentation, settings), chosen.repeats)
    ours = _time(lambda: calculate(plain, images, mask), chosen.repeats)
    theirs = _time(
        lambda: [
            plain.execute(image, mask, label=int(level)) for image in images.values() for level in LUMBAR
        ],
        chosen.repeats,
    )

    table = Table("", "wall, s", "CPU, s")
    table.add_row("preparing the images, in both cases", *(f"{one:.2f}" for one in prepared))
    table.add_row("plain pyradiomics, body by body", *(f"{one:.2f}" for one in theirs))
    table.add_row("analysis.measurement.pyradiomics.calculate", *(f"{one:.2f}" for one in ours))
    table.add_row(
        "ratio", *(f"{plainly / quickly:.1f}" for plainly, quickly in zip(theirs, ours, strict=True))
    )
    Console().print(table)


def _time(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the median wall and CPU time of several repeats, after one that fills caches."""
    work()
    wall, cpu = [], []
    for _ in range(repeats):
        began = perf_counter(), process_time()
        work()
        wall.append(perf_counter() - began[0])
        cpu.append(process_time() - began[1])
    return median(wall), median(cpu)


if __name__ == "__main__":
    main()
