"""What a reader is told about one study: the same words and numbers for text, picture and page."""

from dataclasses import dataclass

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Target, Verdict
from dicom_templates.words.texts import Texts

__all__ = [
    "BoneQualityLine",
    "LevelRow",
    "Section",
    "SeriesCaption",
    "StudyReport",
    "TargetAnswer",
    "target_key",
]


@dataclass(frozen=True, slots=True)
class Section:
    """Some sentences under a heading.

    Attributes
    ----------
    key : str
        "result", "findings", "images" or "about".
    heading : str
        In the language of the report.
    lines : tuple of str
        One sentence each.
    """

    key: str
    heading: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TargetAnswer:
    """What is said about one target.

    Attributes
    ----------
    target : Target
        The question.
    name, definition, verdict_text, basis : str
        In the language of the report.
    verdict : Verdict
        The answer.
    value : str
        The probability in percent; empty when none is given.
    interval : str
        Its 95 % interval; empty when none is given.
    probability : float or None
        For the scale.
    limits : tuple of two float, or None
        For the scale.
    threshold : float
        For the scale.
    reasons : tuple of str
        Why no number is given, or what must be known with it.
    """

    target: Target
    name: str
    definition: str
    verdict: Verdict
    verdict_text: str
    basis: str
    value: str
    interval: str
    probability: float | None
    limits: tuple[float, float] | None
    threshold: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BoneQualityLine:
    """The VBQ of one series.

    Attributes
    ----------
    contrast : Contrast
        T1 or T2.
    score : float or None
        For the scale.
    sentence : str
        The value and what it is made of, or that there is none.
    concerns : tuple of str
        Why it is missing or doubtful.
    """

    contrast: Contrast
    score: float | None
    sentence: str
    concerns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LevelRow:
    """One vertebral body in one series, ready to be set in a table.

    Attributes
    ----------
    name, contrast, volume, signal, vbq : str
        Its cells.
    usable : bool
        Whether it went into the result.
    concerns : tuple of str
        Why not, or with which caveat.
    """

    name: str
    contrast: str
    volume: str
    signal: str
    vbq: str
    usable: bool
    concerns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeriesCaption:
    """What stands above the picture of one series.

    Attributes
    ----------
    contrast : Contrast
        T1 or T2.
    acquisition : str
        How it was acquired: "TR 550 ms, TE 10 ms, 1.5 T".
    quality : str
        How good outlines, level names and CSF are.
    """

    contrast: Contrast
    acquisition: str
    quality: str


@dataclass(frozen=True, slots=True, eq=False)
class StudyReport:
    """Everything that a reader is told.

    Attributes
    ----------
    refused : bool
        Whether it explains why the study has no result; then it has no answers, scores, levels and captions.
    texts : Texts
        The language.
    title : str
        Of every view.
    warning : str
        Must stand first; empty when there is none.
    study_date : str
        As the reader writes dates; empty if unknown.
    age_years : int or None
        To find the decade of the reference.
    answers : tuple of TargetAnswer
        One per target.
    bone_quality : tuple of BoneQualityLine
        One per series.
    levels : tuple of LevelRow
        From cranial to caudal, series by series.
    caveats : tuple of str
        What was excluded or is doubtful, in words.
    sections : tuple of Section
        The whole report as sentences.
    captions : tuple of SeriesCaption
        One per series, in the order of the findings.
    model, cohort, intended_use : str
        Of the model; empty without one.
    software : str
        Name and version of this program.
    """

    refused: bool
    texts: Texts
    title: str
    warning: str
    study_date: str
    age_years: int | None
    answers: tuple[TargetAnswer, ...]
    bone_quality: tuple[BoneQualityLine, ...]
    levels: tuple[LevelRow, ...]
    caveats: tuple[str, ...]
    sections: tuple[Section, ...]
    captions: tuple[SeriesCaption, ...]
    model: str
    cohort: str
    intended_use: str
    software: str


def target_key(target: Target) -> str:
    """Return the key of a target's name in the table of sentences."""
    return {Target.OSTEOPOROSIS: "osteoporosis", Target.ABNORMAL_DENSITY: "abnormal_density"}[target]
