"""Painting of vertebral bodies, discs, arches and the sacrum."""

import numpy as np
import numpy.typing as npt

from analysis.phantom.marrow import marrow
from analysis.phantom.patient import SimulatedPatient
from analysis.phantom.spine import Disc, Lesion, LesionKind, SimulatedBody
from analysis.phantom.tissues import Box, Floats, Mask, Tissue, TissueCanvas, smooth_noise

__all__ = ["BodyFrame", "paint_arches", "paint_bodies", "paint_discs", "paint_sacrum"]

_CORTEX_MM = 0.6
_ENDPLATE_MM = 0.9
_BORDER_MM = 0.4
"""Masks end inside the dark line of the cortex, where a reader draws the border."""
_LESION_LOOKS: dict[LesionKind, tuple[Tissue, float, float]] = {
    LesionKind.HAEMANGIOMA: (Tissue.ANGIOMA, 0.42, 0.55),
    LesionKind.FOCAL_FAT: (Tissue.MARROW, 0.15, 0.80),
    LesionKind.ISLAND: (Tissue.CORTEX, 0.06, 0.02),
    LesionKind.MODIC_1: (Tissue.OEDEMA, 0.78, 0.10),
    LesionKind.MODIC_2: (Tissue.MARROW, 0.20, 0.72),
    LesionKind.SCHMORL: (Tissue.LIGAMENT, 0.45, 0.05),
}
"""Tissue class, and proton densities of water and fat."""


class BodyFrame:
    """A box of the canvas in the coordinates of one vertebral body.

    Attributes
    ----------
    u, v, w : ndarray
        Coordinates towards the back, up and lateral from the centre of the body, in mm.
    """

    def __init__(self, box: Box, centre: tuple[float, float, float], tilt_rad: float) -> None:
        lateral, back, up = centre
        sine, cosine = np.float32(np.sin(tilt_rad)), np.float32(np.cos(tilt_rad))
        dy, dz = box.y - np.float32(back), box.z - np.float32(up)
        self.box = box
        self.u: Floats = dy * cosine + dz * sine
        self.v: Floats = dz * cosine - dy * sine
        self.w: Floats = box.x - np.float32(lateral)

    def bend(
        self, rng: np.random.Generator, canvas: TissueCanvas, by_mm: float, width_mm: float
    ) -> "BodyFrame":
        """Distort the coordinates a little by smooth noise, so that shapes look natural."""
        width = (width_mm, width_mm, width_mm)
        for name in ("u", "v", "w"):
            shift = smooth_noise(rng, self.box, canvas.resolution, width)
            setattr(self, name, getattr(self, name) + np.float32(by_mm) * shift)
        return self

    def ellipsoid(self, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Floats:
        """Return the relative radius (1 on the surface) of an ellipsoid, given along (u, v, w)."""
        parts = zip((self.u, self.v, self.w), centre, radii, strict=True)
        return np.sqrt(sum((((axis - at) / radius) ** 2 for axis, at, radius in parts), np.float32(0.0)))


def _soft_minimum(first: Floats, second: Floats, softness: float) -> Floats:
    """Return a smooth minimum, which rounds the edge between two surfaces."""
    gap = np.abs(first - second)
    return np.minimum(first, second) - softness * np.log1p(np.exp(-gap / softness))


def _body_depth(frame: BodyFrame, body: SimulatedBody) -> tuple[Floats, Floats]:
    """Return the depth of each point below the walls and below the endplates, in mm; negative outside."""
    u, v, w = frame.u, frame.v, frame.w
    half_height = body.height_mm / 2
    slope = (body.front_mm - body.back_mm) / body.depth_mm / 2
    level = np.abs(v) / half_height
    draw_in = 1.0 - body.waist * np.clip(1.0 - level**2, 0.0, 1.0)
    if body.sacral:
        draw_in = draw_in * (1.0 + 0.19 * v / half_height)
    reach = np.float32(body.depth_mm / 2)
    lip = body.lip_mm * np.exp(-np.clip(half_height - np.abs(v), 0.0, None) / 2.2)
    front = reach * draw_in + lip
    back = reach * draw_in * (1.0 - 0.05 * np.clip(1.0 - (w / 12.0) ** 2, 0.0, 1.0))
    along = np.where(u < 0, (np.abs(u) / front) ** 2.5, (np.abs(u) / back) ** 3.6)
    across = (np.abs(w) / (body.width_mm / 2 * draw_in)) ** 2.7
    walls = (1.0 - (along + across) ** np.float32(1 / 2.7)) * reach
    dish = (
        1.0 - ((u - 0.08 * body.depth_mm) / (0.46 * body.depth_mm)) ** 2 - (w / (0.45 * body.width_mm)) ** 2
    )
    plate = half_height - slope * u - body.dish_mm * np.clip(dish, 0.0, 1.0)
    return walls.astype(np.float32), (plate - np.abs(v)).astype(np.float32)


def paint_bodies(canvas: TissueCanvas, patient: SimulatedPatient, rng: np.random.Generator) -> None:
    """Paint every vertebral body with ligaments, cortex, marrow, basivertebral vein and lesions."""
    for body in patient.spine.bodies:
        reach = max(body.depth_mm, body.height_mm) * 0.78 + 6
        box = canvas.box(body.centre, (body.width_mm / 2 + 5, reach, reach))
        own_fat = float(np.clip(patient.fat_fraction + rng.normal(0.0, 0.022), 0.05, 0.9))
        if box is None:
            continue
        frame = BodyFrame(box, body.centre, body.tilt_rad).bend(rng, canvas, 0.35, 6.0)
        walls, plates = _body_depth(frame, body)
        depth = _soft_minimum(walls, plates, 0.55)
        inside = depth > 0
        beyond = -0.6 if body.sacral else -2.0
        ligament = (walls > -0.8) & (plates > beyond) & ~inside & (np.abs(frame.w) < 13)
        canvas.paint(box, ligament, Tissue.LIGAMENT, 0.14, 0.02)
        canvas.paint(box, inside, Tissue.CORTEX, 0.07, 0.02)
        inner = (walls > _CORTEX_MM) & (plates > (0.5 if body.sacral else _ENDPLATE_MM))
        water, fat = marrow(rng, canvas, box, patient, own_fat)
        canvas.paint(box, inner & inside, Tissue.MARROW, water, fat)
        if not body.sacral:
            _paint_vein(canvas, frame, body, inside, float(rng.uniform(0.2, 0.9)))
        for lesion in body.lesions:
            _paint_lesion(canvas, frame, lesion, inside & (plates > 0.6))
        canvas.label(box, depth > _BORDER_MM, body.level)


def _paint_vein(
    canvas: TissueCanvas, frame: BodyFrame, body: SimulatedBody, inside: Mask, size: float
) -> None:
    """Paint the basivertebral vein: a wedge from the middle of the posterior wall, in a sheath of fat."""
    inward = body.depth_mm / 2 - frame.u
    taper = np.clip(1.0 - inward / (13.0 * size), 0.0, 1.0)
    sheath = (
        (np.abs(frame.v) < 2.2 * taper)
        & (np.abs(frame.w) < 1.0 + 5.0 * size * taper)
        & (inward < 12)
        & inside
    )
    canvas.paint(frame.box, sheath, Tissue.VEIN, 0.42, 0.42)
    vein = sheath & (np.abs(frame.v) < 1.0 * taper) & (inward < 10)
    canvas.paint(frame.box, vein, Tissue.VEIN, 0.55, 0.12)


def _paint_lesion(canvas: TissueCanvas, frame: BodyFrame, lesion: Lesion, inside: Mask) -> None:
    tissue, water, fat = _LESION_LOOKS[lesion.kind]
    within = frame.ellipsoid(lesion.centre, lesion.radii) < 1.0
    canvas.paint(frame.box, within & inside, tissue, water, fat)


def paint_discs(canvas: TissueCanvas, patient: SimulatedPatient, rng: np.random.Generator) -> None:
    """Paint every disc thicker than it is, because the bodies are painted over it."""
    for number, disc in enumerate(patient.spine.discs):
        above, below = patient.spine.bodies[disc.above], patient.spine.bodies[disc.below]
        top = np.array(above.centre[1:]) - above.up * above.height_mm / 2
        bottom = np.array(below.centre[1:]) + below.up * below.height_mm / 2
        back, up = ((top + bottom) / 2).tolist()
        lateral = (above.centre[0] + below.centre[0]) / 2
        depth, width = (above.depth_mm + below.depth_mm) / 2, (above.width_mm + below.width_mm) / 2
        box = canvas.box((lateral, back, up), (width / 2 + 4, depth * 0.7 + 6, depth * 0.6))
        if box is None:
            continue
        frame = BodyFrame(box, (lateral, back, up), (above.tilt_rad + below.tilt_rad) / 2)
        frame.bend(rng, canvas, 0.4, 5.0)
        _paint_disc(canvas, frame, disc, first=Tissue.DISC + 3 * number, size_mm=(depth, width), rng=rng)


def _paint_disc(
    canvas: TissueCanvas,
    frame: BodyFrame,
    disc: Disc,
    *,
    first: int,
    size_mm: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    depth, width = size_mm
    u, v, w = frame.u, frame.v, frame.w
    bulge = 0.6 + disc.bulge_mm * np.exp(-((w / 11.0) ** 2))
    edge = np.where(u < 0, depth / 2 + 0.8 + 0.3 * disc.bulge_mm, depth / 2 + bulge)
    radius = ((np.abs(u) / edge) ** 2.7 + (np.abs(w) / (width / 2 + 0.8)) ** 2.7) ** np.float32(1 / 2.7)
    tall = disc.height_mm / 2 + 4.5
    whole = (radius < 1.0) & (np.abs(v) < tall)
    grain = smooth_noise(rng, frame.box, canvas.resolution, (3.0, 1.2, 3.5))
    texture = (1.0 + (0.04 + 0.03 * disc.grade) * grain).astype(np.float32)
    canvas.paint(frame.box, whole, first + 2, 0.62 * texture, 0.0)
    inner = whole & (radius < 0.86)
    canvas.paint(frame.box, inner, first + 1, 0.76 * texture, 0.0)
    core = np.sqrt(
        ((u - 0.04 * depth) / (0.29 * depth)) ** 2 + (w / (0.31 * width)) ** 2 + (v / (0.62 * tall)) ** 2
    )
    ragged = core + (0.03 + 0.05 * disc.grade) * grain
    canvas.paint(frame.box, whole & (ragged < 1.0), first, 0.86 * texture, 0.0)
    cleft = whole & (ragged < 0.92) & (np.abs(v + 0.4 * grain) < 0.55) & (1.8 < disc.grade < 3.8)
    canvas.paint(frame.box, cleft, first + 1, 0.72 * texture, 0.0)


def paint_arches(canvas: TissueCanvas, patient: SimulatedPatient, rng: np.random.Generator) -> None:
    """Paint pedicles, laminae, facet joints, transverse and spinous processes above the sacrum."""
    fat_fraction = float(np.clip(patient.fat_fraction + 0.08, 0.05, 0.93))
    for body in patient.spine.bodies:
        if body.sacral:
            continue
        lateral, back, up = body.centre
        box = canvas.box((lateral, back + 30, up - 6), (48, 42, 40))
        if box is None:
            continue
        frame = BodyFrame(box, body.centre, body.tilt_rad).bend(rng, canvas, 0.9, 7.0)
        depth = _arch_depth(frame, body, patient.spine.canal_mm, rng)
        outside_body = canvas.labels[box.where] == 0
        bone = (depth > 0) & outside_body & ((frame.u > body.depth_mm / 2 - 3) | (np.abs(frame.w) > 8))
        water, fat = marrow(rng, canvas, box, patient, fat_fraction)
        canvas.paint(box, bone, Tissue.CORTEX, 0.06, 0.02)
        canvas.paint(box, bone & (depth > 0.7), Tissue.MARROW, water, fat)


def _arch_depth(
    frame: BodyFrame, body: SimulatedBody, canal_mm: float, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Return the depth of each point inside the arch, the union of its parts, in mm; negative outside."""
    u, v, w = frame.u, frame.v, np.abs(frame.w)
    wall, height = body.depth_mm / 2, body.height_mm
    thoracic = body.name.startswith("T")
    behind = wall + canal_mm + (1.5 if thoracic else 3.0)
    pedicle_at = 11.5 if thoracic else 12.5 + 0.10 * (body.width_mm - 40)
    neck = 0.25 * height + 0.9 * np.abs(u - wall - 4.0) / 3.0
    pedicle = 1.0 - np.sqrt(((w - pedicle_at) / 4.6) ** 2 + ((v - 0.22 * height) / neck) ** 2)
    pedicle = np.where((u > wall - 4) & (u < wall + 15), pedicle * 4.6, -9.0)
    lamina_at = behind + 2.0 - 0.40 * w
    lamina = np.minimum(3.3 - np.abs(u - lamina_at - 0.10 * (v + 6)), 9.5 - np.abs(v + 0.18 * height))
    lamina = np.minimum(lamina, 16.0 - w)
    droop = 0.55 if thoracic else 0.16
    tip = behind + float(rng.normal(29.0, 2.0)) * (0.85 if thoracic or body.name == "L5" else 1.0)
    reach = np.clip((u - behind) / (tip - behind), 0.0, 1.0)
    middle = -0.30 * height - droop * (u - behind)
    half = (4.5 if thoracic else 8.2) + 4.0 * reach**1.5 + float(rng.normal(0.0, 0.8))
    process = _soft_minimum(half - np.abs(v - middle), _soft_minimum(tip - u, u - behind + 3.0, 1.5), 2.2)
    process = _soft_minimum(process, 3.4 + 1.2 * reach - w, 0.8)
    joint_at = 15.5 + 0.12 * (body.width_mm - 40)
    upper = 1.0 - _ellipsoid(u - wall - 14.0, v - 0.62 * height, w - joint_at - 1.5, (4.4, 9.5, 4.6))
    lower = 1.0 - _ellipsoid(u - wall - 20.0, v + 0.72 * height, w - joint_at + 1.5, (4.6, 10.5, 5.0))
    isthmus = 1.0 - _ellipsoid(u - wall - 16.0, v + 0.05 * height, w - joint_at, (4.6, 0.55 * height, 5.0))
    wing = 1.0 - _ellipsoid(u - wall - 11.0, v - 0.12 * height, w - 28.0, (3.6, 5.0, 17.0))
    parts = (pedicle, lamina, process, upper * 4.4, lower * 4.6, isthmus * 4.6, wing * 3.6)
    shaped = [np.broadcast_to(part, frame.box.shape) for part in parts]
    return np.asarray(np.maximum.reduce(shaped), dtype=np.float32)


def _ellipsoid(u: Floats, v: Floats, w: Floats, radii: tuple[float, float, float]) -> Floats:
    return np.asarray(np.sqrt((u / radii[0]) ** 2 + (v / radii[1]) ** 2 + (w / radii[2]) ** 2))


def paint_sacrum(canvas: TissueCanvas, patient: SimulatedPatient, rng: np.random.Generator) -> None:
    """Paint the wings and the median crest of the sacrum; `paint_bodies` paints its bodies."""
    fat_fraction = float(np.clip(patient.fat_fraction + 0.10, 0.05, 0.93))
    for number, body in enumerate(part for part in patient.spine.bodies if part.sacral):
        lateral, back, up = body.centre
        box = canvas.box((lateral, back + 8, up), (50, 40, 34))
        if box is None:
            continue
        frame = BodyFrame(box, body.centre, body.tilt_rad).bend(rng, canvas, 0.9, 8.0)
        u, v, w = frame.u, frame.v, np.abs(frame.w)
        half = body.height_mm / 2 + 1.2
        slope = 0.30 * np.clip(w - 14.0, 0.0, 40.0) if number == 0 else 0.0
        thick = body.depth_mm / 2 + 4.0 - 0.10 * np.clip(w - 14.0, 0.0, 40.0)
        wing = np.minimum(np.minimum(half - slope - v, half + v + 2.0), thick - np.abs(u - 2.0))
        wing = np.minimum(wing, np.minimum(w - 12.0, 52.0 - 9.0 * number - w))
        hole = _ellipsoid(u * 0.4, v + half * 0.8, w - 17.0, (3.4, 4.2, 4.2)) < 1.0
        room = patient.spine.canal_mm * (0.95, 0.62, 0.42, 0.25, 0.15)[number] + 2.5
        crest_at = body.depth_mm / 2 + room + 3.5
        crest = np.minimum(3.6 - np.abs(u - crest_at), np.minimum(half - np.abs(v), 17.0 - w))
        depth = np.maximum(np.where(hole, -1.0, wing), crest)
        bone = np.broadcast_to(depth > 0, box.shape)
        water, fat = marrow(rng, canvas, box, patient, fat_fraction)
        canvas.paint(box, bone, Tissue.CORTEX, 0.06, 0.02)
        canvas.paint(box, bone & (depth > 0.7), Tissue.MARROW, water, fat)
