"""Lateral slices, repainted from midline slices.

No source shows the sides of the vertebrae: BackSpine has one midline slice per patient, and the SPIDER slices
used here reach 10 mm to either side. A network trained on these alone mistakes psoas for a row of bodies.
Therefore real slices, with their own contrast, noise and marrow, are repainted as more lateral ones:

* through the pedicles: no canal, but foramina with fat and a nerve root, pedicles and articular pillars;
* through the edge of the bodies: bodies smaller and waisted, with muscle and fat around them;
* beside the bodies: psoas and transverse processes, and no body.

Brightness is randomised later (`augment`), so only the arrangement must be anatomically correct.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.segment.training.pack import PACKED_MM
from analysis.segment.training.truth import (
    BACKGROUND,
    BODY,
    CANAL,
    DISC,
    IGNORE,
    POSTERIOR,
    SACRUM,
)

__all__ = ["beside", "through_edge", "through_pedicles"]

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Vector = npt.NDArray[np.float64]


def _mm(length: float) -> float:
    return length / PACKED_MM


@dataclass(frozen=True, slots=True, eq=False)
class _Tissues:
    """Grey values of the tissues of one slice."""

    marrow: float
    grain: float
    muscle: float
    fat: float
    cortex: float

    @classmethod
    def of(cls, image: Floats, labels: Labels, chance: np.random.Generator) -> "_Tissues":
        values = image[labels == BODY]
        marrow = float(np.median(values))
        return cls(
            marrow=marrow,
            grain=float(values.std()) * 0.7,
            muscle=marrow * chance.uniform(0.2, 0.95),
            fat=min(255.0, marrow * chance.uniform(1.0, 2.2)),
            cortex=marrow * chance.uniform(0.08, 0.35),
        )


def _texture(shape: tuple[int, int], chance: np.random.Generator, along: float, across: float) -> Floats:
    """Return smooth noise of standard deviation 1, with fibres along the rows' direction."""
    noise = ndimage.gaussian_filter(chance.standard_normal(shape).astype(np.float32), (along, across))
    return np.asarray(noise / (noise.std() + 1e-6), dtype=np.float32)


def _muscle(shape: tuple[int, int], tissues: _Tissues, chance: np.random.Generator) -> Floats:
    fibres = _texture(shape, chance, chance.uniform(4, 16), chance.uniform(0.8, 2.0))
    fat = np.clip(_texture(shape, chance, chance.uniform(5, 20), chance.uniform(1.5, 4)) - 1.1, 0, 1)
    values = tissues.muscle * (1 + chance.uniform(0.05, 0.2) * fibres)
    return np.asarray(values + (tissues.fat - values) * fat * chance.uniform(0, 1), dtype=np.float32)


def _blend(canvas: Floats, paint: Floats | float, where: Mask | Floats, softness: float = 0.8) -> Floats:
    weight = ndimage.gaussian_filter(where.astype(np.float32), softness)
    return np.asarray(canvas * (1 - weight) + paint * weight, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Ellipse:
    """A window of the image, and the relative distance from the centre of an ellipse, 1 on its border."""

    window: tuple[slice, slice]
    far: Floats

    @classmethod
    def around(
        cls, shape: tuple[int, ...], centre: Vector, radii: tuple[float, float], angle: float
    ) -> "_Ellipse":
        reach = 1.3 * max(radii) + 3
        low = [int(max(0, at - reach)) for at in centre]
        high = [int(max(0, min(length, at + reach))) for at, length in zip(centre, shape, strict=True)]
        window = (slice(low[0], high[0]), slice(low[1], high[1]))
        row, column = np.ogrid[window]
        down, right = row - centre[0], column - centre[1]
        along = down * np.cos(angle) + right * np.sin(angle)
        across = right * np.cos(angle) - down * np.sin(angle)
        far = np.sqrt((along / radii[0]) ** 2 + (across / radii[1]) ** 2)
        return cls(window, np.asarray(far, dtype=np.float32))


def _bone(canvas: Floats, ellipse: _Ellipse, tissues: _Tissues, grain: Floats) -> None:
    """Paint a piece of bone: marrow in a dark shell."""
    window = ellipse.window
    shell = _blend(canvas[window], tissues.cortex, ellipse.far < 1.18)
    canvas[window] = _blend(shell, tissues.marrow + tissues.grain * grain[window], ellipse.far < 0.92)


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """Position, axes and size of one body, in pixels."""

    points: npt.NDArray[np.int64]
    centre: Vector
    down: Vector
    back: Vector
    height: float
    depth: float

    def at(self, down: float, back: float) -> Vector:
        """Return the point at these fractions of half the height and half the depth from the centre."""
        return self.centre + self.down * down * self.height / 2 + self.back * back * self.depth / 2


def _frames(labels: Labels) -> list[_Frame]:
    found, _ = ndimage.label(labels == BODY)
    points = [
        np.argwhere(found[box] == number) + np.array([box[0].start, box[1].start])
        for number, box in enumerate(ndimage.find_objects(found), start=1)
    ]
    points = [one for one in points if len(one) > _mm(14) ** 2]
    points.sort(key=lambda one: float(one[:, 0].mean()))
    centres = [one.mean(axis=0) for one in points]
    frames = []
    for number, (own, centre) in enumerate(zip(points, centres, strict=True)):
        above, below = centres[max(0, number - 1)], centres[min(len(centres) - 1, number + 1)]
        step = below - above if len(centres) > 1 else np.array([1.0, 0.0])
        down = step / np.linalg.norm(step)
        back = np.array([-down[1], down[0]])
        height, depth = (
            float(np.ptp(np.percentile((own - centre) @ axis, [4, 96]))) for axis in (down, back)
        )
        frames.append(_Frame(own, centre, down, back, height, depth))
    return frames


def through_pedicles(image: Labels, labels: Labels, chance: np.random.Generator) -> tuple[Labels, Labels]:
    """Repaint a midline slice as one through the pedicles of one side."""
    tissues = _Tissues.of(image.astype(np.float32), labels, chance)
    canvas, marks = image.astype(np.float32), labels.copy()
    shape = (image.shape[0], image.shape[1])
    frames = _frames(labels)
    canvas = _repaint_behind(canvas, marks, frames, tissues, chance)
    grain = _texture(shape, chance, 0.7, 0.7)
    size = chance.uniform(0.85, 1.15)
    reach = chance.uniform(0.55, 1.1)
    for frame in frames:
        tilt = float(np.arctan2(frame.down[1], frame.down[0]))
        pillar = frame.at(chance.uniform(0.5, 0.9), 1) + frame.back * _mm(19) * size
        bone = _Ellipse.around(
            shape, pillar, (_mm(15) * size, _mm(5.5) * size), tilt + chance.uniform(0, 0.5)
        )
        _bone(canvas, bone, tissues, grain)
        _mark(marks, bone, POSTERIOR)
        middle = frame.at(-0.42, 1) + frame.back * _mm(6) * reach
        bone = _Ellipse.around(shape, middle, (_mm(4.6) * size, _mm(12) * reach), tilt)
        _bone(canvas, bone, tissues, grain)
        _mark(marks, bone, POSTERIOR)
        place = frame.at(0.25, 1) + frame.back * _mm(chance.uniform(3.5, 7))
        root = _Ellipse.around(
            shape, place, (_mm(chance.uniform(1.8, 3)), _mm(chance.uniform(1.8, 3.4))), tilt
        )
        canvas[root.window] = _blend(canvas[root.window], tissues.muscle, root.far < 1)
    return canvas.clip(0, 255).astype(np.uint8), marks


def _mark(marks: Labels, ellipse: _Ellipse, label: int) -> None:
    window = marks[ellipse.window]
    window[(ellipse.far < 1) & ~np.isin(window, (BODY, DISC, SACRUM, IGNORE))] = label


def _behind(shape: tuple[int, int], frames: list[_Frame], depth_mm: float) -> Mask:
    """Mask the zone behind the posterior walls, over the height of the bodies."""
    walls = np.array([frame.at(0, 1) for frame in frames])
    row, column = np.indices(shape)
    wall = np.interp(row[:, 0], walls[:, 0], walls[:, 1])[:, None]
    half = frames[0].height / 2 + _mm(6)
    rows = (row > walls[0, 0] - half) & (row < walls[-1, 0] + half)
    return np.asarray(rows & (column > wall + 1) & (column < wall + _mm(depth_mm)))


def _repaint_behind(
    canvas: Floats,
    marks: Labels,
    frames: list[_Frame],
    tissues: _Tissues,
    chance: np.random.Generator,
    *,
    foramina: bool = True,
) -> Floats:
    """Paint muscle over the spinous processes and fat over the canal; change `marks` in place."""
    shape = (canvas.shape[0], canvas.shape[1])
    kept = np.isin(marks, (BODY, DISC, SACRUM, IGNORE))
    zone = (_behind(shape, frames, chance.uniform(38, 48)) | np.isin(marks, (CANAL, POSTERIOR))) & ~kept
    canal = (_behind(shape, frames, 15) | ndimage.binary_dilation(marks == CANAL, iterations=2)) & ~kept
    canvas = _blend(canvas, _muscle(shape, tissues, chance), zone, 1.2)
    fat = tissues.fat * (1 + 0.08 * _texture(shape, chance, 1.5, 1.5))
    if foramina:
        canvas = _blend(canvas, fat, canal & zone, 1.0)
    marks[zone] = BACKGROUND
    return canvas


def through_edge(image: Labels, labels: Labels, chance: np.random.Generator) -> tuple[Labels, Labels]:
    """Repaint a midline slice as one through the side of the bodies, where they are small and waisted.

    At half height the side of a body is concave and filled with fat and the lumbar vessels, while endplates
    and discs reach farther out. The outermost slices therefore show discs without a body between them.
    """
    if chance.random() < 0.5:
        image, labels = through_pedicles(image, labels, chance)
    tissues = _Tissues.of(image.astype(np.float32), labels, chance)
    shape = (image.shape[0], image.shape[1])
    canvas, marks = image.astype(np.float32), labels.copy()
    frames = _frames(labels)
    if (marks == CANAL).any():
        canvas = _repaint_behind(canvas, marks, frames, tissues, chance)
    cut = _Cut.draw(chance)
    inside = np.zeros(shape, np.float32)
    for number, frame in enumerate(frames):
        cut.add(inside, frame, len(frames) - 1 - number, chance)
    disc = cut.disc(labels == DISC, frames)
    column = np.isin(labels, (BODY, DISC))
    hull = ndimage.binary_dilation(column, iterations=2) & ~np.isin(labels, (SACRUM, IGNORE))
    canvas = _blend(canvas, _hollow(shape, frames, tissues, chance), hull, 1.0)
    canvas = canvas * (1 - disc) + image * chance.uniform(0.4, 1.0) * disc
    canvas = canvas * (1 - inside) + image * inside
    rim = (inside > 0.1) & (inside < 0.6)
    canvas = _blend(canvas, canvas * chance.uniform(0.3, 1.0), rim, 0.7)
    marks[column] = BACKGROUND
    marks[disc > 0.5] = DISC
    marks[inside > 0.5] = BODY
    marks[labels == SACRUM] = IGNORE
    return canvas.clip(0, 255).astype(np.uint8), marks


def _hollow(
    shape: tuple[int, int], frames: list[_Frame], tissues: _Tissues, chance: np.random.Generator
) -> Floats:
    """Paint the tissue beside the bodies: muscle, or fat with strands and a vessel at half height."""
    muscle = _muscle(shape, tissues, chance)
    if chance.random() < 0.35:
        return muscle
    strands = _texture(shape, chance, chance.uniform(0.7, 4), chance.uniform(0.7, 2))
    share = 1 / (1 + np.exp(-(strands + chance.uniform(-0.5, 2.0)) * chance.uniform(1, 3)))
    filled = np.asarray(muscle + (tissues.fat - muscle) * share, dtype=np.float32)
    for frame in frames:
        if chance.random() < 0.6:
            middle = frame.at(chance.uniform(-0.3, 0.3), chance.uniform(-0.6, 0.6))
            tilt = float(np.arctan2(frame.down[1], frame.down[0]))
            size = (_mm(chance.uniform(0.8, 1.8)), _mm(chance.uniform(2, 9)))
            vessel = _Ellipse.around(shape, middle, size, tilt)
            filled[vessel.window] = _blend(filled[vessel.window], tissues.cortex, vessel.far < 1)
    return filled


@dataclass(frozen=True, slots=True)
class _Cut:
    """A sagittal plane through bodies whose axial section is a superellipse, narrower at half height.

    Attributes
    ----------
    offset : float
        Distance of the plane from the middle, relative to half the width of the endplates.
    waist : float
        Fraction by which the width is smaller at half height.
    half_slice : float
        Half the slice thickness in the same unit as `offset`.
    growth : float
        Relative increase of the width from each body to the one below.
    """

    offset: float
    waist: float
    half_slice: float
    growth: float

    @classmethod
    def draw(cls, chance: np.random.Generator) -> "_Cut":
        return cls(
            chance.uniform(0.6, 1.2),
            chance.uniform(0.04, 0.28),
            chance.uniform(0.03, 0.12),
            chance.uniform(0, 0.05),
        )

    def add(self, inside: Floats, frame: _Frame, above_last: int, chance: np.random.Generator) -> None:
        """Add to `inside` the fraction of the slice thickness that the body fills in each pixel."""
        low, high = frame.points.min(axis=0), frame.points.max(axis=0) + 1
        box = (slice(low[0], high[0]), slice(low[1], high[1]))
        own = np.zeros(high - low, np.bool_)
        own[tuple((frame.points - low).T)] = True
        row, column = np.mgrid[box]
        down, right = row - frame.centre[0], column - frame.centre[1]
        up = (down * frame.down[0] + right * frame.down[1]) / frame.height
        front = (down * frame.back[0] + right * frame.back[1]) / frame.depth
        wide = 1 - self.growth * (above_last - 2)
        wide = wide * (1 - self.waist * np.exp(-((up / 0.3) ** 2)))
        wide = wide + 0.02 * _texture((own.shape[0], own.shape[1]), chance, 2, 2)
        offset = self.offset + chance.normal(0, 0.03)
        planes = offset + self.half_slice * np.linspace(-1, 1, 5)
        share = np.mean(
            [(2 * np.abs(front)) ** 2.5 + np.abs(plane / wide) ** 2.5 < 1 for plane in planes], axis=0
        )
        inside[box] = np.maximum(inside[box], ndimage.gaussian_filter(share, 0.6) * own)

    def disc(self, discs: Mask, frames: list[_Frame]) -> Floats:
        """Return the discs, shorter from front to back but not narrower at half height."""
        reach = 1 - min(1.0, self.offset / 1.1) ** 2.5
        depth = float(np.median([frame.depth for frame in frames]))
        loss = round(depth * (1 - reach**0.4) / 2)
        if loss > 0:
            discs = ndimage.binary_erosion(discs, np.ones((1, 3), np.bool_), iterations=loss)
        return np.asarray(ndimage.gaussian_filter(discs.astype(np.float32), 0.6), dtype=np.float32)


def beside(image: Labels, labels: Labels, chance: np.random.Generator) -> tuple[Labels, Labels]:
    """Repaint a midline slice as one beside the vertebrae: psoas, transverse processes, no body."""
    tissues = _Tissues.of(image.astype(np.float32), labels, chance)
    shape = (image.shape[0], image.shape[1])
    canvas, marks = image.astype(np.float32), labels.copy()
    frames = _frames(labels)
    canvas = _repaint_behind(canvas, marks, frames, tissues, chance, foramina=chance.random() < 0.3)
    column = ndimage.binary_closing(np.isin(labels, (BODY, DISC)), iterations=4)
    spread = chance.uniform(-4, 8)
    if spread > 0:
        column = ndimage.binary_dilation(column, iterations=int(spread))
    column &= ~np.isin(labels, (SACRUM, IGNORE))
    psoas = _muscle(shape, tissues, chance)
    # Bodies show faintly in thick slices; a voxel of which they fill less than half is not labelled.
    trace = chance.uniform(0, 0.35) * ndimage.gaussian_filter(canvas, 1.5)
    psoas = psoas * (1 - trace / (canvas + 1) * 0.5) + trace * 0.5 if chance.random() < 0.5 else psoas
    canvas = _blend(canvas, tissues.fat, ndimage.binary_dilation(column, iterations=2), 1.0)
    canvas = _blend(canvas, psoas, column, 1.2)
    marks[np.isin(labels, (BODY, DISC))] = BACKGROUND
    marks[labels == SACRUM] = IGNORE
    grain = _texture(shape, chance, 0.7, 0.7)
    size, place = chance.uniform(0.7, 1.2), chance.uniform(-0.4, 1.4)
    for frame in frames:
        centre = frame.at(-0.3, place)
        bone = _Ellipse.around(shape, centre, (_mm(4) * size, _mm(6) * size), chance.uniform(-0.6, 0.6))
        _bone(canvas, bone, tissues, grain)
        _mark(marks, bone, POSTERIOR)
    return canvas.clip(0, 255).astype(np.uint8), marks
