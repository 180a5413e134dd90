"""Protocols of acquisition, and their variation from patient to patient."""

from dataclasses import dataclass, replace

import numpy as np

from analysis.domain.acquisition import AcquisitionFacts, Contrast

__all__ = ["Protocol", "Scanner", "fat_suppressed", "inverted", "vary"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """How one series is acquired.

    Attributes
    ----------
    contrast : Contrast
        The intended contrast.
    repetition_ms, echo_ms, flip_deg : float
        TR, TE and nominal refocusing or excitation angle as the vendor writes it.
    echo_train : int
        Echoes per excitation.
    slices : int
        Number of slices.
    thickness_mm, spacing_mm : float
        Slice thickness, and distance between slice centres.
    matrix : int
        Rows and columns of the stored image.
    field_of_view_mm : float
        Side of the stored image.
    acquired : tuple of float
        Fraction of k-space sampled along rows and columns of the stored matrix; the rest is zero-filled.
    noise : float
        Standard deviation of the noise relative to the signal of average marrow in this protocol.
    ghost : float
        Strength of the ghosts from breathing and pulsation.
    coil_mm : float
        Depth at which the sensitivity of the surface coil is halved, after the vendor's correction.
    fat_shift_mm : float
        Chemical shift along the readout direction (feet to head).
    saturation : bool
        Whether a saturation band lies over the abdomen.
    scanning_sequence, variant, options, image_type : tuple of str
        Header attributes.
    description, protocol_name, sequence_name, body_part : str
        Header attributes.
    fat_kept : float
        Fraction of the signal of fat that a preparation leaves; 1 without fat suppression.
    inversion_ms : float or None
        TI of an inversion recovery (STIR, TIRM); None without an inversion pulse.
    """

    contrast: Contrast
    repetition_ms: float
    echo_ms: float
    flip_deg: float
    echo_train: int
    slices: int
    thickness_mm: float
    spacing_mm: float
    matrix: int
    field_of_view_mm: float
    acquired: tuple[float, float]
    noise: float
    ghost: float
    coil_mm: float
    fat_shift_mm: float
    saturation: bool
    scanning_sequence: tuple[str, ...]
    variant: tuple[str, ...]
    options: tuple[str, ...]
    image_type: tuple[str, ...]
    description: str
    protocol_name: str
    sequence_name: str
    body_part: str
    fat_kept: float = 1.0
    inversion_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Scanner:
    """One MR system with its sagittal lumbar protocols.

    Attributes
    ----------
    vendor, model : str
        Manufacturer and model name as in its headers.
    field_t : float
        Field strength as in the header, in tesla.
    site : str
        Invented name of its site.
    t1, t2 : Protocol
        The two sagittal series.
    localiser : Protocol
        The localiser, which must not be measured.
    """

    vendor: str
    model: str
    field_t: float
    site: str
    t1: Protocol
    t2: Protocol
    localiser: Protocol

    def facts(self, protocol: Protocol) -> AcquisitionFacts:
        """Return the header facts that do not depend on the position of the patient."""
        return AcquisitionFacts(
            modality="MR",
            repetition_time_ms=protocol.repetition_ms,
            echo_time_ms=protocol.echo_ms,
            inversion_time_ms=protocol.inversion_ms,
            echo_train_length=protocol.echo_train,
            flip_angle_deg=protocol.flip_deg,
            scanning_sequence=protocol.scanning_sequence,
            sequence_variant=protocol.variant,
            scan_options=protocol.options,
            image_type=protocol.image_type,
            acquisition_type="2D",
            field_strength_t=self.field_t,
            vendor=self.vendor,
            model=self.model,
            body_part=protocol.body_part,
            series_description=protocol.description,
            protocol_name=protocol.protocol_name,
            sequence_name=protocol.sequence_name,
        )


def fat_suppressed(protocol: Protocol, *, fat_kept: float = 0.1) -> Protocol:
    """Return a protocol with spectral fat suppression, which leaves a small part of the signal of fat."""
    return replace(
        protocol,
        contrast=Contrast.FAT_SUPPRESSED,
        fat_kept=fat_kept,
        options=(*protocol.options, "FS"),
        description=f"{protocol.description} fs",
    )


def inverted(protocol: Protocol, *, inversion_ms: float) -> Protocol:
    """Return a short-tau inversion recovery (STIR, TIRM) with the echoes of a T2 protocol.

    The signal of fat passes through zero at about 0.69 of its T1 (`analysis.phantom.signal.FAT_T1_MS`).
    """
    return replace(
        protocol,
        contrast=Contrast.FAT_SUPPRESSED,
        repetition_ms=max(protocol.repetition_ms, 4000.0),
        echo_ms=min(protocol.echo_ms, 60.0),
        inversion_ms=inversion_ms,
        scanning_sequence=(*protocol.scanning_sequence, "IR"),
        description=f"{protocol.description} tirm",
    )


def vary(protocol: Protocol, rng: np.random.Generator) -> Protocol:
    """Vary TR, TE, coverage, field of view and noise of a protocol, as between patients.

    One series in twelve is poor: twice the noise, motion, or fewer slices.
    """
    repetition = protocol.repetition_ms * float(np.clip(rng.normal(1.0, 0.06), 0.85, 1.15))
    slices = protocol.slices + int(rng.integers(0, 4))
    varied = replace(
        protocol,
        repetition_ms=round(repetition, 1),
        echo_ms=round(protocol.echo_ms * float(np.clip(rng.normal(1.0, 0.03), 0.93, 1.07)), 2),
        slices=slices,
        field_of_view_mm=round(protocol.field_of_view_mm * float(rng.uniform(0.96, 1.04)), 1),
        noise=protocol.noise * float(rng.uniform(0.8, 1.3)),
        ghost=protocol.ghost * float(rng.lognormal(0.0, 0.4)),
    )
    match int(rng.integers(36)):
        case 0:
            return replace(varied, noise=2.2 * varied.noise)
        case 1:
            return replace(varied, ghost=0.09 + varied.ghost)
        case 2:
            return replace(varied, slices=11)
        case _:
            return varied
