"""The results of the analysis of one study, which the templates turn into DICOM objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from analysis.domain.acquisition import AcquisitionFacts, Contrast, Identification
from analysis.domain.examination import Comparison
from analysis.domain.readings import Reading
from analysis.domain.reason import Reason
from analysis.domain.remoteness import Departure, TrainingDistance
from analysis.domain.segmentation import Judgement, Level, Segmentation
from analysis.domain.target import Target
from analysis.domain.volume import Volume

__all__ = [
    "Agreement",
    "AnswerFigures",
    "BoneQuality",
    "Findings",
    "LevelMeasurements",
    "ModelIdentity",
    "Outline",
    "Prediction",
    "ProtocolRange",
    "Refusal",
    "SeriesFindings",
    "SeriesInput",
    "SeriesRefusal",
    "Target",
    "Verdict",
]


class Verdict(StrEnum):
    """The answer to a target: on which side of the decision threshold its probability lies.

    It is indeterminate where the interval of the probability holds the threshold, or where the conformal set
    does not hold that answer alone, and whenever the model abstains.
    """

    ABOVE = "above the decision threshold"
    BELOW = "below the decision threshold"
    INDETERMINATE = "indeterminate"


@dataclass(frozen=True, slots=True, eq=False)
class SeriesInput:
    """One decoded series.

    Attributes
    ----------
    series_uid : str
        Series Instance UID, used as an opaque key.
    facts : AcquisitionFacts
        Facts from its headers.
    volume : Volume
        Its voxels, with slices sorted along axis 0 of the grid.
    digest : str
        SHA-256 over the digests of the instances in slice order; results cite it as their input.
    frame_of_reference : str
        Frame of Reference UID, used as an opaque key; empty if the header has none.
    frames : tuple of int
        Frame number of each slice in its multi-frame object, from 1; empty for single-frame objects.
    acquired : date or None
        Day of its acquisition; None if the header has none.
    """

    series_uid: str
    facts: AcquisitionFacts
    volume: Volume
    digest: str
    frame_of_reference: str = ""
    frames: tuple[int, ...] = ()
    acquired: date | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """The border of one region on one slice.

    Attributes
    ----------
    slice_index : int
        Index of the slice along array axis 0.
    points : ndarray of shape (n, 2)
        (column, row) in pixels; the centre of the top left pixel is (0.5, 0.5) as in DICOM SCOORD. The
        polygon is closed: the last point repeats the first.
    """

    slice_index: int
    points: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LevelMeasurements:
    """Measurements of one vertebral body in one series.

    Attributes
    ----------
    level : Level
        The vertebral level.
    volume_ml : float
        Volume of the mask (`Region.volume_ml`).
    mean_signal, median_signal, sd_signal : float
        Statistics of the modality values, arbitrary units.
    vbq : float or None
        Median signal divided by that of the CSF at L3; None without a valid CSF sample.
    features : dict of str to float
        Radiomics by pyradiomics' names ("original_firstorder_Mean"); empty for an unusable region.
    outline : Outline or None
        Outline on the mid-sagittal slice.
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
        Median signal of L1 to L4 divided by that of the CSF at L3; if None, `concerns` says why.
    levels : tuple of Level
        The bodies that were measured for it.
    csf_signal : float or None
        Median signal of the CSF at L3; None without a valid sample.
    csf_quality : float
        Quality of the CSF sample, 0 to 1.
    concerns : tuple of Reason
        Why the score is missing or doubtful.
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
        The analysed series.
    identification : Identification
        Its identification; `identification.contrast` is T1 or T2.
    segmentation : Segmentation
        Labelled bodies on the grid of the source.
    measurements : tuple of LevelMeasurements
        The lumbar levels that were found, from cranial to caudal.
    bone_quality : BoneQuality
        VBQ of this series.
    patient_features : dict of str to float
        Radiomics aggregated over the usable bodies, the input of the model; empty if too few are usable.
    mid_slice : int
        Index of the mid-sagittal slice, on which the outlines lie.
    minimum_usable_levels : int
        The configured minimum that the analysis was run with.
    """

    source: SeriesInput
    identification: Identification
    segmentation: Segmentation
    measurements: tuple[LevelMeasurements, ...]
    bone_quality: BoneQuality
    patient_features: dict[str, float]
    mid_slice: int
    minimum_usable_levels: int

    @property
    def judgement(self) -> Judgement:
        """The quality of the segmentation as a whole."""
        return self.segmentation.judge(self.minimum_usable_levels)


_PREFERRED = frozenset({"another_alike", "another_analysed"})
"""Reasons of a series for which another of its kind was chosen."""


@dataclass(frozen=True, slots=True)
class SeriesRefusal:
    """A series that was not analysed, or set aside for a better one.

    Attributes
    ----------
    series_uid : str
        Series Instance UID.
    description : Reason
        What kind of series it is, without patient data ("sagittal T1w, 15 slices").
    reasons : tuple of Reason
        Why it was not analysed.
    contrast : Contrast or None
        T1 or T2 if its header alone would allow to analyse it; None for a series of another kind.
    """

    series_uid: str
    description: Reason
    reasons: tuple[Reason, ...]
    contrast: Contrast | None = None

    @property
    def is_decisive(self) -> bool:
        """Whether it was to be analysed: T1 or T2, and no other of its kind was preferred."""
        return self.contrast is not None and self.reasons[-1].code not in _PREFERRED


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The model behind a prediction, as its card describes it.

    Attributes
    ----------
    name, version : str
        Name and version of the model.
    digest : str
        SHA-256 (hex) of the bundle.
    cohort : str
        One sentence about the patients that it was trained on.
    intended_use : str
        One sentence about its intended use.
    simulated : bool
        Whether the cohort was simulated; if so, every result says it first.
    thresholds_mg_cm3 : dict of Target to float
        QCT trabecular BMD below which a target is present.
    """

    name: str
    version: str
    digest: str
    cohort: str
    intended_use: str
    simulated: bool
    thresholds_mg_cm3: dict[Target, float]


@dataclass(frozen=True, slots=True)
class AnswerFigures:
    """How right the answers of a classifier were, for patients that it had not seen.

    Patients whose answer stayed indeterminate are left out, so these figures are those of the answers that a
    report gives.

    Attributes
    ----------
    patients, present : int
        Number of patients, and of those with the target.
    answered : int
        Number of patients with an answer; the others stayed indeterminate.
    values : dict of str to float
        "sensitivity", "specificity", "PPV" and "NPV" of the answers, "answered" (their share) and "AUC" (of
        all patients). A figure without any patient to count is left out.
    intervals : dict of str to tuple of two float
        95 % intervals by the same names.
    """

    patients: int
    present: int
    answered: int
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class ProtocolRange:
    """The acquisitions that a classifier was trained on; beyond them it abstains.

    Attributes
    ----------
    repetition_time_ms, echo_time_ms, field_strength_t : tuple of two float, or None
        Lowest and highest value; None if no header of the cohort had one.
    """

    repetition_time_ms: tuple[float, float] | None
    echo_time_ms: tuple[float, float] | None
    field_strength_t: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one target.

    Attributes
    ----------
    target : Target
        The predicted target.
    sequence : str
        What the answer is based on: "T1", "T2" or "T1+T2".
    preferred : str
        What the configuration prefers for this target; one of the same.
    verdict : Verdict
        INDETERMINATE whenever the model abstains.
    probability : float or None
        Calibrated probability of the target, 0 to 1; None when the model abstains.
    interval : tuple of two float, or None
        95 % interval of the probability; None when the model abstains.
    decision_threshold : float
        Probability from which the target is called present.
    reasons : tuple of Reason
        Why the model abstains, or what the reader must know ("T2 was missing, T1 was used").
    features : tuple of str
        Keys of `SeriesFindings.patient_features` that the answer is based on; the report lists only these.
        With "T1+T2" each has its sequence in front (`analysis.domain.basis.name_within`).
    answers : AnswerFigures or None
        How right the answers of this classifier were in cross-validation; None if that is not known.
    by_sequence : dict of str to AnswerFigures
        The same of every classifier of this target, by its sequence: the sequence that did best in a paper
        need not be the one that does best in this model.
    trained_on : dict of str to ProtocolRange
        What this classifier was trained on, by sequence; empty if that is not known.
    age_and_sex : bool
        Whether this classifier was trained with the age and sex of the patients, and needs both.
    estimate : float or None
        The probability also where it is too uncertain for an answer; None if the classifier was not asked.
        No report states it as an answer.
    distance, distance_limit : float or None
        How far the features lie from those of the training patients (dimensionless), and the 99th percentile
        of theirs; None where that is not known.
    """

    target: Target
    sequence: str
    preferred: str
    verdict: Verdict
    probability: float | None
    interval: tuple[float, float] | None
    decision_threshold: float
    reasons: tuple[Reason, ...] = ()
    features: tuple[str, ...] = ()
    answers: AnswerFigures | None = None
    by_sequence: dict[str, AnswerFigures] = field(default_factory=dict)
    trained_on: dict[str, ProtocolRange] = field(default_factory=dict)
    age_and_sex: bool = False
    estimate: float | None = None
    distance: float | None = None
    distance_limit: float | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well T1 and T2 of a study agree about the bodies and their levels.

    Attributes
    ----------
    bodies : int
        Number of bodies that both show; with fewer than 2 nothing was compared.
    registered : bool
        Whether the images were registered because the header positions do not match.
    residual_mm : float or None
        Median distance between matching body centres after alignment; None without common bodies.
    overlap : float or None
        Mean Dice of the common bodies; None without any.
    same_names : bool
        Whether both gave the common bodies the same levels before they were reconciled.
    """

    bodies: int
    registered: bool
    residual_mm: float | None
    overlap: float | None
    same_names: bool


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """The results of the analysis of one study.

    Attributes
    ----------
    series : tuple of SeriesFindings
        Analysed series, T1 before T2, at most one each.
    set_aside : tuple of SeriesRefusal
        The series that would have been analysed as a sequence that is missing in `series`, with reasons.
        Series that change nothing, such as localisers, are not in it (docs/decisions/0019).
    predictions : tuple of Prediction
        One per target; empty without a model.
    model : ModelIdentity or None
        The model behind the predictions; None without one.
    configuration_digest : str
        SHA-256 (hex) of the analysis configuration.
    software : str
        Name and version of this program.
    agreement : Agreement or None
        Agreement of T1 and T2; None if only one of them was segmented.
    remarks : tuple of Reason
        What the reader must know of the study as a whole.
    not_used : tuple of SeriesRefusal
        The other series, which change nothing; for operators, and in no report.
    prior : Comparison or None
        Comparison with an earlier examination of the patient; None without one.
    distances : tuple of TrainingDistance
        How far each basis that the model could read lies from its training; for operators, and in no report.
    departures : tuple of Departure
        Of these bases, those from which the model did not answer, because the scanner has left the range of
        its training.
    readings : mapping of str to Reading
        What any model can read of the study, by basis; for models that are asked beside this one, and in no
        report.
    """

    series: tuple[SeriesFindings, ...]
    set_aside: tuple[SeriesRefusal, ...]
    predictions: tuple[Prediction, ...]
    model: ModelIdentity | None
    configuration_digest: str
    software: str
    agreement: Agreement | None = None
    remarks: tuple[Reason, ...] = ()
    not_used: tuple[SeriesRefusal, ...] = ()
    prior: Comparison | None = None
    distances: tuple[TrainingDistance, ...] = ()
    departures: tuple[Departure, ...] = ()
    readings: Mapping[str, Reading] = field(default_factory=dict)

    def of(self, contrast: Contrast) -> SeriesFindings | None:
        """Return the analysed series of that contrast, or None."""
        return next((found for found in self.series if found.identification.contrast is contrast), None)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A study without results, and why.

    Attributes
    ----------
    reasons : tuple of Reason
        Reasons for the whole study, without patient data.
    series : tuple of SeriesRefusal
        Reasons series by series.
    """

    reasons: tuple[Reason, ...]
    series: tuple[SeriesRefusal, ...] = ()

    @property
    def decisive(self) -> tuple[SeriesRefusal, ...]:
        """The series that the refusal is about; all of them if none could have been analysed.

        The others, such as localisers, change nothing of it (docs/decisions/0019).
        """
        return tuple(one for one in self.series if one.is_decisive) or self.series
