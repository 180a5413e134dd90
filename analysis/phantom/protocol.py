"""Scanners and their lumbar protocols, with headers in the habit of each vendor."""

from dataclasses import dataclass, replace

import numpy as np

from analysis.domain.acquisition import AcquisitionFacts, Contrast

__all__ = ["SCANNERS", "Protocol", "Scanner", "vary"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """How one series is acquired.

    Attributes
    ----------
    contrast : Contrast
        T1 or T2, as intended.
    repetition_ms, echo_ms, flip_deg : float
        TR, TE and nominal refocusing or excitation angle as the vendor writes it.
    echo_train : int
        Echoes per excitation.
    slices : int
        How many.
    thickness_mm, spacing_mm : float
        Of a slice, and between slice centres.
    matrix : int
        Rows and columns of the stored image.
    field_of_view_mm : float
        Its side.
    acquired : tuple of float
        Share of k-space sampled along rows and columns of the stored matrix; the rest is filled with zeros.
    noise : float
        Standard deviation of the noise over the signal of average marrow in T1.
    ghost : float
        Strength of the ghosts of breathing and pulsation.
    coil_mm : float
        Depth at which the surface coil has lost half its sensitivity; what the vendor's correction leaves.
    fat_shift_mm : float
        Chemical shift along the readout (feet to head).
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
        Manufacturer and model name as the headers have them.
    field_t : float
        Field strength as in the header, in tesla.
    site : str
        Where it (does not) stand.
    t1, t2 : Protocol
        The two sagittal series.
    localiser : Protocol
        The quick look that comes first, and that nothing may be measured in.
    """

    vendor: str
    model: str
    field_t: float
    site: str
    t1: Protocol
    t2: Protocol
    localiser: Protocol

    def facts(self, protocol: Protocol) -> AcquisitionFacts:
        """Header facts that do not depend on the patient's position."""
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


_SIEMENS_T1 = Protocol(
    contrast=Contrast.T1,
    repetition_ms=620.0,
    echo_ms=9.6,
    flip_deg=150.0,
    echo_train=3,
    slices=15,
    thickness_mm=4.0,
    spacing_mm=4.4,
    matrix=384,
    field_of_view_mm=280.0,
    acquired=(0.98, 0.78),
    noise=0.045,
    ghost=0.012,
    coil_mm=260.0,
    fat_shift_mm=0.9,
    saturation=True,
    scanning_sequence=("SE",),
    variant=("SK", "SP", "OSP"),
    options=("SAT1",),
    image_type=("ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D"),
    description="t1_tse_sag_p2_384",
    protocol_name="t1_tse_sag_p2_384",
    sequence_name="*tse2d1_3",
    body_part="LSPINE",
)
_SIEMENS_T2 = replace(
    _SIEMENS_T1,
    contrast=Contrast.T2,
    repetition_ms=3500.0,
    echo_ms=98.0,
    echo_train=17,
    noise=0.030,
    ghost=0.020,
    image_type=("ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D", "FM", "FIL"),
    description="t2_tse_sag_p2_384",
    protocol_name="t2_tse_sag_p2_384",
    sequence_name="*tseR2d1rr17",
)
_GE_T1 = Protocol(
    contrast=Contrast.T1,
    repetition_ms=567.0,
    echo_ms=10.448,
    flip_deg=90.0,
    echo_train=4,
    slices=15,
    thickness_mm=4.0,
    spacing_mm=5.0,
    matrix=512,
    field_of_view_mm=300.0,
    acquired=(0.75, 0.50),
    noise=0.055,
    ghost=0.014,
    coil_mm=190.0,
    fat_shift_mm=1.3,
    saturation=True,
    scanning_sequence=("SE",),
    variant=("SK", "OSP"),
    options=("FAST_GEMS", "SAT_GEMS", "NPW", "TRF_GEMS", "FILTERED_GEMS", "SP"),
    image_type=("ORIGINAL", "PRIMARY", "OTHER"),
    description="SAG T1",
    protocol_name="L SPINE/3",
    sequence_name="",
    body_part="",
)
_GE_T2 = replace(
    _GE_T1,
    contrast=Contrast.T2,
    repetition_ms=2900.0,
    echo_ms=110.088,
    echo_train=23,
    noise=0.035,
    ghost=0.020,
    description="SAG T2",
)
_PHILIPS_T1 = Protocol(
    contrast=Contrast.T1,
    repetition_ms=540.5118,
    echo_ms=8.0,
    flip_deg=90.0,
    echo_train=5,
    slices=16,
    thickness_mm=4.0,
    spacing_mm=4.4,
    matrix=448,
    field_of_view_mm=290.0,
    acquired=(0.82, 0.66),
    noise=0.040,
    ghost=0.012,
    coil_mm=320.0,
    fat_shift_mm=0.7,
    saturation=True,
    scanning_sequence=("SE",),
    variant=("SK",),
    options=("OTHER",),
    image_type=("ORIGINAL", "PRIMARY", "M_SE", "M", "SE"),
    description="T1W_TSE_sag",
    protocol_name="T1W_TSE_sag",
    sequence_name="",
    body_part="LSPINE",
)
_PHILIPS_T2 = replace(
    _PHILIPS_T1,
    contrast=Contrast.T2,
    repetition_ms=2796.3364,
    echo_ms=100.0,
    echo_train=21,
    noise=0.028,
    ghost=0.018,
    description="T2W_TSE_sag",
    protocol_name="T2W_TSE_sag",
)
_CANON_T1 = Protocol(
    contrast=Contrast.T1,
    repetition_ms=500.0,
    echo_ms=12.0,
    flip_deg=90.0,
    echo_train=3,
    slices=15,
    thickness_mm=4.0,
    spacing_mm=4.8,
    matrix=320,
    field_of_view_mm=275.0,
    acquired=(0.96, 0.75),
    noise=0.060,
    ghost=0.016,
    coil_mm=210.0,
    fat_shift_mm=1.1,
    saturation=False,
    scanning_sequence=("SE",),
    variant=("NONE",),
    options=("PFP",),
    image_type=("ORIGINAL", "PRIMARY", "GDC"),
    description="Sag T1W FSE",
    protocol_name="Sag T1W FSE",
    sequence_name="FSE2D+0.5",
    body_part="LSPINE",
)
_CANON_T2 = replace(
    _CANON_T1,
    contrast=Contrast.T2,
    repetition_ms=3200.0,
    echo_ms=108.0,
    echo_train=15,
    noise=0.035,
    ghost=0.022,
    description="Sag T2W FSE",
    protocol_name="Sag T2W FSE",
    sequence_name="FSE2D+7",
)
_UIH_T1 = Protocol(
    contrast=Contrast.T1,
    repetition_ms=650.0,
    echo_ms=8.96,
    flip_deg=130.0,
    echo_train=4,
    slices=17,
    thickness_mm=4.0,
    spacing_mm=4.4,
    matrix=512,
    field_of_view_mm=280.0,
    acquired=(0.72, 0.58),
    noise=0.045,
    ghost=0.012,
    coil_mm=280.0,
    fat_shift_mm=0.8,
    saturation=True,
    scanning_sequence=("SE",),
    variant=("SK",),
    options=("SP",),
    image_type=("ORIGINAL", "PRIMARY", "M", "UCA", "IF"),
    description="t1_fse_sag",
    protocol_name="t1_fse_sag",
    sequence_name="fse",
    body_part="L_SPINE",
)
_UIH_T2 = replace(
    _UIH_T1,
    contrast=Contrast.T2,
    repetition_ms=2900.0,
    echo_ms=105.6,
    echo_train=16,
    noise=0.030,
    ghost=0.018,
    description="t2_fse_sag",
    protocol_name="t2_fse_sag",
)
_HITACHI_T1 = Protocol(
    contrast=Contrast.T1,
    repetition_ms=420.0,
    echo_ms=20.0,
    flip_deg=90.0,
    echo_train=2,
    slices=12,
    thickness_mm=5.0,
    spacing_mm=6.0,
    matrix=256,
    field_of_view_mm=300.0,
    acquired=(0.90, 0.72),
    noise=0.115,
    ghost=0.025,
    coil_mm=180.0,
    fat_shift_mm=0.5,
    saturation=False,
    scanning_sequence=("SE",),
    variant=("SK", "OSP"),
    options=("FC", "SP"),
    image_type=("ORIGINAL", "PRIMARY", "OTHER"),
    description="T1 SE SAG",
    protocol_name="",
    sequence_name="SE",
    body_part="L_SPINE",
)
_HITACHI_T2 = replace(
    _HITACHI_T1,
    contrast=Contrast.T2,
    repetition_ms=3500.0,
    echo_ms=125.0,
    echo_train=10,
    noise=0.070,
    variant=("SK", "DE", "OSP"),
    description="T2 DE SAG",
    sequence_name="FSE",
)


def _localiser(t1: Protocol, description: str, sequence_name: str) -> Protocol:
    """Return the scanner's quick gradient echo of three thick slices."""
    return replace(
        t1,
        contrast=Contrast.LOCALISER,
        repetition_ms=8.6,
        echo_ms=4.0,
        flip_deg=20.0,
        echo_train=1,
        slices=3,
        thickness_mm=8.0,
        spacing_mm=16.0,
        matrix=256,
        field_of_view_mm=360.0,
        acquired=(0.9, 0.6),
        noise=0.10,
        saturation=False,
        scanning_sequence=("GR",),
        variant=("SP", "OSP"),
        options=(),
        description=description,
        protocol_name=description,
        sequence_name=sequence_name,
    )


SCANNERS: tuple[Scanner, ...] = (
    Scanner(
        "SIEMENS",
        "MAGNETOM_ESSENZA",
        1.5,
        "siemens-1",
        _SIEMENS_T1,
        _SIEMENS_T2,
        _localiser(_SIEMENS_T1, "localizer", "*fl2d1"),
    ),
    Scanner(
        "GE MEDICAL SYSTEMS", "Signa HDxt", 1.5, "ge-1", _GE_T1, _GE_T2, _localiser(_GE_T1, "3-pl Loc", "")
    ),
    Scanner(
        "Philips",
        "Ingenia S",
        1.5,
        "philips-1",
        _PHILIPS_T1,
        _PHILIPS_T2,
        _localiser(_PHILIPS_T1, "Survey", ""),
    ),
    Scanner(
        "CANON_MEC",
        "Galan 3T",
        3.0,
        "canon-1",
        _CANON_T1,
        _CANON_T2,
        _localiser(_CANON_T1, "Locator", "FE2D"),
    ),
    Scanner("UIH", "uMR 770", 3.0, "uih-1", _UIH_T1, _UIH_T2, _localiser(_UIH_T1, "localizer", "gre")),
    Scanner(
        "HITACHI MEDICAL CORPORATION",
        "AIRIS II",
        0.3,
        "hitachi-1",
        _HITACHI_T1,
        _HITACHI_T2,
        _localiser(_HITACHI_T1, "SCANOGRAM", "GE"),
    ),
)
"""Vendors, models and header habits as real public headers show them; sites and stations are invented."""


def vary(protocol: Protocol, rng: np.random.Generator) -> Protocol:
    """Change a protocol as a technician does from patient to patient: TR, TE, coverage, field of view, noise.

    One series in twelve turns out bad: twice the noise, or moved, or fewer slices.
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
