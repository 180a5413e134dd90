"""Painting of the tissue around the spine: skin, fat, muscle, abdomen and vessels."""

import numpy as np

from analysis.domain.segmentation import Level
from analysis.phantom.course import Course
from analysis.phantom.patient import SimulatedPatient
from analysis.phantom.tissues import Tissue, TissueCanvas, smooth_noise

__all__ = ["paint_torso", "paint_vessels"]


def paint_torso(
    canvas: TissueCanvas, patient: SimulatedPatient, course: Course, rng: np.random.Generator
) -> None:
    """Paint skin, fat, muscles and abdomen, over which everything else is painted."""
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
    _paint_flanks(canvas, patient, course, rng)


def _paint_septa(canvas: TissueCanvas, course: Course, rng: np.random.Generator) -> None:
    """Paint the thin septa of connective tissue in the subcutaneous fat."""
    box = canvas.box((0.0, 85.0, 0.0), (60.0, 75.0, 400.0))
    if box is None:
        return
    sheets = smooth_noise(rng, box, canvas.resolution, (14.0, 17.0, 6.0))
    under = (box.y < course.row(course.skin, box) - 3) & (box.y > course.row(course.fascia, box) + 1)
    canvas.paint(box, under & (np.abs(sheets) < 0.045), Tissue.LIGAMENT, 0.22, 0.35)
    layer = course.row(0.45 * course.skin + 0.55 * course.fascia, box) + 1.5 * sheets
    canvas.paint(box, under & (np.abs(box.y - layer) < 0.45), Tissue.LIGAMENT, 0.2, 0.35)


def _paint_bowel(canvas: TissueCanvas, course: Course, rng: np.random.Generator) -> None:
    """Paint loops of bowel with gas, fluid or soft content into the fat of the abdomen and the pelvis."""
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


def _paint_strands(canvas: TissueCanvas, course: Course, rng: np.random.Generator) -> None:
    """Paint small vessels and strands of tissue into the fat of the abdomen and the pelvis."""
    box = canvas.box((0.0, -85.0, 0.0), (60.0, 85.0, 400.0))
    if box is None:
        return
    strands = smooth_noise(rng, box, canvas.resolution, (6.0, 7.0, 4.0))
    fat = (canvas.tissue[box.where] == Tissue.FAT) & (box.y < course.row(course.front, box))
    deep = fat & (box.y > course.row(course.belly, box) + 25.0)
    canvas.paint(box, deep & (np.abs(strands) < 0.16), Tissue.LIGAMENT, 0.25, 0.62)
    canvas.paint(box, deep & (strands > 2.1), Tissue.BLOOD, 0.25, 0.2)


def _paint_back_muscle(
    canvas: TissueCanvas, patient: SimulatedPatient, course: Course, rng: np.random.Generator
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
    # Fatty degeneration is strongest in the deep multifidus and over the sacrum.
    deep = np.clip(1.0 - (depth - 18.0) / 20.0, 0.0, 1.0) + 1.2 * low
    fat = (
        patient.muscle_fat * (0.5 + 1.3 * deep) + 0.10 * patches + (0.03 + 0.3 * patient.muscle_fat) * streaks
    )
    fat = np.clip(np.where(streaks + 0.6 * patches > 2.3, 0.8, fat), 0.02, 0.9).astype(np.float32)
    canvas.paint(box, region, Tissue.MUSCLE, (0.8 * (1.0 - fat)).astype(np.float32), fat)
    midline = region & (aside < 3.2)
    band = smooth_noise(rng, box, canvas.resolution, (4.0, 2.6, 6.0))
    mix = np.clip(0.38 + 0.10 * band, 0.05, 0.9).astype(np.float32)
    canvas.paint(box, midline, Tissue.LIGAMENT, (0.55 * (1.0 - mix)).astype(np.float32), mix)
    line = (np.abs(box.y - end) < 0.8) & (depth > 7.0)
    canvas.paint(box, line, Tissue.LIGAMENT, 0.15, 0.05)


def _paint_flanks(
    canvas: TissueCanvas, patient: SimulatedPatient, course: Course, rng: np.random.Generator
) -> None:
    """Paint the tissue beside the bodies: psoas from L1 down, diaphragmatic crura, and lung above."""
    box = canvas.box((0.0, 0.0, 0.0), (60.0, 85.0, 400.0))
    if box is None:
        return
    aside = np.abs(box.x - course.row(course.lateral, box))
    front, wall = course.row(course.front, box), course.row(course.wall, box)
    top = patient.spine.body(Level.L1).centre[2]
    streaks = smooth_noise(rng, box, canvas.resolution, (4.0, 22.0, 3.0))
    fat = np.clip(0.6 * patient.muscle_fat + 0.04 * streaks, 0.01, 0.6).astype(np.float32)
    flesh = (0.8 * (1.0 - fat)).astype(np.float32)
    dome = top + 24.0 + 0.5 * (front - box.y) + 0.4 * streaks
    lung = (
        (aside > 23.0 + ((box.y - wall + 8.0) / 13.0) ** 2 + streaks)
        & (box.z > dome)
        & (box.y < wall + 28.0)
        & (box.y > front - 45.0)
    )
    canvas.paint(box, lung, Tissue.AIR, 0.05)
    thin = 5.5 * np.clip((box.z - top + 62.0) / 55.0, 0.0, 1.0)
    crus = ((aside - 20.5) / thin.clip(0.1)) ** 2 + ((box.y - front - 5.0) / 15.0) ** 2 < 1.0
    canvas.paint(box, crus, Tissue.MUSCLE, flesh, fat)
    down = np.clip((top - box.z) / 130.0, 0.0, 1.0)
    size = 4.0 + 17.0 * np.sqrt(down)
    middle = (wall + front) / 2 + 4.0 - 32.0 * np.clip(down - 0.65, 0.0, 1.0)
    psoas = ((aside - 19.0 - 0.95 * size) / size) ** 2 + ((box.y - middle) / (1.05 * size)) ** 2 < 1.0
    canvas.paint(box, psoas & (box.z < top), Tissue.MUSCLE, flesh, fat)


def paint_vessels(
    canvas: TissueCanvas, patient: SimulatedPatient, course: Course, rng: np.random.Generator
) -> None:
    """Paint aorta, vena cava, iliac vessels, and small vessels in front of the bodies."""
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
