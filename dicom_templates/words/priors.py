"""Writes how an examination compares with an earlier one of the patient."""

from analysis.domain.acquisition import Contrast
from analysis.domain.examination import Comparison, ScoreChange
from analysis.domain.published import SCAN_RESCAN_ICC
from dicom_templates.words.study_report import target_key
from dicom_templates.words.texts import Texts

__all__ = ["prior_brief", "prior_probability_lines", "prior_score_lines"]


def prior_score_lines(prior: Comparison | None, texts: Texts) -> tuple[str, ...]:
    """Write each VBQ then and now, and their difference or why they are not comparable."""
    return tuple(_score(one, prior, texts) for one in prior.scores) if prior is not None else ()


def _score(change: ScoreChange, prior: Comparison, texts: Texts) -> str:
    told = {
        "contrast": change.contrast.value,
        "now": texts.number(change.now, 2),
        "then": texts.number(change.then, 2),
        "date": texts.day(prior.earlier.day),
    }
    if change.difference is None:
        return texts("prior_incomparable", reasons=texts.listed(change.obstacles), **told)
    error = (
        texts("prior_error_t1", icc=texts.number(SCAN_RESCAN_ICC, 3))
        if change.contrast is Contrast.T1
        else texts("prior_error_t2")
    )
    return texts("prior_score", change=_signed(change, texts), error=error, **told)


def prior_probability_lines(prior: Comparison | None, texts: Texts) -> tuple[str, ...]:
    """Write each probability then and now."""
    if prior is None:
        return ()
    return tuple(
        texts(
            "prior_probability",
            target=texts(target_key(one.target)),
            now=texts.percent(one.now),
            then=texts.percent(one.then),
            date=texts.day(prior.earlier.day),
        )
        for one in prior.probabilities
    )


def prior_brief(prior: Comparison | None, texts: Texts) -> str:
    """Write the scores then in one line, for the summary picture, which has those of now."""
    if prior is None:
        return ""
    # Where none is comparable, that is said once, after the last.
    none = all(one.difference is None for one in prior.scores)
    scores = ", ".join(
        f"{texts.weighting(one.contrast.value)} {texts.number(one.then, 2)}"
        if none and one is not prior.scores[-1]
        else texts(
            "prior_brief_score",
            contrast=one.contrast.value,
            then=texts.number(one.then, 2),
            change=texts("prior_brief_incomparable") if one.difference is None else _signed(one, texts),
        )
        for one in prior.scores
    )
    return texts("prior_brief", date=texts.day(prior.earlier.day), scores=scores)


def _signed(change: ScoreChange, texts: Texts) -> str:
    """Write the difference of two scores as they are printed, so that a reader can add them up.

    A difference of less than is printed has both signs.
    """
    difference = round(change.now, 2) - round(change.then, 2)
    sign = "±" if abs(difference) < 0.005 else "+" if difference > 0 else "-"
    return f"{sign}{texts.number(abs(difference), 2)}"
