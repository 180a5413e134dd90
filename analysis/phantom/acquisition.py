"""Simulated acquisition: slices, surface coil, k-space, noise."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.ndimage import affine_transform

from analysis.domain.acquisition import AcquisitionFacts, Contrast
from analysis.domain.segmentation import Level
from analysis.domain.volume import Grid, Volume
from analysis.phantom.anatomy import draw_anatomy
from analysis.phantom.patient import SimulatedPatient
from analysis.phantom.protocol import Protocol, Scanner
from analysis.phantom.signal import echo, fat_signal, water_signals
from analysis.phantom.tissues import Floats, Tissue, TissueMaps

__all__ = ["SimulatedSeries", "simulate"]


_OVERSAMPLING = 16
"""Pixels imaged beyond every edge and discarded, as scanners do to avoid aliasing."""


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedSeries:
    """One series of a simulated patient, with the ground truth.

    Attributes
    ----------
    volume : Volume
        The image.
    labels : ndarray of uint8, shape (slices, rows, columns)
        `Level` values of the vertebral bodies.
    csf : ndarray of bool, same shape
        Cerebrospinal fluid, without the nerve roots in it.
    facts : AcquisitionFacts
        Header facts as the vendor writes them.
    """

    volume: Volume
    labels: npt.NDArray[np.uint8]
    csf: npt.NDArray[np.bool_]
    facts: AcquisitionFacts


@dataclass(frozen=True, slots=True)
class _Placement:
    """Position of the stack: the centre of the image, and the rotation of the patient."""

    lateral_mm: float
    back_mm: float
    up_mm: float
    turn_rad: float
    lean_rad: float


def simulate(
    patient: SimulatedPatient,
    scanner: Scanner,
    protocol: Protocol,
    rng: np.random.Generator,
    maps: TissueMaps | None = None,
) -> SimulatedSeries:
    """Simulate one series of a patient.

    Parameters
    ----------
    patient : SimulatedPatient
        The patient.
    scanner : Scanner
        The scanner, for its field strength and header style.
    protocol : Protocol
        A protocol of the scanner, possibly varied.
    rng : Generator
        Source of the noise and of the position of the slices.
    maps : TissueMaps, optional
        `draw_anatomy(patient)`, to share it between the series of a patient; drawn if missing.

    Returns
    -------
    SimulatedSeries
        Sagittal slices from the patient's left to right; rows run to the feet, columns to the back.
    """
    maps = draw_anatomy(patient) if maps is None else maps
    placement = _place(patient, rng)
    water, fat = _slices(patient, scanner, protocol, maps, placement)
    image = _acquire(water + fat, protocol, rng)
    volume = Volume(_store(image, protocol), _grid(protocol, placement))
    labels = _sample(maps.labels, maps, protocol, placement)
    tissue = _sample(maps.tissue, maps, protocol, placement)
    facts = replace(
        scanner.facts(protocol),
        orientation=tuple(volume.grid.axes[2].tolist() + volume.grid.axes[1].tolist()),
        rows=protocol.matrix,
        columns=protocol.matrix,
        slices=protocol.slices,
        pixel_spacing_mm=volume.grid.spacing_mm[1:],
        slice_spacing_mm=protocol.spacing_mm,
        slice_thickness_mm=protocol.thickness_mm,
    )
    return SimulatedSeries(volume, labels, tissue == Tissue.CSF, facts)


def _place(patient: SimulatedPatient, rng: np.random.Generator) -> _Placement:
    middle = patient.spine.body(Level.L3).centre
    return _Placement(
        lateral_mm=middle[0] + float(rng.normal(0.0, 1.2)),
        back_mm=float(rng.normal(2.0, 9.0)),
        up_mm=float(rng.normal(-14.0, 6.0)),
        turn_rad=float(np.deg2rad(rng.normal(0.0, 2.0))),
        lean_rad=float(np.deg2rad(rng.normal(0.0, 1.5))),
    )


def _grid(protocol: Protocol, placement: _Placement) -> Grid:
    """Return the grid in the scanner's coordinates, in which the patient is slightly rotated."""
    turn, lean = placement.turn_rad, placement.lean_rad
    about_up = np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    about_back = np.array([[np.cos(lean), 0, np.sin(lean)], [0, 1, 0], [-np.sin(lean), 0, np.cos(lean)]])
    axes = np.array([[-1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]]) @ about_up @ about_back
    pixel = protocol.field_of_view_mm / protocol.matrix
    spacing = (protocol.spacing_mm, pixel, pixel)
    shape = (protocol.slices, protocol.matrix, protocol.matrix)
    first = np.array([placement.lateral_mm, placement.back_mm, placement.up_mm])
    first = first - ((np.array(shape) - 1) / 2 * spacing) @ axes
    return Grid(shape, spacing, tuple(first.tolist()), axes)


def _slice_positions(protocol: Protocol, placement: _Placement) -> npt.NDArray[np.float64]:
    steps = (protocol.slices - 1) / 2 - np.arange(protocol.slices, dtype=np.float64)
    positions: npt.NDArray[np.float64] = placement.lateral_mm + steps * protocol.spacing_mm
    return positions


def _resampling(maps: TissueMaps, protocol: Protocol, placement: _Placement) -> tuple[float, list[float]]:
    """Return the step and the offset from rows and columns of the image to those of the maps."""
    pixel, step = protocol.field_of_view_mm / protocol.matrix, float(maps.back_mm[1] - maps.back_mm[0])
    half = (protocol.matrix - 1) / 2 * pixel
    top = (float(maps.up_mm[0]) - (placement.up_mm + half)) / step
    left = ((placement.back_mm - half) - float(maps.back_mm[0])) / step
    return pixel / step, [top, left]


def _slices(
    patient: SimulatedPatient, scanner: Scanner, protocol: Protocol, maps: TissueMaps, placement: _Placement
) -> tuple[Floats, Floats]:
    """Return noise-free images of water and fat, averaged over the slice profile and weighted by the coil."""
    by_tissue = water_signals(patient, protocol, scanner.field_t)
    of_fat = fat_signal(protocol, scanner.field_t)
    distance = _slice_positions(protocol, placement)[:, None] - maps.lateral_mm[None, :]
    profile = np.exp(-np.log(2) * np.abs(2 * distance / protocol.thickness_mm) ** 4)
    profile = (profile / profile.sum(axis=1, keepdims=True)).astype(np.float32)
    water = np.tensordot(profile, np.take(by_tissue, maps.tissue) * maps.water, axes=1)
    fat = np.tensordot(profile, maps.fat, axes=1) * np.float32(of_fat)
    coil = _coil(maps, protocol)
    scale, offset = _resampling(maps, protocol, placement)
    step = float(maps.back_mm[1] - maps.back_mm[0])
    offset = [start - _OVERSAMPLING * scale for start in offset]
    shape = (protocol.matrix + 2 * _OVERSAMPLING, protocol.matrix + 2 * _OVERSAMPLING)
    shifted = [offset[0] - protocol.fat_shift_mm / step, offset[1]]
    return _resample(water * coil, scale, offset, shape), _resample(fat * coil, scale, shifted, shape)


def _resample(stack: Floats, scale: float, offset: list[float], shape: tuple[int, int]) -> Floats:
    resampled = [
        affine_transform(plane, [scale, scale], offset, output_shape=shape, order=1, prefilter=False)
        for plane in stack
    ]
    return np.asarray(resampled, dtype=np.float32)


def _sample(
    values: npt.NDArray[np.uint8], maps: TissueMaps, protocol: Protocol, placement: _Placement
) -> npt.NDArray[np.uint8]:
    """Sample maps by nearest neighbour in the middle of the slices; 0 outside the maps."""
    positions = _slice_positions(protocol, placement)
    planes = np.abs(positions[:, None] - maps.lateral_mm[None, :]).argmin(axis=1)
    covered = np.abs(positions) <= float(maps.lateral_mm[0]) + 1.0
    scale, (top, left) = _resampling(maps, protocol, placement)
    steps = np.arange(protocol.matrix) * scale
    rows, columns = np.rint(steps + top).astype(int), np.rint(steps + left).astype(int)
    inside_rows = (rows >= 0) & (rows < values.shape[1])
    inside_columns = (columns >= 0) & (columns < values.shape[2])
    sampled = values[np.ix_(planes, rows.clip(0, values.shape[1] - 1), columns.clip(0, values.shape[2] - 1))]
    inside = covered[:, None, None] & inside_rows[None, :, None] & inside_columns[None, None, :]
    return np.where(inside, sampled, 0).astype(np.uint8)


def _coil(maps: TissueMaps, protocol: Protocol) -> Floats:
    """Return the sensitivity of a coil under the back, 1 at the bodies, with any anterior saturation band."""
    table = float(np.median(maps.wall_mm)) + 62.0
    away = np.maximum(table - maps.back_mm, 0.0)[None, :]
    reach = protocol.coil_mm
    depth = (1.0 + (62.0 / reach) ** 2) / (1.0 + (away / reach) ** 2)
    along = 1.0 - 0.30 * np.clip((np.abs(maps.up_mm)[:, None] - 95.0) / 75.0, 0.0, 1.2) ** 2
    sensitivity = depth * along
    if protocol.saturation:
        line = np.interp(maps.up_mm, (-170.0, -70.0, 120.0), (-72.0, -44.0, -32.0))
        line = line + np.interp(0.0, maps.up_mm[::-1], maps.wall_mm[::-1]) - 14.0
        sensitivity *= 0.05 + 0.95 / (1.0 + np.exp(-(maps.back_mm[None, :] - line[:, None]) / 4.0))
    return np.asarray(sensitivity[None], dtype=np.float32)


def _acquire(ideal: Floats, protocol: Protocol, rng: np.random.Generator) -> Floats:
    """Simulate k-space sampling, ghosts and noise, and return magnitude images."""
    size = ideal.shape[1]
    frequencies = fft.fftfreq(size)
    kspace = fft.fft2(ideal)
    window = np.outer(*(_window(frequencies, share) for share in protocol.acquired))
    lines = np.arange(size)
    # Breathing and pulsation vary from line to line along the phase encoding, which is from front to back.
    pulse = np.sin(2 * np.pi * lines * rng.uniform(0.11, 0.24) + rng.uniform(0.0, 2 * np.pi))
    pulse += rng.normal(0.0, 0.6, size)
    kspace *= ((1.0 + protocol.ghost * pulse)[None, :] * window).astype(np.complex64)
    sigma = protocol.noise * _marrow_signal(protocol) * size
    noise = rng.standard_normal((2, *ideal.shape), dtype=np.float32) * np.float32(sigma)
    kspace += (noise[0] + 1j * noise[1]) * (window > 0.02)
    kept = slice(_OVERSAMPLING, -_OVERSAMPLING)
    return np.asarray(np.abs(fft.ifft2(kspace)[:, kept, kept]), dtype=np.float32)


def _window(frequencies: npt.NDArray[np.float64], share: float) -> npt.NDArray[np.float64]:
    """Return the weights of k-space: the sampled part, with the mild filter of vendors against ringing."""
    relative = np.abs(frequencies) / (0.5 * share)
    return np.where(relative <= 1.0, 0.62 + 0.38 * np.cos(np.pi * np.minimum(relative, 1.0) * 0.9), 0.0)


def _marrow_signal(protocol: Protocol) -> float:
    """Return the signal of average marrow at 1.5 T, to which the noise of a protocol refers."""
    fat, water = echo(protocol, [343.0, 1030.0], [150.0, 21.0])
    return float(0.88 * (0.48 * fat + 0.52 * water))


def _store(image: Floats, protocol: Protocol) -> Floats:
    """Scale to integer grey values, as a scanner stores them."""
    gain = (240.0 if protocol.contrast is Contrast.T2 else 320.0) / _marrow_signal(protocol)
    stored: Floats = np.clip(np.rint(image * gain), 0, 4095).astype(np.float32)
    return stored
