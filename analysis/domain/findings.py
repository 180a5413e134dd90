"""What the analysis of one study found; the only thing the templates see of the science."""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from analysis.domain.acquisition import AcquisitionFacts, Contrast, Identification
from analysis.domain.reason import Reason
from analysis.domain.segmentation import Level, Segmentation
from analysis.domain.volume import Volume

__all__ = [
    "Agreement",
    "BoneQuality",
    "Findings",
    "LevelMeasurements",
    "ModelIdentity",
    "Outline",
    "Prediction",
    "Refusal",
    "SeriesFindings",
    "SeriesInput",
    "SeriesRefusal",
    "Target",
    "Verdict",
]


class Target(StrEnum):
    """What is predicted, each by its QCT threshold (`ModelIdentity.thresholds_mg_cm3`)."""

    OSTEOPOROSIS = "osteoporosis"
    ABNORMAL_DENSITY = "abnormal bone density"


class Verdict(StrEnum):
    """What the conformal set says at the model's level of confidence."""

    LIKELY = "likely"
    UNLIKELY = "unlikely"
    INDETERMINATE = "indeterminate"


@dataclass(frozen=True, slots=True, eq=False)
class SeriesInput:
    """One series that passed decoding.

    Attributes
    ----------
    series_uid : str
        Series Instance UID; an opaque key here.
    facts : AcquisitionFacts
        From its headers.
    volume : Volume
        Its voxels, slices sorted along the grid's axis 0.
    digest : str
        SHA-256 over the instances' digests in slice order: what the result cites as its input.
    frame_of_reference : str
        Frame of Reference UID; an opaque key here, empty if the header is silent.
    frames : tuple of int
        Number of each slice in its multi-frame object, from 1; empty where every slice is its own object.
    """

    series_uid: str
    facts: AcquisitionFacts
    volume: Volume
    digest: str
    frame_of_reference: str = ""
    frames: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """The border of one region on one slice.

    Attributes
    ----------
    slice_index : int
        Along array axis 0.
    points : ndarray of shape (n, 2)
        (column, row) in pixels, the centre of the top left pixel at (0.5, 0.5) as DICOM SCOORD has it;
        closed, so that the last point repeats the first.
    """

    slice_index: int
    points: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LevelMeasurements:
    """What was measured in one vertebral body of one series.

    Attributes
    ----------
    level : Level
        Its name.
    volume_ml : float
        Volume of the mask.
    mean_signal, median_signal, sd_signal : float
        Of the modality values, arbitrary units.
    vbq : float or None
        Median signal over the CSF's at L3; None where the CSF was not valid.
    features : dict of str to float
        Radiomics by pyradiomics' names ("original_firstorder_Mean"); empty for a region that is not usable.
    outline : Outline or None
        On the mid-sagittal slice.
    """

    level: Level
    volume_ml: float
    mean_signal: float
    median_signal: float
    sd_signal: float
    vbq: float | None
    features: dict[str, float] = field(default_factory=dict)
    outline: Outline | None = None


@dataclass(frozen=True, slots=True)
class BoneQuality:
    """The vertebral bone quality score of one series.

    Attributes
    ----------
    score : float or None
        Median signal of L1 to L4 over the CSF's at L3; None with `concerns` saying why.
    levels : tuple of Level
        The bodies that went into it.
    csf_signal : float or None
        Median signal of the CSF at L3.
    csf_quality : float
        0 to 1.
    concerns : tuple of Reason
        Why it is missing or doubtful.
    """

    score: float | None
    levels: tuple[Level, ...]
    csf_signal: float | None
    csf_quality: float
    concerns: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SeriesFindings:
    """One analysed series.

    Attributes
    ----------
    source : SeriesInput
        What was analysed.
    identification : Identification
        Its contrast and why; `identification.contrast` is T1 or T2.
    segmentation : Segmentation
        Labelled bodies on the source's grid.
    measurements : tuple of LevelMeasurements
        From cranial to caudal, the lumbar levels that were found.
    bone_quality : BoneQuality
        VBQ of this series.
    patient_features : dict of str to float
        Radiomics aggregated over the usable bodies, which the model reads; empty when too few are usable.
    mid_slice : int
        Index of the mid-sagittal slice, which the outlines lie on.
    """

    source: SeriesInput
    identification: Identification
    segmentation: Segmentation
    measurements: tuple[LevelMeasurements, ...]
    bone_quality: BoneQuality
    patient_features: dict[str, float]
    mid_slice: int


@dataclass(frozen=True, slots=True)
class SeriesRefusal:
    """A series that was looked at and not analysed, or set aside for a better one.

    Attributes
    ----------
    series_uid : str
        Which.
    description : Reason
        What kind of series it is, made from facts that hold no patient data ("sagittal T1, 15 slices").
    reasons : tuple of Reason
        Why not.
    """

    series_uid: str
    description: Reason
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model spoke.

    Attributes
    ----------
    name, version : str
        As in its card.
    digest : str
        SHA-256 (hex) of the bundle.
    cohort : str
        One sentence on whom it was trained.
    intended_use : str
        One sentence from its card.
    simulated : bool
        Whether the cohort was simulated; then every result says so first.
    thresholds_mg_cm3 : dict of Target to float
        QCT trabecular BMD below which the target holds.
    """

    name: str
    version: str
    digest: str
    cohort: str
    intended_use: str
    simulated: bool
    thresholds_mg_cm3: dict[Target, float]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one target.

    Attributes
    ----------
    target : Target
        What was asked.
    sequence : str
        "T1", "T2" or "T1+T2": what the answer rests on.
    preferred : Contrast
        What the site's configuration has this target answered from where it is there.
    verdict : Verdict
        INDETERMINATE whenever the model abstains.
    probability : float or None
        Calibrated, 0 to 1; None when the model abstains.
    interval : tuple of two float, or None
        95 % interval of the probability.
    decision_threshold : float
        Probability from which the card calls the target present.
    reasons : tuple of Reason
        Why it abstains, or what the reader must know ("T2 was missing, T1 was used").
    features : tuple of str
        Which of `SeriesFindings.patient_features` the answer rests on; the report lists these and no others.
    """

    target: Target
    sequence: str
    preferred: Contrast
    verdict: Verdict
    probability: float | None
    interval: tuple[float, float] | None
    decision_threshold: float
    reasons: tuple[Reason, ...] = ()
    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well the T1 and the T2 of a study show the same bodies under the same names.

    Attributes
    ----------
    bodies : int
        Bodies that both show; below 2 nothing was compared.
    registered : bool
        Whether the images had to be registered, because their headers do not put the bodies together.
    residual_mm : float or None
        Median distance of the bodies' centres after that; None without bodies in common.
    overlap : float or None
        Mean Dice of the bodies that both show.
    same_names : bool
        Whether both named the bodies alike before one learnt from the other.
    """

    bodies: int
    registered: bool
    residual_mm: float | None
    overlap: float | None
    same_names: bool


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What the analysis of one study found.

    Attributes
    ----------
    series : tuple of SeriesFindings
        Analysed series, T1 before T2, at most one each.
    set_aside : tuple of SeriesRefusal
        The others, with reasons.
    predictions : tuple of Prediction
        One per target; empty without a model.
    model : ModelIdentity or None
        Who predicted.
    configuration_digest : str
        SHA-256 (hex) over the analysis configuration.
    software : str
        Name and version of this program.
    agreement : Agreement or None
        Of T1 with T2; None when only one of them was segmented.
    """

    series: tuple[SeriesFindings, ...]
    set_aside: tuple[SeriesRefusal, ...]
    predictions: tuple[Prediction, ...]
    model: ModelIdentity | None
    configuration_digest: str
    software: str
    agreement: Agreement | None = None

    def of(self, contrast: Contrast) -> SeriesFindings | None:
        """Return the analysed series of that contrast, or None."""
        return next((found for found in self.series if found.identification.contrast is contrast), None)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A study from which nothing is reported, and why.

    Attributes
    ----------
    reasons : tuple of Reason
        For the whole study, without patient data.
    series : tuple of SeriesRefusal
        Series by series.
    """

    reasons: tuple[Reason, ...]
    series: tuple[SeriesRefusal, ...] = ()
