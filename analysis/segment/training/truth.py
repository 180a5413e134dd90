"""Convert the public label maps to the classes of the network.

Neither source labels everything. BackSpine labels L1 to L5 and S1 on one T1 slice per patient. SPIDER labels
vertebrae (with their posterior elements), discs and the canal on T2 SPACE, but not the sacrum. Structures
that a source does not label are marked `IGNORE`, so that the loss does not penalise finding them.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

__all__ = [
    "BACKSPINE",
    "IGNORE",
    "SIMULATED",
    "SPIDER",
    "Case",
    "backspine_truth",
    "read_cases",
    "spider_truth",
]

Labels = npt.NDArray[np.uint8]
Vector = npt.NDArray[np.float64]

BACKGROUND, BODY, SACRUM, DISC, CANAL, POSTERIOR = range(6)
IGNORE = 255
BACKSPINE, SPIDER, SIMULATED = 0, 1, 2

BACKSPINE_MM = 0.57
SPIDER_MM = 0.55
"""Pixel sizes from the README of the data; neither source gives them slice by slice."""

_SPIDER_VERTEBRA, _SPIDER_DISC, _SPIDER_CANAL = 1, 2, 3
_HOLD_OUT_EVERY = 5


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """The slices of one patient with their labels.

    Attributes
    ----------
    patient : str
        Identifier of the patient, by which the data are split.
    source : int
        BACKSPINE or SPIDER, which label different classes.
    held_out : bool
        Whether the patient is held out from training.
    pixel_mm : float
        Pixel size.
    images, labels : ndarray of uint8, shape (slices, rows, columns)
        Grey values, and classes or `IGNORE`; rows run to the feet, columns to the back.
    levels : ndarray of uint8, shape (slices, rows, columns)
        L1 to L5 as 1 to 5 and S1 as 6; all 0 for a source without levels.
    """

    patient: str
    source: int
    held_out: bool
    pixel_mm: float
    images: Labels
    labels: Labels
    levels: Labels


def read_cases(folder: Path, *, only_held_out: bool = False) -> Iterator[Case]:
    """Yield the BackSpine and SPIDER patients of a folder with `index.csv`."""
    slices: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    with (folder / "index.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            slices[row["set"], row["patient"]].append(row)
    spider_patients = sorted({patient for source, patient in slices if source != "backspine"})
    for (source, patient), rows in sorted(slices.items()):
        rows.sort(key=lambda row: [int(part) for part in row["name"].split("_") if part.isdigit()])
        if source == "backspine":
            held_out = any(row["split"] == "test" for row in rows)
        else:
            held_out = spider_patients.index(patient) % _HOLD_OUT_EVERY == 0
        if only_held_out and not held_out:
            continue
        images = _stack(folder / source / "images", rows, ".jpg")
        truth = _stack(folder / source / "labels", rows, ".png")
        if source == "backspine":
            labels = np.stack([backspine_truth(one) for one in truth])
            yield Case(patient, BACKSPINE, held_out, BACKSPINE_MM, images, labels, truth)
        else:
            labels = spider_truth(truth)
            yield Case(patient, SPIDER, held_out, SPIDER_MM, images, labels, np.zeros_like(truth))


def _stack(folder: Path, rows: list[dict[str, str]], suffix: str) -> Labels:
    return np.stack([np.asarray(Image.open(folder / (row["name"] + suffix)).convert("L")) for row in rows])


def backspine_truth(levels: Labels) -> Labels:
    """Convert L1 to L5 and S1 to BODY and SACRUM, and ignore the spine above the topmost body.

    Parameters
    ----------
    levels : ndarray of uint8, shape (rows, columns)
        1 to 5 for L1 to L5, 6 for S1.

    Returns
    -------
    ndarray of uint8, shape (rows, columns)
        Classes; BACKGROUND includes disc, canal and posterior elements.
    """
    labels = np.where(levels == 6, SACRUM, np.where(levels > 0, BODY, BACKGROUND)).astype(np.uint8)
    present = [level for level in range(1, 7) if (levels == level).any()]
    centres = [_centre(levels == level) for level in present]
    apart = [float(np.hypot(*(below - above))) * BACKSPINE_MM for above, below in pairwise(centres)]
    if len(present) < 2 or max(apart) > 60:
        # In a few slices a visible body is not labelled; they would teach the network to miss it.
        return np.full_like(labels, IGNORE)
    first, second = centres[:2]
    up = (first - second) / np.linalg.norm(first - second)
    row, column = np.indices(levels.shape)
    along = (row - first[0]) * up[0] + (column - first[1]) * up[1]
    across = (row - first[0]) * -up[1] + (column - first[1]) * up[0]
    half_height = along[levels == present[0]].max()
    # The unlabelled spine may curve away from the line, so the band widens upwards.
    band = (35 + 0.35 * along * BACKSPINE_MM) / BACKSPINE_MM
    labels[(along > half_height + 1) & (np.abs(across) < band)] = IGNORE
    return labels


def _centre(mask: npt.NDArray[np.bool_]) -> Vector:
    return np.asarray(np.argwhere(mask).mean(axis=0))


def spider_truth(stack: Labels) -> Labels:
    """Separate bodies from posterior elements, and ignore the sacrum, which SPIDER does not label.

    Parameters
    ----------
    stack : ndarray of uint8, shape (slices, rows, columns)
        1 vertebra, 2 disc, 3 canal, on adjacent sagittal slices of one patient.

    Returns
    -------
    ndarray of uint8, shape (slices, rows, columns)
        Classes of the network.
    """
    labels = np.zeros_like(stack)
    labels[stack == _SPIDER_DISC] = DISC
    labels[stack == _SPIDER_CANAL] = CANAL
    backs = _disc_backs(stack)
    for number, truth in enumerate(stack):
        vertebra = truth == _SPIDER_VERTEBRA
        labels[number][vertebra] = POSTERIOR
        labels[number][_anterior_part(vertebra, backs[:, number])] = BODY
    ends = _last_discs(stack)
    for number in range(len(stack)):
        below = _below(stack.shape[1:], *ends[number]) & (stack[number] == 0)
        labels[number][below] = IGNORE
    return labels


def _disc_backs(stack: Labels) -> Vector:
    """Return the posterior edge (row, column) of every disc on every slice, of shape (discs, slices, 2).

    A slice that does not show a disc gets its edge from the nearest slice that does.
    """
    found, _ = ndimage.label(stack == _SPIDER_DISC, structure=np.ones((3, 3, 3)))
    discs = []
    for index, box in enumerate(ndimage.find_objects(found), start=1):
        own = found[box] == index
        areas = own.sum(axis=(1, 2))
        shown = np.flatnonzero(areas > 150)  # 45 mm²: less is the rim of a disc
        if len(shown) == 0:
            continue
        corner = np.array([box[1].start, box[2].start])
        edges = np.stack([_back_edge(own[number]) + corner for number in shown])
        at = shown + box[0].start
        slices = np.arange(len(stack))
        discs.append(np.stack([np.interp(slices, at, edges[:, axis]) for axis in range(2)], axis=1))
    discs.sort(key=lambda edge: float(edge[:, 0].mean()))
    return np.stack(discs)


def _back_edge(disc: npt.NDArray[np.bool_]) -> Vector:
    points = np.argwhere(disc).astype(float)
    centre = points.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov((points - centre).T))
    backwards = vectors[:, 1] * (np.sign(vectors[1, 1]) or 1.0)
    reach = (points - centre) @ backwards
    return np.asarray(points[reach >= np.percentile(reach, 94)].mean(axis=0))


def _behind(points: Vector, backs: Vector) -> Vector:
    """Return how far points (row, column) lie behind the line through the posterior disc edges, in pixels."""
    first, last = backs[0] - backs[1], backs[-1] - backs[-2]
    wall = np.vstack([backs[0] + 4 * first, backs, backs[-1] + 4 * last])
    nearest = np.full(len(points), np.inf)
    behind = np.zeros(len(points))
    for start, end in pairwise(wall):
        step = end - start
        length = float(np.hypot(*step))
        along = np.clip((points - start) @ step / length**2, 0, 1)
        apart = points - start - along[:, None] * step
        distance = np.hypot(apart[:, 0], apart[:, 1])
        side = (points - start) @ np.array([-step[1], step[0]]) / length
        closer = distance < nearest
        nearest[closer] = distance[closer]
        behind[closer] = (np.sign(side) * distance)[closer]
    return behind


def _anterior_part(vertebra: npt.NDArray[np.bool_], backs: Vector) -> npt.NDArray[np.bool_]:
    """Mask the bodies of one slice.

    A piece that reaches far behind the posterior wall (a pedicle connects it) is cut at the wall; any other
    piece is a body if most of it lies in front of the wall.
    """
    behind = np.zeros(vertebra.shape)
    behind[vertebra] = _behind(np.argwhere(vertebra).astype(float), backs)
    bodies = np.zeros_like(vertebra)
    found, count = ndimage.label(vertebra)
    for index in range(1, count + 1):
        piece = found == index
        depth = behind[piece]
        if (depth > 10).any():  # 5.5 mm: a pedicle is attached
            core = ndimage.binary_opening(piece & (behind < -2), iterations=3)
            bodies |= ndimage.binary_dilation(core, iterations=4) & piece & (behind < 0)
        elif np.mean(depth < 0) > 0.5:
            bodies |= piece
    kept, count = ndimage.label(bodies)
    sizes = ndimage.sum_labels(bodies, kept, np.arange(1, count + 1))
    return np.isin(kept, 1 + np.flatnonzero(sizes > 200))  # 60 mm²


def _last_discs(stack: Labels) -> list[tuple[Vector, Vector, float]]:
    """Return centre, caudal normal and half thickness of the lowest disc for every slice."""
    own = [_last_disc(truth) for truth in stack]
    known = [disc for disc in own if disc is not None]
    centre = np.median([disc[0] for disc in known], axis=0)
    normal = np.median([disc[1] for disc in known], axis=0)
    typical = (centre, normal / np.linalg.norm(normal), float(np.median([disc[2] for disc in known])))
    return [disc if disc is not None and np.hypot(*(disc[0] - centre)) < 25 else typical for disc in own]


def _last_disc(truth: Labels) -> tuple[Vector, Vector, float] | None:
    found, count = ndimage.label(truth == _SPIDER_DISC)
    discs = [np.argwhere(found == index) for index in range(1, count + 1)]
    discs = [points for points in discs if len(points) > 150]
    if not discs:
        return None
    points = max(discs, key=lambda one: one[:, 0].mean())
    centre = points.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov((points - centre).T))
    normal = vectors[:, 0] * (np.sign(vectors[0, 0]) or 1.0)
    return centre, normal, float(np.percentile((points - centre) @ normal, 95))


def _below(shape: tuple[int, ...], centre: Vector, normal: Vector, half: float) -> npt.NDArray[np.bool_]:
    row, column = np.indices(shape)
    down = (row - centre[0]) * normal[0] + (column - centre[1]) * normal[1]
    across = (row - centre[0]) * -normal[1] + (column - centre[1]) * normal[0]
    reach = 1 / SPIDER_MM
    return np.asarray((down > half) & (down < 75 * reach) & (np.abs(across) < 45 * reach))
