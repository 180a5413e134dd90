"""Time and memory of the embedded segmenter and of a plain 3-D SimpleITK pipeline, on the same series.

Run ``uv run python -m tests.benchmarks.bench_segment`` on an idle machine. Each runs in a fresh process
limited to two cores; on a busy machine only the ratios within one run are meaningful. The plain pipeline uses
no anatomy: it resamples, smooths, applies Otsu's threshold, and separates regions by distance transform and
watershed. Its regions are not vertebrae; only its cost is compared. ``--profile`` shows where the segmenter
spends its time. No test asserts a time.
"""

import argparse
import cProfile
import os
import pstats
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import numpy as np
from rich.console import Console
from rich.table import Table

from analysis.domain.volume import Grid, Volume

CORES = 2
SECONDS, MEGABYTES = 5.0, 1500.0
"""Limits for 20 slices of 512 × 512 on two cores."""

USUAL_SLICES = 20

STAGES = {
    "reorienting and resampling the volume": "of",
    "finding the spine's columns": "spine_columns",
    "network, all of it": "probabilities",
    "network, onnxruntime": "run",
    "network, softmax": "softmax",
    "bodies from probabilities": "_anatomy",
    "outline on native voxels": "_native_labels",
    "quality and regions": "regions_of",
    "cerebrospinal fluid": "sample_csf",
    "interpolating back to native voxels": "to_native",
}
"""Functions of the segmenter by step; some include others."""


def main() -> None:
    """Print times, memory and ratios."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--slices", type=int, default=20)
    options.add_argument("--matrix", type=int, default=512)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--profile", action="store_true", help="show where the segmenter's time goes")
    options.add_argument("--run", choices=[*RUNNERS, "profile"], help=argparse.SUPPRESS)
    options.add_argument("--series", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.run == "profile":
        _profile(_read(chosen.series))
    elif chosen.run:
        _measure(RUNNERS[chosen.run], _read(chosen.series), chosen.repeats)
    else:
        _compare(chosen)


def _compare(chosen: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        series = Path(folder) / "series.npz"
        _write(series, chosen.slices, chosen.matrix)
        ours, plain = (_in_its_own_process(name, series, chosen.repeats) for name in RUNNERS)
        table = Table("", "wall, s", "CPU, s", "first call, s", "peak memory, MB")
        for name, row in (("embedded segmenter", ours), ("plain SimpleITK", plain)):
            table.add_row(name, *(f"{one:.2f}" for one in row[:3]), f"{row[3]:.0f}")
        table.add_row("ratio", *(f"{one / other:.1f}" for one, other in zip(ours, plain, strict=True)))
        table.add_row("asked for", f"{SECONDS:.0f}", "", "", f"{MEGABYTES:.0f}")
        console = Console()
        console.print(f"{chosen.slices} slices of {chosen.matrix} x {chosen.matrix}, {CORES} cores")
        console.print(table)
        console.print(f"weights: {_weights_mb():.1f} MB (20 MB are allowed)")
        if chosen.profile:
            command = [sys.executable, "-m", __spec__.name, "--run", "profile", "--series", str(series)]
            subprocess.run(command, check=True)


def _write(path: Path, slices: int, matrix: int) -> None:
    """Simulate a T2 series with a given number of slices and pixels."""
    from analysis.phantom import SCANNERS, cohort, simulate

    (patient,), scanner = cohort(1, seed=2026), SCANNERS[0]
    # More slices are thinner ones: no patient is as wide as 60 slices of an ordinary protocol.
    thinner = min(1.0, USUAL_SLICES / slices)
    pixels = replace(
        scanner.t2,
        slices=slices,
        matrix=matrix,
        thickness_mm=scanner.t2.thickness_mm * thinner,
        spacing_mm=scanner.t2.spacing_mm * thinner,
    )
    volume = simulate(patient, scanner, pixels, np.random.default_rng(1)).volume
    grid = volume.grid
    np.savez(path, voxels=volume.voxels, spacing_mm=grid.spacing_mm, origin_mm=grid.origin_mm, axes=grid.axes)


def _read(path: Path) -> Volume:
    stored = np.load(path)
    voxels = stored["voxels"]
    slices, rows, columns = voxels.shape
    grid = Grid(
        (slices, rows, columns), tuple(stored["spacing_mm"]), tuple(stored["origin_mm"]), stored["axes"]
    )
    return Volume(voxels, grid)


def _in_its_own_process(name: str, series: Path, repeats: int) -> tuple[float, ...]:
    words = ["--run", name, "--series", str(series), "--repeats", str(repeats)]
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name, *words], check=True, capture_output=True, text=True
    )
    return tuple(float(word) for word in done.stdout.split())


def _measure(make: Callable[[], Callable[[Volume], object]], volume: Volume, repeats: int) -> None:
    """Print median wall and CPU seconds, those of the first call with loading, and the peak memory."""
    _hold_to_cores()
    began = perf_counter()
    work = make()
    work(volume)
    first = perf_counter() - began
    wall, cpu = [], []
    for _ in range(repeats):
        start = perf_counter(), process_time()
        work(volume)
        wall.append(perf_counter() - start[0])
        cpu.append(process_time() - start[1])
    sys.stdout.write(f"{median(wall)} {median(cpu)} {first} {_peak_mb()}\n")


def _hold_to_cores() -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])


def _peak_mb() -> float:
    """Return the peak resident memory. Not `ru_maxrss`, which a child process inherits from its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1000


def _weights_mb() -> float:
    import analysis

    weights = Path(analysis.__file__).parent / "models" / "segmenter" / "segmenter.onnx"
    return weights.stat().st_size / 1e6


def _embedded() -> Callable[[Volume], object]:
    from analysis.segment import segment

    return segment


def _plain() -> Callable[[Volume], object]:
    import SimpleITK

    from analysis.itk import to_image

    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(CORES)

    def segment(volume: Volume) -> object:
        image = to_image(volume.voxels, volume.grid)
        size = [round(n * s) for n, s in zip(image.GetSize(), image.GetSpacing(), strict=True)]
        even = SimpleITK.Resample(
            image, size, SimpleITK.Transform(), SimpleITK.sitkLinear, image.GetOrigin(), (1.0, 1.0, 1.0),
            image.GetDirection(),
        )  # fmt: skip
        smooth = SimpleITK.CurvatureAnisotropicDiffusion(even, timeStep=0.06, numberOfIterations=5)
        bright = SimpleITK.BinaryMorphologicalOpening(SimpleITK.OtsuThreshold(smooth, 0, 1), (2, 2, 2))
        parts = SimpleITK.RelabelComponent(SimpleITK.ConnectedComponent(bright), minimumObjectSize=500)
        depth = SimpleITK.SignedMaurerDistanceMap(parts > 0, insideIsPositive=False, squaredDistance=False)
        basins = SimpleITK.MorphologicalWatershed(depth, level=2.0, markWatershedLine=False)
        return SimpleITK.Mask(basins, parts > 0)

    return segment


RUNNERS = {"embedded": _embedded, "plain": _plain}


def _profile(volume: Volume) -> None:
    _hold_to_cores()
    work = _embedded()
    work(volume)
    # CPU time of all threads, because wall time depends on other processes.
    profile = cProfile.Profile(process_time)
    profile.runcall(work, volume)
    timed = {
        (Path(path).parts[-3:-1], name): spent
        for (path, _, name), (*_, spent, _callers) in pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
    }
    total = next(spent for (_, name), spent in timed.items() if name == "segment_with")
    table = Table("stage (some lie within others)", "CPU, s", "share")
    for words, function in STAGES.items():
        where = "onnxruntime" if function == "run" else "segment"
        spent = sum(one for (parts, name), one in timed.items() if name == function and where in parts)
        table.add_row(words, f"{spent:.2f}", f"{100 * spent / total:.0f} %")
    table.add_row("all", f"{total:.2f}", "")
    Console().print(table)


if __name__ == "__main__":
    main()
