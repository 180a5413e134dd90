"""The marrow of a vertebral body: water, fat and trabeculae with a random texture."""

import numpy as np

from analysis.phantom.patient import SimulatedPatient, bone_volume_fraction
from analysis.phantom.tissues import Box, Floats, TissueCanvas, smooth_noise

__all__ = ["marrow", "sparseness", "unevenness"]


def sparseness(bmd_mg_cm3: float) -> float:
    """Return the relative spacing of the trabeculae, 0 in dense bone.

    Examples
    --------
    >>> sparseness(30.0), sparseness(150.0)
    (1.0, 0.0)
    """
    return float(np.clip((150.0 - bmd_mg_cm3) / 120.0, 0.0, 1.2))


def unevenness(patient: SimulatedPatient) -> float:
    """Return the unevenness of this patient's marrow relative to others of the same density; 1 is usual.

    Without this variation the texture would reveal the density.
    """
    return float(np.random.default_rng((patient.seed, 7)).lognormal(0.0, 0.45))


def marrow(
    rng: np.random.Generator, canvas: TissueCanvas, box: Box, patient: SimulatedPatient, fat_fraction: float
) -> tuple[Floats, Floats]:
    """Return the proton densities of water and fat in trabecular bone.

    With less bone the remaining trabeculae are farther apart and mostly vertical, and the marrow between them
    turns to fat in patches. So the texture depends on the density in part.
    """
    sparse, own = sparseness(patient.bmd_mg_cm3), unevenness(patient)
    patches = smooth_noise(rng, box, canvas.resolution, (6.0, 6.0, 6.0))
    grain = smooth_noise(rng, box, canvas.resolution, (2.0, 1.7, 1.5))
    struts = smooth_noise(rng, box, canvas.resolution, (1.5, 2.0 + 2.0 * sparse, 0.9 + 0.5 * sparse))
    fat = fat_fraction + own * ((0.032 + 0.024 * sparse) * patches + (0.024 + 0.018 * sparse) * grain)
    bone = bone_volume_fraction(patient.bmd_mg_cm3) * (1.0 + own * (0.28 + 0.25 * sparse) * struts)
    fat = np.clip(fat, 0.03, 0.93)
    space = 1.0 - np.clip(bone, 0.0, 0.6)
    return (space * (1.0 - fat)).astype(np.float32), (space * fat).astype(np.float32)
