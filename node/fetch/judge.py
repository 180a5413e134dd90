"""Decides which series of a study are fetched, from what the archive tells of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from analysis.domain.acquisition import AcquisitionFacts, Contrast, Identification, Plane
from analysis.identify.identification import identify
from node.config import LookFor
from node.domain.archive import FoundSeries, FoundStudy
from node.domain.facts import facts_of
from node.domain.glob import fold, matches
from node.domain.rules import Rule
from node.domain.rules import judge as judge_by_rules

__all__ = ["Judgement", "asks_of_study", "judge", "may_matter"]

_MOST_REASONS = 3
_OF_STUDY = frozenset({"age", "description", "study_description"})
"""Conditions on the patient and the study, which an archive tells at the level of studies."""
_MAY_BE = frozenset({Contrast.T1, Contrast.T2, Contrast.UNSURE})


@dataclass(frozen=True, slots=True)
class Judgement:
    """Which series are fetched, and why no other is.

    Attributes
    ----------
    wanted : tuple of FoundSeries
        Every series that may be analysed, unsure ones included: what they are is seen in their images.
    reason : str
        Why nothing is wanted; empty if something is.
    """

    wanted: tuple[FoundSeries, ...]
    reason: str = ""


def judge(
    series: Sequence[FoundSeries],
    read_facts: Callable[[FoundSeries], AcquisitionFacts],
    look_for: LookFor | None = None,
    *,
    rules: Sequence[Rule] = (),
    source: str = "",
    study: FoundStudy | None = None,
) -> Judgement:
    """Choose the series that may be a sagittal T1 or T2 of the lumbar spine.

    Parameters
    ----------
    series : sequence of FoundSeries
        All series of one study.
    read_facts : callable
        Returns the facts of a series with those of the header of one of its images. It is called only for a
        series that its words leave undecided.
    look_for : LookFor or None
        What is looked for by the clock, of which body part and station are compared here. What the archive
        does not tell matches.
    rules : sequence of Rule
        What is taken of what arrives; what they would discard is not fetched.
    source : str
        AE title of the archive, for the rules.
    study : FoundStudy or None
        What the archive tells of the study, for the rules; see `asks_of_study`.

    Raises
    ------
    TransientError, PermanentError
        From `read_facts`.
    """
    wanted, reasons = [], []
    for one in series:
        told = _unlike(one, look_for) or _discarded_by(one, rules, source, study) or may_matter(one.facts)
        if not told and _is_unsure(identify(one.facts)):
            told = may_matter(read_facts(one))
        if told:
            reasons.append(told)
        else:
            wanted.append(one)
    return Judgement(tuple(wanted), "" if wanted else _sum_up(reasons))


def may_matter(facts: AcquisitionFacts) -> str:
    """Return why a series cannot be analysed whatever its images show; empty if it may be.

    Examples
    --------
    >>> may_matter(AcquisitionFacts(series_description="LWS t2 sag"))
    ''
    >>> may_matter(AcquisitionFacts(series_description="a nameless series"))
    ''
    >>> may_matter(AcquisitionFacts(modality="CT"))
    'it is CT, not MR'
    """
    if facts.modality and facts.modality != "MR":
        return f"it is {facts.modality}, not MR"
    # An archive that does not tell the modality of a series is not taken to deny that it is MR.
    found = identify(replace(facts, modality="MR"))
    is_possible = (
        found.contrast in _MAY_BE
        and found.plane in {Plane.SAGITTAL, Plane.UNKNOWN}
        and found.lumbar is not False
    )
    return "" if is_possible else str(found.reasons[-1])


def _is_unsure(found: Identification) -> bool:
    return found.contrast is Contrast.UNSURE or found.plane is Plane.UNKNOWN


def _unlike(one: FoundSeries, look_for: LookFor | None) -> str:
    """Return what a series is not that is looked for; empty if nothing speaks against it."""
    if look_for is None:
        return ""
    for told, pattern, what in (
        (one.station, look_for.station, "station"),
        (one.facts.body_part, look_for.body_part, "body part"),
    ):
        if told and pattern and not matches(fold(pattern), fold(told)):
            return f"another {what} is looked for"
    return ""


def asks_of_study(rules: Sequence[Rule]) -> bool:
    """Tell whether rules look at what archives tell of studies only, and not of their series.

    Examples
    --------
    >>> from node.domain.rules import AgeRange
    >>> asks_of_study([Rule("children", take=False, conditions=(AgeRange(below=18),))])
    True
    """
    return any(one.attribute in _OF_STUDY for rule in rules for one in rule.conditions)


def _discarded_by(one: FoundSeries, rules: Sequence[Rule], source: str, study: FoundStudy | None) -> str:
    """Return which rule discards a series; empty if none surely does by what the archive tells."""
    told_of_study = FoundStudy("") if study is None else study
    told = {
        "Modality": one.facts.modality,
        "StudyDescription": one.facts.study_description or told_of_study.description,
        "PatientBirthDate": _date_text(told_of_study.birth_date),
        "StudyDate": _date_text(told_of_study.study_date),
        "SeriesDescription": one.facts.series_description,
        "ProtocolName": one.facts.protocol_name,
        "BodyPartExamined": one.facts.body_part,
        "StationName": one.station,
        "InstitutionName": one.institution,
        "Manufacturer": one.facts.vendor,
        "ManufacturerModelName": one.facts.model,
    }
    verdict = judge_by_rules(rules, facts_of(told, source, is_whole=False))
    return "" if verdict.take or verdict.rule is None else f"the rule {verdict.rule.name} discards it"


def _date_text(day: date | None) -> str:
    return "" if day is None else f"{day:%Y%m%d}"


def _sum_up(reasons: Sequence[str]) -> str:
    """Say why none of the series is wanted, each reason once, the most frequent first."""
    each = sorted(set(reasons), key=lambda one: (-reasons.count(one), one))
    told = "; ".join(f"{reasons.count(one)} because {one}" for one in each[:_MOST_REASONS])
    more = "; and for other reasons" if len(each) > _MOST_REASONS else ""
    return f"none of its {len(reasons)} series can be analysed: {told}{more}"
