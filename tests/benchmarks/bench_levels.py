"""Count how often the names of vertebral levels are certain, and how often certain and wrong.

Run ``python -m tests.benchmarks.bench_levels DATA [--all] [--patients N]``, where `DATA` is the folder with
the public images that NOTICE names. Every patient with named bodies is segmented as the node does it, whole
and changed in ways that hide or disguise the sacrum:

* cut off below, at ten places from S1 to L3;
* with each of L4, L5 and S1 darkened to 30 % and to 8 % of its signal, as metal or a tumour does;
* turned by 20 degrees either way, and mirrored front to back, as a wrong header does.

The patient at work is named on standard error; one takes ten seconds of processor time, or some minutes
where it is a volume. The exit status is 1 if any name of a lumbar body was certain and wrong. By default only
the patients that no training saw are used; with `--all`, those of the training too. Patients whose truth
leaves out a body between the lowest named one and S1 are named and not counted: which of six bodies is L5 is
not known for them.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.segmentation import Level, Segmentation
from analysis.domain.volume import Grid, Volume
from analysis.segment.embedded import segment
from analysis.segment.training.truth import BACKSPINE, read_cases
from tests.real_images import chu_case

Image = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]
Spacing = tuple[float, float, float]

_SAGITTAL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
_BACKSPINE_SLICE_MM = 4.0
_CHU_CASES = (*range(1, 9), 16)
_BODY_CUTS = {
    Level.S1: (0.7, 0.35, 0.0),
    Level.L5: (0.9, 0.7, 0.5, 0.3),
    Level.L4: (0.95, 0.5),
    Level.L3: (0.5,),
}
_S1_BELOW_L5 = {0.7: 1.0, 0.35: 0.6, 0.0: 0.2}
"""Where S1 is not outlined: heights of L5 below it that come near to these parts of S1."""
_GAP = 0.8
"""Rows between L5 and S1 of the truth, in heights of L5, that hold another body; a disc has less than 0.5."""
_COVERED = 0.2
"""Part of a found body that a true one must cover to be compared with it."""


def main() -> int:
    """Print a row for every change; return 1 if a name was certain and wrong."""
    parser = argparse.ArgumentParser(
        description="Count names of levels that are certain, and certain and wrong."
    )
    parser.add_argument("data", type=Path, help="Folder with the public images.")
    parser.add_argument("--all", action="store_true", help="Use the patients of the training too.")
    parser.add_argument("--patients", type=int, help="Use only the first patients of each source.")
    options = parser.parse_args()
    counts: Counter[tuple[str, str, str]] = Counter()
    for source, patient, image, truth, spacing in _patients(
        options.data, everybody=options.all, most=options.patients
    ):
        if _leaves_out_a_body(truth):
            sys.stdout.write(f"not counted, a body above S1 has no name: {source} {patient}\n")
            continue
        sys.stderr.write(f"{source} {patient}\n")
        for change, changed, labels in _changes(image, truth, spacing):
            found = segment(_volume(changed, spacing))
            wrong = _wrong_names(found, labels)
            counts[source, change, "n"] += 1
            counts[source, change, "certain"] += found.levels_certain
            if found.levels_certain and wrong:
                counts[source, change, "wrong"] += 1
                sys.stdout.write(f"certain and wrong: {source} {patient}, {change}: {', '.join(wrong)}\n")
    return _print(counts)


def _print(counts: Counter[tuple[str, str, str]]) -> int:
    sys.stdout.write(f"{'source':10}{'change':20}{'images':>8}{'certain':>9}{'certain and wrong':>19}\n")
    for source, change in dict.fromkeys((source, change) for source, change, _ in counts):
        n, certain, wrong = (counts[source, change, key] for key in ("n", "certain", "wrong"))
        sys.stdout.write(f"{source:10}{change:20}{n:8}{certain:9}{wrong:19}\n")
    return int(any(key[2] == "wrong" for key in counts))


def _patients(
    folder: Path,
    *,
    everybody: bool,
    most: int | None,
) -> Iterator[tuple[str, str, Image, Labels, Spacing]]:
    cases = (case for case in read_cases(folder, only_held_out=not everybody) if case.source == BACKSPINE)
    for case in islice(cases, most):
        spacing = (_BACKSPINE_SLICE_MM, case.pixel_mm, case.pixel_mm)
        yield "BackSpine", case.patient, case.images.astype(np.float32), case.levels, spacing
    for number in islice(_CHU_CASES, most):
        chu = chu_case(number)
        yield "Chu", str(number), chu.volume.voxels, chu.labels, chu.volume.grid.spacing_mm


def _changes(image: Image, truth: Labels, spacing: Spacing) -> Iterator[tuple[str, Image, Labels]]:
    yield "whole", image, truth
    for name, row in _cuts(truth):
        if row < image.shape[1] - 2:
            yield name, image[:, :row], truth[:, :row]
    for level in (Level.L4, Level.L5, Level.S1):
        body = truth == level
        if not body.any():
            continue
        region = np.stack([ndimage.distance_transform_edt(~one, sampling=spacing[1:]) <= 3 for one in body])
        for part in (0.3, 0.08):
            yield (
                f"{level.name} at {part:.0%}",
                np.where(region, image * part, image).astype(np.float32),
                truth,
            )
    for angle in (-20, 20):
        turned = (
            ndimage.rotate(one, angle, axes=(1, 2), reshape=False, order=order)
            for one, order in ((image, 1), (truth, 0))
        )
        yield f"turned by {angle}", *turned
    yield "mirrored", image[:, :, ::-1], truth[:, :, ::-1]


def _cuts(truth: Labels) -> Iterator[tuple[str, int]]:
    """Yield the rows at which the image is cut off."""
    lowest, height = _extent(truth, Level.L5)
    for level, parts in _BODY_CUTS.items():
        for part in parts:
            name = f"cut, {level.name} at {part:.0%}"
            if (truth == level).any():
                top, extent = _extent(truth, level)
                yield name, top + int(part * extent)
            elif level is Level.S1:
                yield name, lowest + height + int(_S1_BELOW_L5[part] * height)


def _leaves_out_a_body(truth: Labels) -> bool:
    """Return whether L5 and S1 of the truth are farther apart than most of a body is high."""
    if not ((truth == Level.L5).any() and (truth == Level.S1).any()):
        return False
    top, height = _extent(truth, Level.L5)
    return _extent(truth, Level.S1)[0] - (top + height) > _GAP * height


def _extent(truth: Labels, level: Level) -> tuple[int, int]:
    """Return the first row of a body and its height in rows."""
    rows = np.flatnonzero((truth == level).any(axis=(0, 2)))
    return int(rows[0]), int(rows[-1] - rows[0])


def _volume(image: Image, spacing: Spacing) -> Volume:
    shape = (image.shape[0], image.shape[1], image.shape[2])
    return Volume(np.ascontiguousarray(image), Grid(shape, spacing, (0.0, 0.0, 0.0), _SAGITTAL))


def _wrong_names(found: Segmentation, truth: Labels) -> list[str]:
    """List the bodies that bear another name than the true body under most of them, where one is lumbar."""
    wrong = []
    for region in found.regions:
        own = found.labels == region.level
        true = np.bincount(truth[own], minlength=max(Level) + 1)
        true[0] = 0
        level = Level(int(true.argmax())) if true.sum() > _COVERED * own.sum() else region.level
        if level is not region.level and (level.lumbar or region.level.lumbar):
            wrong.append(f"{level.name} as {region.level.name}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
