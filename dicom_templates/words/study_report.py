"""The report of one study as words and numbers: the same for text report, picture, page and PDF."""

from dataclasses import dataclass

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Target, Verdict
from dicom_templates.words.texts import Texts
from dicom_templates.words.whom import Whom

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
    """A heading and its sentences.

    Attributes
    ----------
    key : str
        "findings", "result", "images", "next" or "about".
    heading : str
        In the language of the report.
    lines : tuple of str
        One sentence each.
    elsewhere : frozenset of str
        Those of them that a page says in its heading, in the cards of the answers or in the table of levels.
    details : frozenset of str
        Those of them that a document of sheets has in its appendix.
    """

    key: str
    heading: str
    lines: tuple[str, ...]
    elsewhere: frozenset[str] = frozenset()
    details: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TargetAnswer:
    """The answer to one target in words.

    Attributes
    ----------
    target : Target
        What was predicted.
    name, definition, definition_brief : str
        The target, and the bone density that defines it; no definition without a threshold of the model.
    verdict : Verdict
        The answer.
    verdict_text : str
        The answer in words, with the threshold: "ABOVE the decision threshold of 34 %". It is said of the
        probability, and always beside it.
    badge : str
        The same in fewer words, for a badge beside the probability.
    basis : str
        Which sequence it comes from, and why from that one; empty if from none.
    value, interval : str
        The probability in percent and its 95 % interval; empty when none is given.
    probability : float or None
        The same as a number, for the scale.
    limits : tuple of two float, or None
        The interval as numbers, for the scale.
    threshold : float
        Probability that the answer compares with.
    figures, figures_brief : str
        How right such answers were in cross-validation, with and without intervals; empty if that is unknown.
    reasons : tuple of str
        Why no number is given, or the caveats of the number.
    """

    target: Target
    name: str
    definition: str
    definition_brief: str
    verdict: Verdict
    verdict_text: str
    badge: str
    basis: str
    value: str
    interval: str
    probability: float | None
    limits: tuple[float, float] | None
    threshold: float
    figures: str
    figures_brief: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BoneQualityLine:
    """The VBQ of one series.

    Attributes
    ----------
    contrast : Contrast
        T1 or T2.
    score : float or None
        None if it could not be measured.
    sentence : str
        The score and the levels it comes from, or that there is none.
    concerns : tuple of str
        Why it is missing or doubtful.
    deciding : str
        The one of them for which it is missing; empty where there is a score.
    levels : str
        The levels that the score comes from ("L1-L4"); empty without a score.
    """

    contrast: Contrast
    score: float | None
    sentence: str
    concerns: tuple[str, ...]
    deciding: str
    levels: str


@dataclass(frozen=True, slots=True)
class LevelRow:
    """One row of the table of levels: a vertebral body in one series.

    Attributes
    ----------
    name, contrast, volume, signal, vbq : str
        The cells, in the language of the report.
    usable : bool
        Whether it went into the result.
    concerns : tuple of str
        Why not, or its caveats.
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
    """All words and numbers of a report.

    Attributes
    ----------
    refused : bool
        Whether it explains why there is no result; then answers, bone_quality, levels and captions are empty.
    texts : Texts
        The sentences in the language of the report.
    title : str
        Heads every view of the report.
    warning : str
        Must be shown before anything else; empty when there is none.
    holds : str
        Which parts hold for real patients where the model was trained on others; empty for another model.
    study_date : str
        In the format of the language; empty if unknown.
    whom : Whom or None
        The patient, for the pages that are printed; None if the report is of nobody.
    age_years : int or None
        Of the patient, to mark the decade of age in the VBQ reference.
    answers : tuple of TargetAnswer
        One per target.
    bone_quality : tuple of BoneQualityLine
        One per series.
    levels : tuple of LevelRow
        Series by series, from cranial to caudal.
    foremost : tuple of str
        What to bear in mind before all caveats: losses of height, and an explanation of values that seem to
        contradict each other.
    caveats : tuple of str
        What was not used or is doubtful.
    reference : str
        The published T1-VBQ at the age of the patient, or that there is none; empty without a T1-VBQ.
    prior : str
        The scores of an earlier examination in one line; empty without one.
    next_step : str
        What to do next; empty if the site wants nothing said.
    sections : tuple of Section
        The full text.
    captions : tuple of SeriesCaption
        One per series, in the order of the findings.
    model, cohort, intended_use : str
        Sentences about the model; empty without one.
    software : str
        Name and version of this program.
    analysed : str
        A sentence that says when which program analysed the study; empty if the time is unknown.
    """

    refused: bool
    texts: Texts
    title: str
    warning: str
    holds: str
    study_date: str
    whom: Whom | None
    age_years: int | None
    answers: tuple[TargetAnswer, ...]
    bone_quality: tuple[BoneQualityLine, ...]
    levels: tuple[LevelRow, ...]
    foremost: tuple[str, ...]
    caveats: tuple[str, ...]
    reference: str
    prior: str
    next_step: str
    sections: tuple[Section, ...]
    captions: tuple[SeriesCaption, ...]
    model: str
    cohort: str
    intended_use: str
    software: str
    analysed: str

    @property
    def measurements_only(self) -> bool:
        """Whether no model predicts, so that nothing but measurements and outlines is reported."""
        return not self.refused and not self.answers

    @property
    def notice(self) -> str:
        """What stands first in every document: the warning, or that nothing is predicted."""
        return self.texts("no_model") if self.measurements_only else self.warning


def target_key(target: Target) -> str:
    """Return the key of a target's name in the table of sentences."""
    return {Target.OSTEOPOROSIS: "osteoporosis", Target.ABNORMAL_DENSITY: "abnormal_density"}[target]
