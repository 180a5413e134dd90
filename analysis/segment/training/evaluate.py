"""Evaluate the shipped segmenter on patients that were not used in training.

Run as ``python -m analysis.segment.training.evaluate DATA [--pictures FOLDER]`` on a checkout; it needs
neither torch nor a GPU. Every case passes through the same steps as in the node.

* BackSpine, test split: one T1 slice per patient, labelled L1 to L5 and S1.
* BackSpine again, cut off above the sacrum: the levels cannot be known, so the segmenter must not be certain.
* SPIDER, every fifth patient: T2 SPACE in 3-D around the midline, bodies without levels.
* Chu et al.: T2 TSE in 3-D over the whole width, labelled T11 to L5; never used in training. Again with
  inverted brightness, and again in slices of 4 mm.
* Simulated patients that were not used in training, T1 and T2: the only T1 labels over the whole width.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK
from PIL import Image
from scipy import ndimage

from analysis.domain.segmentation import Level, Segmentation
from analysis.domain.volume import Grid, Volume
from analysis.phantom import SCANNERS, draw_anatomy, draw_patient, simulate, vary
from analysis.segment.embedded import segment_with
from analysis.segment.network import embedded_network, load_network
from analysis.segment.training.truth import BODY, SPIDER, read_cases

__all__ = ["Example", "Score", "examples", "score", "table"]

Labels = npt.NDArray[np.uint8]

_SAGITTAL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
_SPIDER_SLICE_MM, _BACKSPINE_SLICE_MM = 0.9, 4.0
_CHU_LEVELS = (Level.L5, Level.L4, Level.L3, Level.L2, Level.L1, Level.T12, Level.T11)
_UNNAMED = 255
_SIMULATED, _SIMULATED_SEED = 6, 9_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A volume and its true labels.

    Attributes
    ----------
    source : str
        Data set, and how its images were changed.
    patient : str
        Identifier within the data set.
    volume : Volume
        The image.
    truth : ndarray of uint8, shape (slices, rows, columns)
        `Level` values, or 255 for bodies without a level.
    nameable : bool
        Whether the image shows the sacrum, without which levels cannot be known.
    """

    source: str
    patient: str
    volume: Volume
    truth: Labels
    nameable: bool = True


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one example.

    Attributes
    ----------
    source, patient, nameable : str, str, bool
        As in `Example`.
    dice : dict of Level to float
        Dice of each true body with the found body that covers it best; empty without true levels.
    bodies : float
        Dice of all bodies together.
    named_right : bool or None
        Whether every true lumbar level was found under its name; None without true levels.
    certain : bool
        Whether the segmenter called its levels certain.
    """

    source: str
    patient: str
    dice: dict[Level, float]
    bodies: float
    named_right: bool | None
    certain: bool
    nameable: bool


def examples(folder: Path) -> Iterator[Example]:
    """Yield all held-out cases."""
    for case in read_cases(folder, only_held_out=True):
        if case.source == SPIDER:
            truth = np.where(case.labels == BODY, _UNNAMED, 0).astype(np.uint8)
            name, slice_mm = "SPIDER T2 SPACE", _SPIDER_SLICE_MM
        else:
            truth, name, slice_mm = case.levels, "BackSpine T1", _BACKSPINE_SLICE_MM
        spacing = (slice_mm, case.pixel_mm, case.pixel_mm)
        yield Example(name, case.patient, _volume(case.images.astype(np.float32), spacing), truth)
        if case.source != SPIDER:
            end = int(np.flatnonzero((truth == Level.L4).any(axis=(0, 2)))[-1])
            cut = _volume(case.images[:, :end].astype(np.float32), spacing)
            yield Example("BackSpine T1 without sacrum", case.patient, cut, truth[:, :end], nameable=False)
    for path in sorted((folder / "chu_t2").glob("*_t2.nii.gz")):
        chu = _chu(path)
        yield chu
        yield _inverted(chu)
        yield _thick(chu)
    for number in range(_SIMULATED):
        rng = np.random.default_rng((_SIMULATED_SEED, number))
        patient, scanner = draw_patient(rng), SCANNERS[number % len(SCANNERS)]
        maps = draw_anatomy(patient)
        for protocol in (scanner.t1, scanner.t2):
            series = simulate(patient, scanner, vary(protocol, rng), rng, maps)
            source = f"simulated {protocol.contrast}"
            yield Example(source, str(number), series.volume, series.labels)


def _volume(voxels: npt.NDArray[np.float32], spacing_mm: tuple[float, float, float]) -> Volume:
    shape = (voxels.shape[0], voxels.shape[1], voxels.shape[2])
    return Volume(voxels, Grid(shape, spacing_mm, (0.0, 0.0, 0.0), _SAGITTAL))


def _chu(path: Path) -> Example:
    image = SimpleITK.ReadImage(str(path))
    truth = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path).replace("_t2.nii", "_label.nii")))
    spacing, direction = image.GetSpacing()[::-1], np.array(image.GetDirection()).reshape(3, 3).T[::-1]
    # Axis 0 of the array is SimpleITK's last; the sagittal slices lie along its first.
    order = (2, 0, 1)
    grid = Grid(
        shape=tuple(truth.shape[axis] for axis in order),
        spacing_mm=tuple(spacing[axis] for axis in order),
        origin_mm=image.GetOrigin(),
        axes=direction[list(order)],
    )
    voxels = np.ascontiguousarray(SimpleITK.GetArrayFromImage(image).transpose(order), dtype=np.float32)
    names = np.array([0, *_CHU_LEVELS], np.uint8)[truth.transpose(order)]
    return Example("Chu T2 TSE", path.name.removesuffix("_t2.nii.gz"), Volume(voxels, grid), names)


def _inverted(example: Example) -> Example:
    """Invert the brightness except in air, which gives a contrast that no training saw."""
    voxels = example.volume.voxels
    bright = float(np.percentile(voxels, 99.5))
    turned = np.where(voxels > 0.03 * bright, np.clip(bright - voxels, 0.0, bright), 0.0).astype(np.float32)
    volume = Volume(turned, example.volume.grid)
    return replace(example, source=f"{example.source} with inverted brightness", volume=volume)


def _thick(example: Example) -> Example:
    """Average slices in pairs: from 2 mm to the thickness of clinical slices."""
    voxels, grid = example.volume.voxels, example.volume.grid
    pairs = len(voxels) // 2
    thick = voxels[: 2 * pairs].reshape(pairs, 2, *grid.shape[1:]).mean(axis=1, dtype=np.float32)
    coarse = Grid(
        (pairs, *grid.shape[1:]),
        (2 * grid.spacing_mm[0], *grid.spacing_mm[1:]),
        tuple(grid.to_mm((0.5, 0.0, 0.0)).tolist()),
        grid.axes,
    )
    source = f"{example.source} in slices of 4 mm"
    return replace(
        example, source=source, volume=Volume(thick, coarse), truth=example.truth[: 2 * pairs : 2].copy()
    )


def score(example: Example, found: Segmentation) -> Score:
    """Compare a segmentation with the true labels."""
    truth = example.truth
    # S1, and bodies above the topmost labelled one, are not errors if the true labels leave them out.
    counted = found.labels.copy()
    counted[found.labels == Level.S1] = 0
    bodies = (truth > 0) & (truth != Level.S1)
    bodies &= ~_above_t11(truth, found)
    covered = [
        level
        for level in Level
        if (counted == level).any() and (bodies & (counted == level)).sum() > 0.2 * (counted == level).sum()
    ]
    dice: dict[Level, float] = {}
    right = True
    for level in Level:
        own = truth == level
        if level is Level.S1 or not own.any():
            continue
        best = int(np.bincount(found.labels[own], minlength=9)[1:].argmax()) + 1
        dice[level] = _dice(own, found.labels == best)
        if level.lumbar:
            right &= best == level and dice[level] > 0.3
    return Score(
        example.source,
        example.patient,
        dice,
        _dice(bodies, np.isin(counted, covered)),
        right if dice else None,
        found.levels_certain,
        example.nameable,
    )


def _above_t11(truth: Labels, found: Segmentation) -> npt.NDArray[np.bool_]:
    """Mask unnamed bodies above T11, which the segmenter does not outline."""
    above = np.zeros(truth.shape, np.bool_)
    if not ((truth == _UNNAMED).any() and (found.labels == Level.T11).any()):
        return above
    top = int(np.flatnonzero((found.labels == Level.T11).any(axis=(0, 2)))[0])
    parts, count = ndimage.label(truth == _UNNAMED)
    for number in range(1, count + 1):
        part = parts == number
        above |= part & (float(np.argwhere(part)[:, 1].mean()) < top)
    return above


def _dice(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    return 2.0 * float((one & other).sum()) / max(float(one.sum() + other.sum()), 1.0)


def table(scores: list[Score]) -> str:
    """Format the scores by source."""
    lines = []
    for source in dict.fromkeys(one.source for one in scores):
        own = [one for one in scores if one.source == source]
        named = [one for one in own if one.named_right is not None]
        if not own[0].nameable:
            lines.append(f"{source}: {len(own)} patients, sure of the names in {_share(own, 'certain')}")
            continue
        dice = np.mean([one.bodies for one in own])
        lines.append(f"{source}: {len(own)} patients, Dice of bodies {dice:.3f}")
        for level in Level:
            values = [one.dice[level] for one in own if level in one.dice]
            if values:
                lines.append(f"  {level.name:4} {np.mean(values):.3f}  lowest {min(values):.3f}")
        if named:
            lumbar = [min(value for level, value in one.dice.items() if level.lumbar) for one in named]
            lines.append(f"  no lumbar level below 0.80 in {np.mean(np.array(lumbar) >= 0.8):.1%}")
            lines.append(f"  levels right in {_share(named, 'named_right')}")
            wrong = [one for one in named if one.certain and not one.named_right]
            lines.append(f"  sure of the names in {_share(named, 'certain')}; sure and wrong: {len(wrong)}")
            worst = sorted(named, key=lambda one: min(one.dice.values()))[:4]
            lines.append(
                "  worst: " + ", ".join(f"{one.patient} {min(one.dice.values()):.2f}" for one in worst)
            )
    return "\n".join(lines)


def _share(scores: list[Score], what: str) -> str:
    return f"{np.mean([bool(getattr(one, what)) for one in scores]):.1%}"


def picture(example: Example, found: Segmentation) -> Image.Image:
    """Draw up to five slices side by side with found (red) and true (green) outlines and the CSF (blue)."""
    shown = np.flatnonzero((example.truth > 0).any(axis=(1, 2)))
    tiles = []
    for number in np.unique(np.linspace(shown[0], shown[-1], min(5, len(shown))).round().astype(int)):
        grey = example.volume.voxels[number]
        grey = np.clip(grey / np.percentile(example.volume.voxels, 99.5) * 255, 0, 255)
        colour = np.stack([grey] * 3, axis=-1)
        colour[_edges(example.truth[number])] = (0, 255, 0)
        colour[_edges(found.labels[number])] = (255, 0, 0)
        if found.csf is not None:
            colour[found.csf.mask[number]] = (0, 160, 255)
        tiles.append(Image.fromarray(colour.astype(np.uint8)).resize((320, 320)))
    sheet = Image.new("RGB", (320 * len(tiles), 320))
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (320 * place, 0))
    return sheet


def _edges(labels: Labels) -> npt.NDArray[np.bool_]:
    return np.asarray(ndimage.grey_dilation(labels, 3) != labels)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Score the shipped segmenter on held-out patients.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder for outlines over the images")
    parser.add_argument("--model", type=Path, help="another network than the shipped one")
    parser.add_argument("--source", default="", help="only sources whose name begins like this")
    parser.add_argument("--at-most", type=int, default=1000, help="patients per source")
    arguments = parser.parse_args()
    network = load_network(arguments.model) if arguments.model else embedded_network()
    scores: list[Score] = []
    for example in examples(arguments.data):
        seen = sum(one.source == example.source for one in scores)
        if seen >= arguments.at_most or not example.source.startswith(arguments.source):
            continue
        found = segment_with(network, example.volume)
        scores.append(score(example, found))
        if arguments.pictures:
            arguments.pictures.mkdir(parents=True, exist_ok=True)
            picture(example, found).save(arguments.pictures / f"{example.source}, {example.patient}.png")
    sys.stdout.write(table(scores) + "\n")


if __name__ == "__main__":
    main()
