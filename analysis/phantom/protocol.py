"""Protocols of acquisition, and their variation from patient to patient."""

from dataclasses import dataclass, replace

import numpy as np

from analysis.domain.acquisition import AcquisitionFacts, Contrast

__all__ = ["Protocol", "Scanner", "vary"]


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
