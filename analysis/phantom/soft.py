"""Painting of what is soft: abdomen, muscle, fat, vessels and the contents of the spinal canal."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from analysis.domain.segmentation import Level
from analysis.phantom.patient import SimulatedPatient
from analysis.phantom.spine import Spine
from analysis.phantom.tissues import Box, Canvas, Floats, Tissue, smooth_noise

__all__ = [
    "Course",
    "draw_course",
    "paint_canal",
    "paint_epidural_fat",
    "paint_foramina",
    "paint_torso",
    "paint_vessels",
]


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The run of the spine, row by row of the canvas.

    Attributes
    ----------
    wall : ndarray, one per row
        Back wall of the bodies, towards the back, in mm.
    front : ndarray
        Front wall of the bodies.
    tilt : ndarray
        How far the upward axis leans to the front, in radians.
    lateral : ndarray
        Middle of the bodies, to the left.
    fascia : ndarray
        Where the muscles of the back end.
    skin, belly : ndarray
        Where the body ends at the back and in front.
    """

    wall: Floats
    front: Floats
    tilt: Floats
    lateral: Floats
    fascia: Floats
    skin: Floats
    belly: Floats

    def depth(self, box: Box) -> Floats:
        """Distance of each point behind the back wall, at right angles to it; of shape (1, rows, columns)."""
        rows = box.where[1]
        wall, tilt = self.wall[rows][None, :, None], self.tilt[rows][None, :, None]
        return (box.y - wall) * np.cos(tilt)

    def row(self, values: Floats, box: Box) -> Floats:
        """Return one of the curves ready to broadcast over a box."""
        return values[box.where[1]][None, :, None]


def draw_course(canvas: Canvas, patient: SimulatedPatient) -> Course:
    """Lay the curves through the bodies."""
    rng = np.random.default_rng((patient.seed, 11))
    bodies = patient.spine.bodies
    centres = np.array([body.centre for body in bodies])
    tilts = np.array([body.tilt_rad for body in bodies])
    halves = np.array([body.depth_mm / 2 for body in bodies])
    step = canvas.resolution.in_plane_mm

    def curve(values: np.ndarray, up: np.ndarray, smooth_mm: float = 7.0) -> Floats:
        order = np.argsort(up)
        rows = np.interp(canvas.z, up[order], values[order])
        return np.asarray(gaussian_filter1d(rows, smooth_mm / step, mode="nearest"), dtype=np.float32)

    back, up = centres[:, 1], centres[:, 2]
    wall = curve(back + np.cos(tilts) * halves, up + np.sin(tilts) * halves)
    front = curve(back - np.cos(tilts) * halves, up - np.sin(tilts) * halves)
    sacrum = patient.spine.body(Level.S1).centre[2]
    cover = np.interp(
        canvas.z, (sacrum - 75, sacrum - 25, sacrum + 25, sacrum + 120), (14.0, 22.0, 47.0, 49.0)
    )
    fascia = gaussian_filter1d(wall + cover, 14 / step, mode="nearest").astype(np.float32)
    fat = patient.subcutaneous_mm * (
        0.55
        + 0.35 * np.exp(-(((canvas.z - 10) / 60) ** 2))
        + 1.0 * np.exp(-(((canvas.z - sacrum + 25) / 55) ** 2))
    )
    skin = gaussian_filter1d(fascia + fat, 12 / step, mode="nearest").astype(np.float32)
    girth = 62.0 + 1.5 * patient.subcutaneous_mm + float(rng.uniform(0, 25))
    belly = curve(back, up, 60.0) - 17.0 - girth - 8.0 * np.sin((canvas.z + 40) / 60.0)
    return Course(
        wall, front, curve(tilts, up), curve(centres[:, 0], up), fascia, skin, belly.astype(np.float32)
    )


def paint_torso(canvas: Canvas, patient: SimulatedPatient, course: Course, rng: np.random.Generator) -> None:
    """Paint skin, fat, muscles and abdomen: the ground that everything else lies on."""
    box = canvas.box()
    if box is None:
        return
    wide = (box.x / 46.0) ** 2
    skin = course.row(course.skin, box) - 5.0 * wide
    belly = course.row(course.belly, box) + 14.0 * wide
    canvas.paint(box, (box.y < skin) & (box.y > belly), Tissue.SKIN, 0.7, 0.06)
    canvas.paint(box, (box.y < skin - 2.0) & (box.y > belly + 2.0), Tissue.FAT, 0.05, 0.93)
    wall_mm = 6.0 + 0.7 * patient.subcutaneous_mm
    canvas.paint(
        box,
        (box.y > belly + wall_mm) & (box.y < belly + wall_mm + 9) & (np.abs(box.x) > 3),
        Tissue.MUSCLE,
        0.74,
        0.1,
    )
    _paint_septa(canvas, course, rng)
    _paint_bowel(canvas, course, rng)
    _paint_strands(canvas, course, rng)
    _paint_back_muscle(canvas, patient, course, rng)
    _paint_psoas(canvas, patient, course, rng)


def _paint_septa(canvas: Canvas, course: Course, rng: np.random.Generator) -> None:
    """Paint the thin sheets of connective tissue in the fat under the skin."""
    box = canvas.box((0.0, 85.0, 0.0), (60.0, 75.0, 400.0))
    if box is None:
        return
    sheets = smooth_noise(rng, box, canvas.resolution, (14.0, 17.0, 6.0))
    under = (box.y < course.row(course.skin, box) - 3) & (box.y > course.row(course.fascia, box) + 1)
    canvas.paint(box, under & (np.abs(sheets) < 0.045), Tissue.LIGAMENT, 0.22, 0.35)
    layer = course.row(0.45 * course.skin + 0.55 * course.fascia, box) + 1.5 * sheets
    canvas.paint(box, under & (np.abs(box.y - layer) < 0.45), Tissue.LIGAMENT, 0.2, 0.35)


def _paint_strands(canvas: Canvas, course: Course, rng: np.random.Generator) -> None:
    """Paint small vessels and strands of tissue into the fat of the abdomen and the pelvis."""
    box = canvas.box((0.0, -85.0, -30.0), (60.0, 85.0, 145.0))
    if box is None:
        return
    strands = smooth_noise(rng, box, canvas.resolution, (6.0, 7.0, 4.0))
    fat = (canvas.tissue[box.where] == Tissue.FAT) & (box.y < course.row(course.front, box))
    deep = fat & (box.y > course.row(course.belly, box) + 25.0)
    canvas.paint(box, deep & (np.abs(strands) < 0.16), Tissue.LIGAMENT, 0.25, 0.62)
    canvas.paint(box, deep & (strands > 2.1), Tissue.BLOOD, 0.25, 0.2)


def _paint_bowel(canvas: Canvas, course: Course, rng: np.random.Generator) -> None:
    """Paint loops of bowel, with gas, fluid or soft content, into the fat of the abdomen and the pelvis."""
    contents = ((Tissue.AIR, 0.02), (Tissue.FLUID, 0.9), (Tissue.BOWEL, 0.75), (Tissue.BOWEL, 0.85))
    for _ in range(46):
        up = float(rng.uniform(-165, 165))
        row = int(np.argmin(np.abs(canvas.z - up)))
        first, last = float(course.belly[row]) + 24.0, float(course.front[row]) - 27.0
        if last - first < 10:
            continue
        centre = (float(rng.uniform(-45, 45)), float(rng.uniform(first, last)), up)
        radii = rng.uniform(6.0, 17.0, 3) * (1.4, 1.0, 1.3)
        box = canvas.box(centre, tuple((radii * 1.1).tolist()))
        if box is None:
            continue
        x, y, z = box.x - centre[0], box.y - centre[1], box.z - centre[2]
        radius = np.sqrt((x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2)
        radius = radius + 0.08 * smooth_noise(rng, box, canvas.resolution, (6.0, 6.0, 6.0))
        content, water = contents[int(rng.integers(len(contents)))]
        canvas.paint(box, radius < 1.0, Tissue.BOWEL, 0.75)
        canvas.paint(box, radius < 0.84, content, water)


def _paint_back_muscle(
    canvas: Canvas, patient: SimulatedPatient, course: Course, rng: np.random.Generator
) -> None:
    box = canvas.box((0.0, 45.0, 0.0), (60.0, 85.0, 400.0))
    if box is None:
        return
    depth = course.depth(box)
    aside = np.abs(box.x - course.row(course.lateral, box))
    end = course.row(course.fascia, box) + np.clip(aside - 4.0, 0.0, 22.0) * 0.28
    region = (depth > 7.0 - 0.25 * np.clip(aside - 18.0, 0.0, 20.0)) & (box.y < end)
    streaks = smooth_noise(rng, box, canvas.resolution, (3.5, 16.0, 2.6))
    patches = smooth_noise(rng, box, canvas.resolution, (9.0, 30.0, 8.0))
    low = np.clip((-40.0 - box.z) / 60.0, 0.0, 1.0)
    # The deep multifidus turns to fat first, and most of all over the sacrum.
    deep = np.clip(1.0 - (depth - 18.0) / 20.0, 0.0, 1.0) + 1.2 * low
    fat = (
        patient.muscle_fat * (0.5 + 1.3 * deep) + 0.10 * patches + (0.05 + 0.5 * patient.muscle_fat) * streaks
    )
    fat = np.clip(np.where(streaks + 0.6 * patches > 2.3, 0.8, fat), 0.02, 0.9).astype(np.float32)
    canvas.paint(box, region, Tissue.MUSCLE, (0.8 * (1.0 - fat)).astype(np.float32), fat)
    midline = region & (aside < 3.2)
    band = smooth_noise(rng, box, canvas.resolution, (4.0, 2.6, 6.0))
    mix = np.clip(0.45 + 0.13 * band, 0.05, 0.9).astype(np.float32)
    canvas.paint(box, midline, Tissue.LIGAMENT, (0.55 * (1.0 - mix)).astype(np.float32), mix)
    line = (np.abs(box.y - end) < 0.8) & (depth > 7.0)
    canvas.paint(box, line, Tissue.LIGAMENT, 0.15, 0.05)


def _paint_psoas(canvas: Canvas, patient: SimulatedPatient, course: Course, rng: np.random.Generator) -> None:
    box = canvas.box((0.0, 0.0, -45.0), (60.0, 70.0, 115.0))
    if box is None:
        return
    top = patient.spine.body(Level.L1).centre[2]
    down = np.clip((top - box.z) / 130.0, 0.0, 1.0)
    middle = (course.row(course.wall, box) + course.row(course.front, box)) / 2 - 32.0 * np.clip(
        down - 0.65, 0, 1
    )
    size = 4.0 + 17.0 * np.sqrt(down)
    aside = np.abs(box.x) - 25.0 - 0.75 * size
    inside = ((aside / size) ** 2 + ((box.y - middle - 4.0) / (1.05 * size)) ** 2 < 1.0) & (box.z < top)
    streaks = smooth_noise(rng, box, canvas.resolution, (4.0, 22.0, 3.0))
    fat = np.clip(0.6 * patient.muscle_fat + 0.04 * streaks, 0.01, 0.6).astype(np.float32)
    canvas.paint(box, inside, Tissue.MUSCLE, (0.8 * (1.0 - fat)).astype(np.float32), fat)


def paint_vessels(
    canvas: Canvas, patient: SimulatedPatient, course: Course, rng: np.random.Generator
) -> None:
    """Paint aorta, vena cava, their branches to the legs, and the segmental vessels in front of the bodies."""
    fork = patient.spine.body(Level.L4).centre[2] - 8.0
    for side, offset, radius, density in ((1.0, 9.0, 8.5, 0.03), (-1.0, 15.0, 9.5, 0.18)):
        box = canvas.box((0.0, -35.0, 0.0), (60.0, 90.0, 400.0))
        if box is None:
            return
        ahead = course.row(course.front, box) - radius - 4.0
        past = 9.0 * np.log1p(np.exp((fork - box.z) / 9.0))
        size = radius * (0.64 + 0.36 / (1.0 + np.exp((fork - box.z) / 6.0)))
        wander = 3.0 * np.sin(box.z / 31.0 + side)
        for leg in (1.0, -1.0):
            at = side * offset + wander + (leg * 0.42 - side * 0.06) * past
            gap = np.sqrt((box.x - at) ** 2 + (box.y - ahead - 0.08 * past) ** 2)
            canvas.paint(box, gap < size + 1.1, Tissue.LIGAMENT, 0.3, 0.05)
            canvas.paint(box, gap < size, Tissue.BLOOD, density)
    for body in patient.spine.bodies[:9]:
        centre = body.centre
        up, back = centre[2], centre[1] - np.cos(body.tilt_rad) * (body.depth_mm / 2 * 0.9 + 2.6)
        box = canvas.box((0.0, float(back), up), (40.0, 6.0, 6.0))
        if box is not None and rng.random() < 0.7:
            gap = np.sqrt((box.y - back) ** 2 + (box.z - up - float(rng.normal(0, 2))) ** 2)
            canvas.paint(box, gap < float(rng.uniform(0.6, 1.4)), Tissue.BLOOD, 0.05)


def paint_canal(canvas: Canvas, patient: SimulatedPatient, course: Course, rng: np.random.Generator) -> None:
    """Paint the dural sac with CSF, cord and roots over whatever was there."""
    box = canvas.box((0.0, 25.0, 0.0), (22.0, 110.0, 400.0))
    if box is None:
        return
    spine = patient.spine
    depth = course.depth(box) + 0.35 * smooth_noise(rng, box, canvas.resolution, (9.0, 9.0, 9.0))
    aside = box.x - course.row(course.lateral, box)
    radius, offset = _sac(canvas, spine, box)
    middle = offset + radius
    reach = np.sqrt(((depth - middle) / radius) ** 2 + (aside / (1.32 * radius)) ** 2)
    inside = reach < 1.0
    canvas.paint(box, reach < 1.0 + 0.7 / np.maximum(radius, 1.0), Tissue.LIGAMENT, 0.3, 0.05)
    canvas.paint(box, inside, Tissue.CSF, 1.075)
    taper = np.clip((box.z - spine.conus_mm) / 28.0, 0.0, 1.0) ** 0.6
    thick = 4.3 * taper
    cord_at = middle + 0.6 + 1.6 * (1.0 - taper)
    cord = ((depth - cord_at) / np.maximum(thick, 1e-3)) ** 2 + (
        aside / np.maximum(1.2 * thick, 1e-3)
    ) ** 2 < 1.0
    roots = _roots(canvas, box, course.depth(box), rng)
    behind = (depth - middle) / np.maximum(radius, 1.0)
    low = np.clip((spine.conus_mm + 15.0 - box.z) / 25.0, 0.0, 1.0)
    fewer = np.clip((spine.conus_mm - box.z) / 190.0, 0.0, 1.0)
    gathered = roots > 1.7 - 1.4 * behind * low + 0.7 * fewer - 0.3 * (np.abs(aside) / (1.32 * radius)) * low
    canvas.paint(box, gathered & (reach < 0.93) & (box.z < spine.conus_mm + 45.0), Tissue.NERVE, 0.82)
    canvas.paint(box, cord & inside, Tissue.NERVE, 0.80)


def _sac(canvas: Canvas, spine: Spine, box: Box) -> tuple[Floats, Floats]:
    """Half diameter of the dural sac and its distance from the back wall, row by row."""
    sacrum, z = spine.body(Level.S1), canvas.z
    end = sacrum.centre[2] - 26.0
    size = np.interp(z, (end - 2, end + 8, end + 45, 0.0, 90.0, 170.0), (0.01, 0.30, 0.82, 1.0, 1.0, 0.92))
    offset = np.interp(z, (end, sacrum.centre[2] + 12, sacrum.centre[2] + 45, 0.0), (5.0, 3.6, 0.7, 0.1))
    for disc in spine.discs:
        top, bottom = spine.bodies[disc.above], spine.bodies[disc.below]
        at = (top.centre[2] + bottom.centre[2]) / 2
        indent = 0.75 * disc.bulge_mm * np.exp(-(((z - at) / 4.0) ** 2))
        offset, size = offset + indent, size * (1.0 - indent / (1.8 * spine.canal_mm))
    rows = box.where[1]
    half = np.asarray(size * spine.canal_mm / 2, dtype=np.float32)
    return half[rows][None, :, None], offset.astype(np.float32)[rows][None, :, None]


def _roots(canvas: Canvas, box: Box, depth: Floats, rng: np.random.Generator) -> Floats:
    """Noise in threads that follow the canal: its columns are moved along with the back wall, row by row."""
    threads = smooth_noise(rng, box, canvas.resolution, (1.6, 45.0, 1.25))
    column = np.clip(depth[0] / canvas.resolution.in_plane_mm, 0, threads.shape[2] - 1).astype(np.intp)
    return np.take_along_axis(threads, column[None], axis=2)


def paint_epidural_fat(canvas: Canvas, patient: SimulatedPatient, course: Course) -> None:
    """Fill the canal and the foramina with fat, and set the ganglia and the pads behind the sac into it."""
    box = canvas.box((0.0, 25.0, 0.0), (24.0, 110.0, 400.0))
    if box is None:
        return
    depth, aside = course.depth(box), np.abs(box.x - course.row(course.lateral, box))
    sacrum = patient.spine.body(Level.S1).centre[2]
    room = np.interp(canvas.z, (sacrum - 80, sacrum - 20, sacrum + 20), (0.15, 0.75, 1.0)).astype(np.float32)
    reach = (patient.spine.canal_mm + 3.0) * room[box.where[1]][None, :, None]
    tube = (depth > -3.0) & (depth < reach)
    canvas.paint(box, tube & (aside < 21.0), Tissue.LIGAMENT, 0.5, 0.3)
    canvas.paint(box, tube & (aside < 10.5), Tissue.FAT, 0.08, 0.88)


def paint_foramina(canvas: Canvas, patient: SimulatedPatient) -> None:
    """Paint the ganglion in each foramen and the fat pad behind the sac between the arches."""
    for disc in patient.spine.discs[:9]:
        body = patient.spine.bodies[disc.above]
        tilt, (lateral, back, up) = body.tilt_rad, body.centre
        towards_back = np.array([np.cos(tilt), np.sin(tilt)])
        wall = np.array([back, up]) + towards_back * body.depth_mm / 2
        ganglion = wall + towards_back * 5.5 - body.up * 0.30 * body.height_mm
        below = wall + towards_back * 4.5 - body.up * 0.62 * body.height_mm
        pad = wall + towards_back * (patient.spine.canal_mm + 3.0) - body.up * 0.66 * body.height_mm
        for side in (-1.0, 1.0):
            at = lateral + side * 16.0
            _paint_ball(canvas, (at, *ganglion.tolist()), (9.0, 6.5, 7.5), Tissue.FAT, 0.08, 0.88)
            _paint_ball(canvas, (at, *below.tolist()), (8.0, 4.5, 7.0), Tissue.FAT, 0.08, 0.88)
            _paint_ball(canvas, (at, *ganglion.tolist()), (6.0, 2.8, 3.3), Tissue.NERVE, 0.72, 0.08)
        _paint_ball(canvas, (lateral, *pad.tolist()), (5.0, 3.4, 9.5), Tissue.FAT, 0.06, 0.90)


def _paint_ball(
    canvas: Canvas,
    centre: tuple[float, float, float],
    radii: tuple[float, float, float],
    tissue: Tissue,
    water: float,
    fat: float,
) -> None:
    box = canvas.box(centre, radii)
    if box is None:
        return
    x, y, z = (
        (axis - at) / radius for axis, at, radius in zip((box.x, box.y, box.z), centre, radii, strict=True)
    )
    free = canvas.labels[box.where] == 0
    canvas.paint(box, (x**2 + y**2 + z**2 < 1.0) & free, tissue, water, fat)
