"""Says how good outlines, level names, fluid and scores are, and which concern decided."""

from collections.abc import Iterable

from analysis.domain.findings import SeriesFindings
from analysis.domain.reason import Reason
from analysis.domain.segmentation import Grade, Region
from dicom_templates.words.levels import level_names
from dicom_templates.words.texts import Texts

__all__ = [
    "body_check",
    "checks",
    "checks_with_reasons",
    "code_of",
    "deciding_concern",
    "named_concerns",
    "qualities",
    "score_concerns",
]

_GRADE_KEY = {
    Grade.SOUND: "grade_sound",
    Grade.DOUBTFUL: "grade_doubtful",
    Grade.UNUSABLE: "grade_unusable",
}


_CHECK_KEY = {
    Grade.SOUND: "check_passed",
    Grade.DOUBTFUL: "check_doubtful",
    Grade.UNUSABLE: "check_failed",
}


def qualities(found: SeriesFindings, texts: Texts) -> dict[str, str]:
    """Write the quality of outlines, level names and CSF, by the placeholders of the sentences about it."""
    judgement = found.judgement
    return {
        "grade": texts(_GRADE_KEY[judgement.grade]),
        "quality": texts.percent(judgement.quality),
        "confidence": texts.percent(found.segmentation.level_confidence),
        "csf": texts.percent(found.bone_quality.csf_quality),
    }


def checks(found: SeriesFindings, texts: Texts) -> dict[str, str]:
    """Write in words how good outlines, level names and CSF are; percents of them mislead."""
    fluid = _about_fluid(found)
    failed = fluid and found.bone_quality.score is None
    return {
        "outlines": texts(_CHECK_KEY[found.judgement.grade]),
        "names": texts("check_passed" if found.segmentation.levels_certain else "check_doubtful"),
        "fluid": texts("check_failed" if failed else "check_doubtful" if fluid else "check_passed"),
    }


def body_check(region: Region, texts: Texts) -> str:
    """Write in words how good the outline of a body is; "-" for one that is not measured."""
    if not region.level.lumbar:
        return "-"
    if not region.usable:
        return texts("excluded")
    return texts("check_doubtful" if region.concerns else "check_passed")


def checks_with_reasons(found: SeriesFindings, texts: Texts) -> dict[str, str]:
    """Write the checks, each that is not passed with its reason; those of single bodies are caveats."""
    segmentation, names = found.segmentation, level_names(found, texts)
    bodies = (names[one.level] for one in segmentation.regions if one.level.lumbar and _doubted(one))
    why = {
        "outlines": ", ".join(bodies),
        "names": "" if segmentation.levels_certain else texts.listed(segmentation.concerns[:1]),
        "fluid": texts.listed(_about_fluid(found)),
    }
    return {
        name: texts("check_why", check=told, why=why[name]) if why[name] else told
        for name, told in checks(found, texts).items()
    }


def _doubted(region: Region) -> bool:
    return bool(region.concerns) or not region.usable


def _about_fluid(found: SeriesFindings) -> list[Reason]:
    return [one for one in score_concerns(found) if code_of(one).startswith("fluid")]


_NAMES_A_LEVEL = frozenset({"fluid_elsewhere", "not_measured"})
"""Codes of concerns about a score that name a level."""


def named_concerns(found: SeriesFindings, concerns: Iterable[Reason]) -> tuple[Reason, ...]:
    """Return concerns without those that name a level where levels have no names."""
    certain = found.segmentation.levels_certain
    return tuple(one for one in concerns if certain or code_of(one) not in _NAMES_A_LEVEL)


def score_concerns(found: SeriesFindings) -> tuple[Reason, ...]:
    """Return the concerns about a score as they may be told."""
    return named_concerns(found, found.bone_quality.concerns)


_NEVER_DECIDES = frozenset({"not_measured", "shading"})
"""Codes of concerns that alone leave a score."""


def deciding_concern(found: SeriesFindings) -> tuple[Reason, ...]:
    """Return the concern for which a series has no score; none where it has one."""
    quality = found.bone_quality
    told = score_concerns(found)
    if quality.score is not None or not told:
        return ()
    # Those about the fluid come first, and decide where there is no valid sample.
    if quality.csf_signal is None:
        return told[:1]
    return tuple(one for one in told if code_of(one) not in _NEVER_DECIDES)[-1:] or told[-1:]


def code_of(reason: str) -> str:
    """Return the code of a reason; empty for words that another program wrote."""
    return reason.code if isinstance(reason, Reason) else ""
