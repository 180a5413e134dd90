"""How models compare, in words and rows, for the page and the command."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from node.domain.model_answer import AnswerState
from node.domain.model_comparison import FEW, STATES

if TYPE_CHECKING:
    from node.domain.model_comparison import ModelComparison, Scores

__all__ = ["SCORE_COLUMNS", "UNKNOWN_GROUP", "answer_rows", "facts_of", "score_rows", "title_of"]

UNKNOWN_GROUP = "not stated"
"""In the place of a scanner or month that no header tells."""
SCORE_COLUMNS = ("Studies", "Scores", "Median (quartiles)", "At or above threshold")
_NONE = "–"


def title_of(one: "ModelComparison") -> str:
    """Return which models are compared, and for which target."""
    return f"{one.target}: {one.shadow} beside {one.chosen}"


def facts_of(one: "ModelComparison") -> tuple[tuple[str, str], ...]:
    """Return the figures of a comparison, each with its name."""
    few = f"not computed with fewer than {FEW} studies"
    kappa = few if one.is_few else "both gave one answer only"
    if one.kappa is not None:
        kappa = _with_minus(f"{one.kappa:.2f}")
    if one.difference is None:
        difference = "no study has a probability of both"
    else:
        limits = f"limits of agreement {few}"
        if one.limits is not None:
            low, high = (_points(limit) for limit in one.limits)
            limits = f"95 % limits of agreement {low} to {high}"
        difference = f"{_points(one.difference)} percentage points, {limits} ({one.pairs} studies)"
    return (
        ("Studies", f"{one.studies}{' – too few to conclude anything' if one.is_few else ''}"),
        ("Failures of the shadow", str(one.faults)),
        ("Same answer", _percent(one.agreement)),
        ("Cohen's kappa", kappa),
        ("Mean difference of the probability", difference),
    )


def answer_rows(one: "ModelComparison") -> tuple[tuple[AnswerState, tuple[int, ...]], ...]:
    """Return for each answer of the chosen model how often the shadow gave each of `STATES`."""
    return tuple((state, tuple(one.table[state, other] for other in STATES)) for state in STATES)


def score_rows(scores: Sequence["Scores"]) -> tuple[tuple[str, ...], ...]:
    """Return a row for each group: scanner or month, target, model, and `SCORE_COLUMNS`."""
    return tuple(
        (
            one.group or UNKNOWN_GROUP,
            str(one.target),
            str(one.model),
            str(one.studies),
            f"{one.scores}{' (few)' if one.is_few else ''}",
            _quartiles(one.quartiles),
            _percent(one.above),
        )
        for one in scores
    )


def _quartiles(quartiles: tuple[float, float, float] | None) -> str:
    if quartiles is None:
        return _NONE
    low, middle, high = (_percent(value) for value in quartiles)
    return f"{middle} ({low} to {high})"


def _percent(share: float | None) -> str:
    return _NONE if share is None else f"{100 * share:.0f}\u00a0%"


def _points(difference: float) -> str:
    return _with_minus(f"{100 * difference:+.1f}")


def _with_minus(number: str) -> str:
    return number.replace("-", "\u2212")
