"""How an MR series was acquired, and how it was identified from that."""

from dataclasses import dataclass
from enum import StrEnum

from analysis.domain.reason import Reason

__all__ = ["AcquisitionFacts", "Contrast", "Identification", "Plane"]


class Contrast(StrEnum):
    """The weighting of a series, or the kind of series that is excluded from analysis."""

    T1 = "T1"
    T2 = "T2"
    PROTON_DENSITY = "PD"
    FAT_SUPPRESSED = "fat-suppressed"
    POST_CONTRAST = "post-contrast"
    DIXON_PART = "Dixon part"
    LOCALISER = "localiser"
    OTHER = "other"
    UNSURE = "unsure"


class Plane(StrEnum):
    """Orientation of the slices, named by the patient axis nearest to their normal."""

    SAGITTAL = "sagittal"
    CORONAL = "coronal"
    AXIAL = "axial"
    OBLIQUE = "oblique"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class AcquisitionFacts:
    """The header facts that identify an MR series; None or empty where the header has no value.

    Attributes
    ----------
    modality : str
        DICOM Modality; only "MR" can be analysed.
    repetition_time_ms, echo_time_ms, inversion_time_ms : float or None
        TR, TE, TI.
    echo_train_length : int or None
        Echoes per excitation.
    flip_angle_deg : float or None
        Nominal flip angle in degrees.
    scanning_sequence, sequence_variant, scan_options, image_type : tuple of str
        The DICOM attributes of these names, upper case, in header order.
    acquisition_type : str
        "2D" or "3D".
    contrast_agent : str
        ContrastBolusAgent.
    field_strength_t : float or None
        MagneticFieldStrength, in tesla.
    vendor, model, body_part, study_description, series_description, protocol_name, sequence_name : str
        As in the header.
    orientation : tuple of six float, or None
        ImageOrientationPatient: row cosines, then column cosines.
    rows, columns, slices : int
        Size of the stack.
    pixel_spacing_mm : tuple of two float, or None
        Distance between rows and between columns.
    slice_spacing_mm, slice_thickness_mm : float or None
        Distance between slice centres; nominal thickness.

    References
    ----------
    DICOM PS3.3 C.8.3.1, MR Image Module; C.8.13, Enhanced MR functional groups.
    """

    modality: str = "MR"
    repetition_time_ms: float | None = None
    echo_time_ms: float | None = None
    inversion_time_ms: float | None = None
    echo_train_length: int | None = None
    flip_angle_deg: float | None = None
    scanning_sequence: tuple[str, ...] = ()
    sequence_variant: tuple[str, ...] = ()
    scan_options: tuple[str, ...] = ()
    image_type: tuple[str, ...] = ()
    acquisition_type: str = ""
    contrast_agent: str = ""
    field_strength_t: float | None = None
    vendor: str = ""
    model: str = ""
    body_part: str = ""
    study_description: str = ""
    series_description: str = ""
    protocol_name: str = ""
    sequence_name: str = ""
    orientation: tuple[float, float, float, float, float, float] | None = None
    rows: int = 0
    columns: int = 0
    slices: int = 0
    pixel_spacing_mm: tuple[float, float] | None = None
    slice_spacing_mm: float | None = None
    slice_thickness_mm: float | None = None


@dataclass(frozen=True, slots=True)
class Identification:
    """What a series is, and why.

    Attributes
    ----------
    contrast : Contrast
        Its weighting, or UNSURE.
    plane : Plane
        Its orientation.
    lumbar : bool or None
        Whether it shows the lumbar spine according to the header; None if the header does not tell.
    score : float
        0 to 1, how strongly the facts agree on the contrast.
    reasons : tuple of Reason
        The reasons; the last one is decisive.
    """

    contrast: Contrast
    plane: Plane
    lumbar: bool | None
    score: float
    reasons: tuple[Reason, ...]

    @property
    def usable(self) -> bool:
        """Whether the series may be analysed: sagittal T1 or T2, and not known to show another region."""
        return (
            self.contrast in {Contrast.T1, Contrast.T2}
            and self.plane is Plane.SAGITTAL
            and self.lumbar is not False
        )
