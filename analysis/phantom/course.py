"""The course of spine, back and belly, row by row, which the soft tissue follows."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from analysis.domain.segmentation import Level
from analysis.phantom.patient import SimulatedPatient
from analysis.phantom.tissues import Box, Floats, TissueCanvas

__all__ = ["Course", "draw_course"]


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The course of the spine and the body surface; one value per row of the canvas, in mm.

    Attributes
    ----------
    wall : ndarray
        Posterior wall of the bodies, towards the back.
    front : ndarray
        Anterior wall of the bodies.
    tilt : ndarray
        Anterior tilt of the upward axis, in radians.
    lateral : ndarray
        Middle of the bodies, to the left.
    fascia : ndarray
        Posterior border of the back muscles.
    skin, belly : ndarray
        Posterior and anterior surface of the body.
    """

    wall: Floats
    front: Floats
    tilt: Floats
    lateral: Floats
    fascia: Floats
    skin: Floats
    belly: Floats

    def depth(self, box: Box) -> Floats:
        """Return the perpendicular distance behind the posterior wall, of shape (1, rows, columns)."""
        rows = box.where[1]
        wall, tilt = self.wall[rows][None, :, None], self.tilt[rows][None, :, None]
        return (box.y - wall) * np.cos(tilt)

    def row(self, values: Floats, box: Box) -> Floats:
        """Return one of the curves in a shape that broadcasts over a box."""
        return values[box.where[1]][None, :, None]


def draw_course(canvas: TissueCanvas, patient: SimulatedPatient) -> Course:
    """Interpolate the curves through the bodies."""
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
