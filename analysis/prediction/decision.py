"""Whether a probability decides the answer; the same rule at run time and in cross-validation."""

from analysis.statistics.conformal import ConformalLimits

__all__ = ["why_open"]


def why_open(
    probability: float, interval: tuple[float, float], threshold: float, conformal: ConformalLimits
) -> str | None:
    """Return the code of the reason why a probability does not decide the answer, or None if it does.

    Parameters
    ----------
    probability : float
        The estimate.
    interval : tuple of two float
        Its 95 % interval.
    threshold : float
        Probability from which the target is called present.
    conformal : ConformalLimits
        Limits of the conformal sets.
    """
    low, high = interval
    if low < threshold <= high:
        return "threshold_in_interval"
    may_be_present, may_be_absent = conformal.answers(probability)
    if may_be_present and may_be_absent:
        return "both_answers"
    if may_be_present == may_be_absent:
        return "neither_answer"
    if may_be_present != (probability >= threshold):
        return "answers_disagree"
    return None
