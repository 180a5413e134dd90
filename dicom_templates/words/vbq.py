"""Says what is published of vertebral bone quality scores, and what a high one beside a low risk means."""

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Findings, Target, Verdict
from analysis.domain.published import T1_VBQ_BY_DECADE, DecadeReference
from dicom_templates.words.texts import Texts

__all__ = ["contradiction", "decade_of", "t1_reference", "vbq_lines"]


def vbq_lines(findings: Findings, age_years: int | None, texts: Texts) -> tuple[str, ...]:
    """Write what is published of the scores that were measured; nothing without one."""
    scored = [
        found.identification.contrast for found in findings.series if found.bone_quality.score is not None
    ]
    if not scored:
        return ()
    lines = []
    if Contrast.T1 in scored:
        lines.append(t1_reference(age_years, texts))
    if Contrast.T2 in scored:
        lines.append(texts("vbq_reference_t2"))
    return (*lines, texts("vbq_caution"))


def t1_reference(age_years: int | None, texts: Texts) -> str:
    """Write the T1-VBQ of the decade of an age, of all decades if it is unknown, or that there is none."""
    if age_years is not None and decade_of(age_years) is None:
        first, last = T1_VBQ_BY_DECADE[0].first_year, T1_VBQ_BY_DECADE[-1].first_year + 9
        return texts("vbq_no_decade", age=str(age_years), first=str(first), last=str(last))
    told = [one for one in T1_VBQ_BY_DECADE if age_years is None or one.holds(age_years)]
    values = ", ".join(
        texts(
            "vbq_decade",
            first=str(one.first_year),
            last=str(one.first_year + 9),
            mean=texts.number(one.mean, 2),
            sd=texts.number(one.sd, 2),
        )
        for one in told
    )
    return texts("vbq_reference_t1", values=values)


def decade_of(age_years: int) -> DecadeReference | None:
    """Return the published decade of an age; None beyond those that are published."""
    return next((one for one in T1_VBQ_BY_DECADE if one.holds(age_years)), None)


def contradiction(findings: Findings, age_years: int | None, texts: Texts) -> str:
    """Explain a high T1-VBQ beside a probability of osteoporosis below its threshold; else return "".

    High is more than one standard deviation above the mean of the decade of age, or of every decade if the
    age is unknown or beyond them.
    """
    found = findings.of(Contrast.T1)
    score = found.bone_quality.score if found is not None else None
    own = decade_of(age_years) if age_years is not None else None
    limit = max(one.mean + one.sd for one in ((own,) if own is not None else T1_VBQ_BY_DECADE))
    low_risk = any(
        one.target is Target.OSTEOPOROSIS and one.verdict is Verdict.BELOW for one in findings.predictions
    )
    return texts("vbq_beside_low_risk") if score is not None and score > limit and low_risk else ""
