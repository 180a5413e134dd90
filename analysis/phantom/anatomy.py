"""From a simulated patient to tissue maps."""

import numpy as np

from analysis.phantom import bones, canal, torso
from analysis.phantom.course import draw_course
from analysis.phantom.patient import SimulatedPatient
from analysis.phantom.tissues import Resolution, TissueCanvas, TissueMaps

__all__ = ["draw_anatomy"]


def draw_anatomy(patient: SimulatedPatient, resolution: Resolution | None = None) -> TissueMaps:
    """Draw the lumbar region of one patient in three dimensions.

    Parameters
    ----------
    patient : SimulatedPatient
        The patient.
    resolution : Resolution, optional
        Resolution of the maps; the default is finer than that of the protocols.

    Returns
    -------
    TissueMaps
        Equal for the same patient and resolution.
    """
    canvas = TissueCanvas(resolution or Resolution())
    course = draw_course(canvas, patient)
    # Every layer has its own generator, so that a change to one does not change the others.
    rngs = [np.random.default_rng((patient.seed, layer)) for layer in range(6)]
    torso.paint_torso(canvas, patient, course, rngs[0])
    torso.paint_vessels(canvas, patient, course, rngs[1])
    canal.paint_epidural_fat(canvas, patient, course)
    bones.paint_sacrum(canvas, patient, rngs[2])
    bones.paint_discs(canvas, patient, rngs[3])
    bones.paint_bodies(canvas, patient, rngs[4])
    canal.paint_foramina(canvas, patient)
    bones.paint_arches(canvas, patient, rngs[5])
    canal.paint_canal(canvas, patient, course, np.random.default_rng((patient.seed, 6)))
    return canvas.finish(course.wall)
