"""MR signal of water and fat in spin and gradient echoes."""

import numpy as np
import numpy.typing as npt

from analysis.phantom.patient import SimulatedPatient
from analysis.phantom.protocol import Protocol
from analysis.phantom.tissues import Tissue

__all__ = [
    "FAT_T1_MS",
    "echo",
    "fat_signal",
    "gradient_echo",
    "relaxation_times",
    "spin_echo",
    "water_signals",
]

FAT_T1_MS = 382.0
"""At 3 T (de Bazelaire 2004)."""
_FAT_T2_SPIN_ECHO_MS = 68.0
_FAT_T2_LONG_TRAIN_MS = 170.0
"""Apparent T2 of fat at 3 T: of subcutaneous fat in a spin echo (de Bazelaire 2004), and in a long echo
train, where refocusing suppresses J-coupling and fat stays bright. The second was fitted with the gain of
the CSF: T2-VBQ is 0.55 to 0.60 beyond 60 years, as published for people whose T1-VBQ was 4.1 to 4.4 (Huang
2025), higher than `published.T1_VBQ_BY_DECADE`."""

_WATER_MS: dict[Tissue, tuple[float, float]] = {
    Tissue.AIR: (1000.0, 50.0),
    Tissue.SKIN: (900.0, 25.0),
    Tissue.FAT: (1100.0, 40.0),
    Tissue.MUSCLE: (898.0, 36.0),
    Tissue.LIGAMENT: (900.0, 16.0),
    Tissue.CORTEX: (900.0, 10.0),
    Tissue.CSF: (4273.0, 1578.0),
    Tissue.NERVE: (1000.0, 80.0),
    Tissue.BLOOD: (1700.0, 90.0),
    Tissue.BOWEL: (1100.0, 62.0),
    Tissue.FLUID: (2800.0, 400.0),
    Tissue.ANGIOMA: (900.0, 110.0),
    Tissue.OEDEMA: (1500.0, 85.0),
    Tissue.VEIN: (1300.0, 100.0),
}
"""T1 and T2 of water at 3 T. T1 of muscle: de Bazelaire 2004, whose T2 of 29 ms is lengthened here to the
apparent value in an echo train with refocusing angles below 180 degrees; CSF: SyMRI, PMC7410772; others:
general knowledge."""
_FIELD_T, _T1_SCALE, _FAT_T1_SCALE = (0.2, 1.5, 3.0), (0.55, 0.86, 1.0), (0.62, 0.90, 1.0)
"""Field strengths, and the T1 there relative to 3 T; that of CSF is constant."""
_NUCLEUS_T2_MS = (1.0, 2.0, 3.0, 4.0, 5.0), (145.0, 118.0, 74.0, 46.0, 34.0)
_INNER_T2_MS = (1.0, 2.0, 3.0, 4.0, 5.0), (82.0, 68.0, 52.0, 38.0, 30.0)
_OUTER_T2_MS = 27.0


def spin_echo(
    repetition_ms: float, echo_ms: float, t1_ms: npt.ArrayLike, t2_ms: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Return the signal of a spin echo per unit of proton density.

    Examples
    --------
    >>> fat, water = spin_echo(600.0, 10.0, [382.0, 1200.0], [68.0, 21.0])
    >>> bool(fat > water)
    True
    """
    recovered = 1.0 - np.exp(-repetition_ms / np.asarray(t1_ms, dtype=np.float64))
    return np.asarray(recovered * np.exp(-echo_ms / np.asarray(t2_ms, dtype=np.float64)))


def gradient_echo(
    repetition_ms: float, echo_ms: float, flip_deg: float, t1_ms: npt.ArrayLike, t2_ms: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Return the signal of a spoiled gradient echo per unit of proton density, with T2* = T2 / 2.

    Examples
    --------
    >>> fat, csf = gradient_echo(8.6, 4.0, 20.0, [382.0, 4273.0], [68.0, 1578.0])
    >>> bool(fat > csf)
    True
    """
    kept = np.exp(-repetition_ms / np.asarray(t1_ms, dtype=np.float64))
    flip = np.deg2rad(flip_deg)
    steady = np.sin(flip) * (1.0 - kept) / (1.0 - np.cos(flip) * kept)
    return np.asarray(steady * np.exp(-2.0 * echo_ms / np.asarray(t2_ms, dtype=np.float64)))


def relaxation_times(patient: SimulatedPatient, field_t: float) -> npt.NDArray[np.float64]:
    """Return T1 and T2 of the water of every tissue of one patient.

    Returns
    -------
    ndarray of shape (2, tissues)
        Times in ms; the second index is the value in `TissueMaps.tissue`.
    """
    discs = patient.spine.discs
    times = np.ones((2, int(Tissue.DISC) + 3 * len(discs)))
    scale = float(np.interp(field_t, _FIELD_T, _T1_SCALE))
    for tissue, (t1, t2) in _WATER_MS.items():
        times[:, tissue] = t1 * (1.0 if tissue is Tissue.CSF else scale), t2
    times[:, Tissue.MARROW] = patient.marrow_water_t1_ms * scale, patient.marrow_water_t2_ms
    for number, disc in enumerate(discs):
        first = int(Tissue.DISC) + 3 * number
        times[0, first : first + 3] = np.array([1350.0, 1150.0, 950.0]) * scale
        times[1, first] = np.interp(disc.grade, *_NUCLEUS_T2_MS)
        times[1, first + 1] = np.interp(disc.grade, *_INNER_T2_MS)
        times[1, first + 2] = _OUTER_T2_MS
    return times


def echo(protocol: Protocol, t1_ms: npt.ArrayLike, t2_ms: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the signal per unit of proton density in a protocol, spin or gradient echo."""
    if "GR" in protocol.scanning_sequence:
        return gradient_echo(protocol.repetition_ms, protocol.echo_ms, protocol.flip_deg, t1_ms, t2_ms)
    return spin_echo(protocol.repetition_ms, protocol.echo_ms, t1_ms, t2_ms)


def water_signals(patient: SimulatedPatient, protocol: Protocol, field_t: float) -> npt.NDArray[np.float32]:
    """Return the signal of the water of every tissue per unit of density, with the patient's CSF gain."""
    times = relaxation_times(patient, field_t)
    signals = echo(protocol, *times) * _prepared(protocol, times[0])
    heavy_t2 = protocol.repetition_ms > 1500.0
    signals[Tissue.CSF] *= patient.csf_gain_t2 if heavy_t2 else patient.csf_gain_t1
    return signals.astype(np.float32)


def fat_signal(protocol: Protocol, field_t: float) -> float:
    """Return the signal of fat per unit of density, which stays bright on T2 in a long echo train."""
    share = float(np.clip((protocol.echo_train - 1) / 9.0, 0.0, 1.0))
    t2_ms = _FAT_T2_SPIN_ECHO_MS + share * (_FAT_T2_LONG_TRAIN_MS - _FAT_T2_SPIN_ECHO_MS)
    t1_ms = FAT_T1_MS * float(np.interp(field_t, _FIELD_T, _FAT_T1_SCALE))
    return float(protocol.fat_kept * echo(protocol, t1_ms, t2_ms) * _prepared(protocol, t1_ms))


def _prepared(protocol: Protocol, t1_ms: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the signal after an inversion pulse relative to that without one, negative before the null."""
    t1 = np.asarray(t1_ms, dtype=np.float64)
    if protocol.inversion_ms is None:
        return np.ones_like(t1)
    recovered = np.exp(-protocol.repetition_ms / t1)
    return np.asarray((1.0 - 2.0 * np.exp(-protocol.inversion_ms / t1) + recovered) / (1.0 - recovered))
