"""The geometry of one lumbar spine as lengths and angles."""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from analysis.domain.segmentation import Level

__all__ = ["Disc", "Lesion", "LesionKind", "SimulatedBody", "Spine", "draw_spine"]


class LesionKind(StrEnum):
    """Kinds of focal changes of the marrow, each with its own signal on T1 and T2."""

    HAEMANGIOMA = "haemangioma"
    FOCAL_FAT = "focal fat"
    ISLAND = "bone island"
    MODIC_1 = "Modic type 1"
    MODIC_2 = "Modic type 2"
    SCHMORL = "Schmorl node"


@dataclass(frozen=True, slots=True)
class Lesion:
    """A focal change inside a body.

    Attributes
    ----------
    kind : LesionKind
        Kind of lesion.
    centre : tuple of float
        (towards posterior, up, lateral) from the centre of the body, in mm.
    radii : tuple of float
        Radii of the ellipsoid along the same directions, in mm.
    """

    kind: LesionKind
    centre: tuple[float, float, float]
    radii: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class SimulatedBody:
    """One vertebral body.

    Attributes
    ----------
    name : str
        "T9" to "S5".
    level : Level or None
        Its label in masks; None for a body that masks do not include.
    centre : tuple of float
        (lateral, towards posterior, up) in mm from the centre of L3.
    tilt_rad : float
        Anterior tilt of its upward axis.
    depth_mm, width_mm : float
        Extent from front to back, and from side to side.
    front_mm, back_mm : float
        Heights of the anterior and posterior walls.
    waist : float
        Fraction by which the walls are narrower at half height.
    dish_mm : float
        Depth of the concavity of either endplate.
    lip_mm : float
        Length of the anterior osteophytes.
    sacral : bool
        Whether it is part of the sacrum.
    lesions : tuple of Lesion
        Focal changes.
    """

    name: str
    level: Level | None
    centre: tuple[float, float, float]
    tilt_rad: float
    depth_mm: float
    width_mm: float
    front_mm: float
    back_mm: float
    waist: float
    dish_mm: float
    lip_mm: float
    sacral: bool
    lesions: tuple[Lesion, ...] = ()

    @property
    def height_mm(self) -> float:
        """Mean of the anterior and posterior height."""
        return (self.front_mm + self.back_mm) / 2.0

    @property
    def up(self) -> npt.NDArray[np.float64]:
        """Upward axis as (towards posterior, up)."""
        return np.array([-np.sin(self.tilt_rad), np.cos(self.tilt_rad)])


@dataclass(frozen=True, slots=True)
class Disc:
    """One intervertebral disc.

    Attributes
    ----------
    above, below : int
        Indices of its bodies in `Spine.bodies`.
    height_mm : float
        Height in its middle.
    grade : float
        Degeneration by Pfirrmann's grades, 1 (bright nucleus) to 5 (collapsed and dark); may be fractional.
    bulge_mm : float
        Length of the posterior bulge.
    """

    above: int
    below: int
    height_mm: float
    grade: float
    bulge_mm: float


@dataclass(frozen=True, slots=True)
class Spine:
    """Bodies from cranial to caudal, and the discs between them.

    Attributes
    ----------
    bodies : tuple of SimulatedBody
        T9 to S5.
    discs : tuple of Disc
        The discs between them.
    canal_mm : float
        Anteroposterior diameter of the dural sac at L3.
    conus_mm : float
        Position of the conus, up from the centre of L3.
    """

    bodies: tuple[SimulatedBody, ...]
    discs: tuple[Disc, ...]
    canal_mm: float
    conus_mm: float

    def body(self, level: Level) -> SimulatedBody:
        """Return the body of that level."""
        return next(body for body in self.bodies if body.level is level)


# Typical adult men (depth, width, anterior and posterior height, disc below), in mm: general knowledge.
_SIZES_MM = {
    "T9": (28.0, 30.0, 20.5, 21.5, 5.0),
    "T10": (28.5, 32.0, 21.5, 22.5, 5.2),
    "T11": (29.0, 35.0, 22.0, 23.8, 5.8),
    "T12": (30.0, 38.0, 23.6, 25.2, 7.0),
    "L1": (31.0, 41.0, 25.3, 26.8, 8.4),
    "L2": (32.0, 43.0, 26.6, 27.2, 9.8),
    "L3": (33.0, 45.0, 27.2, 26.8, 10.8),
    "L4": (34.0, 48.0, 27.3, 25.6, 11.4),
    "L5": (34.5, 51.0, 28.0, 23.4, 10.6),
    "S1": (28.5, 50.0, 29.0, 25.0, 1.5),
    "S2": (18.5, 40.0, 24.0, 21.0, 1.0),
    "S3": (13.0, 34.0, 20.0, 18.0, 0.8),
    "S4": (10.0, 28.0, 17.0, 16.0, 0.8),
    "S5": (8.0, 22.0, 14.0, 14.0, 0.8),
}
_LABELLED = {level.name: level for level in Level}
# Fraction of the way from the slope of the sacrum to that of the thoracolumbar junction.
_LORDOSIS = {"T9": 0.78, "T10": 0.90, "T11": 0.98, "T12": 1.02, "L1": 1.0, "L2": 0.93, "L3": 0.81, "L4": 0.62}
_LORDOSIS |= {"L5": 0.34, "S1": 0.0}
_SACRAL_TURN_DEG = {"S2": 9.0, "S3": 6.0, "S4": -12.0, "S5": -30.0}
_GRADE_STEP = {"L4": 0.5, "L5": 0.6, "L3": 0.25}


def draw_spine(rng: np.random.Generator, *, age_y: float, size: float, bmd_mg_cm3: float) -> Spine:
    """Draw the spine of one patient.

    Parameters
    ----------
    rng : Generator
        Source of all random values.
    age_y : float
        Age; discs degenerate and osteophytes grow with it.
    size : float
        Relative size, 1 for the average man.
    bmd_mg_cm3 : float
        Bone density; with low density endplates are more concave, and some bodies are wedged.
    """
    softness = float(np.clip((130.0 - bmd_mg_cm3) / 100.0, 0.0, 1.0))
    # Most of the variation is between patients: drawn for each body alone, the mean of five bodies would
    # reveal the density (r = -0.7). A spawned generator leaves the other draws unchanged.
    dish_mm = 1.7 + 0.4 * softness + float(rng.spawn(1)[0].normal(0.0, 0.45))
    size *= float(np.clip(rng.normal(1.0, 0.045), 0.88, 1.12))
    tilts = _draw_tilts(rng)
    grades = {
        name: float(np.clip(1.2 + 0.034 * (age_y - 20.0) + step + rng.normal(0.0, 0.6), 1.0, 5.0))
        for name, step in ((name, _GRADE_STEP.get(name, 0.0)) for name in _SIZES_MM)
    }
    bodies = [
        _draw_body(
            rng,
            name,
            size=size,
            tilt_rad=tilts[name],
            grade=grades[name],
            softness=softness,
            dish_mm=dish_mm,
        )
        for name in _SIZES_MM
    ]
    discs = []
    for above, name in enumerate(list(_SIZES_MM)[:-1]):
        narrowing = 1.0 - 0.11 * max(grades[name] - 2.5, 0.0) if not name.startswith("S") else 1.0
        height = _SIZES_MM[name][4] * size * narrowing * float(rng.normal(1.0, 0.06))
        bulge = max(0.0, float(rng.normal(0.9 * (grades[name] - 2.2), 0.9))) if name in _GRADE_STEP else 0.3
        discs.append(Disc(above, above + 1, max(height, 0.9), grades[name], min(bulge, 4.0)))
    stacked = _stack(
        bodies, discs, scoliosis_mm=float(rng.normal(0.0, 2.5)), phase=float(rng.uniform(0, 6.28))
    )
    lumbar = {body.name: body.centre[2] for body in stacked}
    return Spine(
        bodies=tuple(stacked),
        discs=tuple(discs),
        canal_mm=float(np.clip(rng.normal(15.5, 1.5), 12.0, 19.0)),
        conus_mm=lumbar["L1"] + float(rng.normal(-4.0, 9.0)),
    )


def _draw_tilts(rng: np.random.Generator) -> dict[str, float]:
    sacral_slope = float(np.clip(rng.normal(37.0, 6.0), 22.0, 52.0))
    junction = float(np.clip(rng.normal(-10.0, 4.0), -20.0, -2.0))
    tilts = {}
    for name in _SIZES_MM:
        mean = (
            sacral_slope + (junction - sacral_slope) * _LORDOSIS[name]
            if name in _LORDOSIS
            else sacral_slope + _SACRAL_TURN_DEG[name]
        )
        tilts[name] = float(np.deg2rad(mean + rng.normal(0.0, 1.0)))
    return tilts


def _draw_body(
    rng: np.random.Generator,
    name: str,
    *,
    size: float,
    tilt_rad: float,
    grade: float,
    softness: float,
    dish_mm: float,
) -> SimulatedBody:
    depth, width, front, back, _ = (
        length * size * float(rng.normal(1.0, 0.02)) for length in _SIZES_MM[name]
    )
    sacral = name.startswith("S")
    if not sacral and rng.random() < 0.06 * softness:
        front *= float(rng.uniform(0.74, 0.88))  # a mild wedge deformity
    body = SimulatedBody(
        name=name,
        level=_LABELLED.get(name),
        centre=(0.0, 0.0, 0.0),
        tilt_rad=tilt_rad,
        depth_mm=depth,
        width_mm=width,
        front_mm=front,
        back_mm=back,
        waist=0.03 if sacral else float(np.clip(rng.normal(0.095, 0.02), 0.04, 0.16)),
        dish_mm=0.5 if sacral else float(np.clip(rng.normal(dish_mm, 0.3), 0.6, 3.4)),
        lip_mm=0.0 if sacral else max(0.0, float(rng.normal(0.7 * (grade - 2.0), 0.7))),
        sacral=sacral,
    )
    return replace(body, lesions=_draw_lesions(rng, body, grade))


def _draw_lesions(rng: np.random.Generator, body: SimulatedBody, grade: float) -> tuple[Lesion, ...]:
    lesions: list[Lesion] = []
    if body.sacral:
        return ()
    half_depth, half_height = body.depth_mm / 2.0, body.height_mm / 2.0
    focal = (
        (LesionKind.HAEMANGIOMA, 0.05, (4.0, 9.0)),
        (LesionKind.FOCAL_FAT, 0.12, (2.0, 6.0)),
        (LesionKind.ISLAND, 0.04, (1.5, 3.5)),
    )
    for kind, chance, (smallest, largest) in focal:
        if rng.random() < chance:
            radius = float(rng.uniform(smallest, largest))
            centre = rng.uniform(-0.45, 0.45, 3) * (2 * half_depth, 2 * half_height, body.width_mm)
            lesions.append(Lesion(kind, tuple(centre.tolist()), (radius, radius, radius)))
    edge = -half_height if rng.random() < 0.5 else half_height
    if rng.random() < 0.07 * max(grade - 2.5, 0.0):
        kind = LesionKind.MODIC_2 if rng.random() < 0.7 else LesionKind.MODIC_1
        where = float(rng.uniform(-0.5, 0.3)) * half_depth
        lesions.append(Lesion(kind, (where, edge, 0.0), (half_depth * 0.8, float(rng.uniform(4, 8)), 16.0)))
    if rng.random() < 0.05:
        where = float(rng.uniform(-0.3, 0.4)) * half_depth
        lesions.append(Lesion(LesionKind.SCHMORL, (where, edge, float(rng.uniform(-8, 8))), (3.5, 4.5, 4.5)))
    return tuple(lesions)


def _stack(
    bodies: list[SimulatedBody], discs: list[Disc], *, scoliosis_mm: float, phase: float
) -> list[SimulatedBody]:
    """Place each body below the one above it, and move the centre of L3 to the origin."""
    centres = [np.zeros(2)]
    for disc in discs:
        above, below = bodies[disc.above], bodies[disc.below]
        between = above.up + below.up
        step = above.up * above.height_mm / 2 + below.up * below.height_mm / 2
        step += between / np.linalg.norm(between) * disc.height_mm
        centres.append(centres[-1] - step)
    origin = centres[[body.name for body in bodies].index("L3")]
    placed = []
    for body, centre in zip(bodies, centres, strict=True):
        back, up = (centre - origin).tolist()
        lateral = 0.0 if body.sacral else scoliosis_mm * (np.sin(up / 55.0 + phase) - np.sin(phase))
        placed.append(replace(body, centre=(float(lateral), back, up)))
    return placed
