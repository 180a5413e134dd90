"""Painting of the spinal canal and the foramina: fat, dural sac, cord, nerve roots and ganglia."""

import numpy as np

from analysis.domain.segmentation import Level
from analysis.phantom.course import Course
from analysis.phantom.patient import SimulatedPatient
from analysis.phantom.spine import Spine
from analysis.phantom.tissues import Box, Floats, Tissue, TissueCanvas, smooth_noise

__all__ = ["paint_canal", "paint_epidural_fat", "paint_foramina"]


def paint_epidural_fat(canvas: TissueCanvas, patient: SimulatedPatient, course: Course) -> None:
    """Paint the epidural fat of the canal, and ligament at its sides."""
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


def paint_foramina(canvas: TissueCanvas, patient: SimulatedPatient) -> None:
    """Paint the ganglion in each foramen, and the fat pad behind the dural sac between the arches."""
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
            _paint_ball(canvas, (at, *ganglion.tolist()), (9.0, 6.5, 7.5), Tissue.FAT, water=0.08, fat=0.88)
            _paint_ball(canvas, (at, *below.tolist()), (8.0, 4.5, 7.0), Tissue.FAT, water=0.08, fat=0.88)
            _paint_ball(canvas, (at, *ganglion.tolist()), (6.0, 2.8, 3.3), Tissue.NERVE, water=0.72, fat=0.08)
        _paint_ball(canvas, (lateral, *pad.tolist()), (5.0, 3.4, 9.5), Tissue.FAT, water=0.06, fat=0.90)


def _paint_ball(
    canvas: TissueCanvas,
    centre: tuple[float, float, float],
    radii: tuple[float, float, float],
    tissue: Tissue,
    *,
    water: float,
    fat: float,
) -> None:
    """Paint an ellipsoid outside the vertebral bodies."""
    box = canvas.box(centre, radii)
    if box is None:
        return
    x, y, z = (
        (axis - at) / radius for axis, at, radius in zip((box.x, box.y, box.z), centre, radii, strict=True)
    )
    free = canvas.labels[box.where] == 0
    canvas.paint(box, (x**2 + y**2 + z**2 < 1.0) & free, tissue, water, fat)


def paint_canal(
    canvas: TissueCanvas, patient: SimulatedPatient, course: Course, rng: np.random.Generator
) -> None:
    """Paint the dural sac with CSF, cord and nerve roots."""
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
    gathered = roots > 1.9 - 2.1 * behind * low + 0.6 * fewer - 0.3 * (np.abs(aside) / (1.32 * radius)) * low
    canvas.paint(box, gathered & (reach < 0.93) & (box.z < spine.conus_mm + 45.0), Tissue.NERVE, 0.82)
    canvas.paint(box, cord & inside, Tissue.NERVE, 0.80)


def _sac(canvas: TissueCanvas, spine: Spine, box: Box) -> tuple[Floats, Floats]:
    """Return the radius of the dural sac and its distance from the posterior wall, row by row, in mm."""
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


def _roots(canvas: TissueCanvas, box: Box, depth: Floats, rng: np.random.Generator) -> Floats:
    """Return noise in threads along the canal, by shifting its columns with the posterior wall row by row."""
    threads = smooth_noise(rng, box, canvas.resolution, (3.2, 60.0, 1.5))
    column = np.clip(depth[0] / canvas.resolution.in_plane_mm, 0, threads.shape[2] - 1).astype(np.intp)
    return np.take_along_axis(threads, column[None], axis=2)
