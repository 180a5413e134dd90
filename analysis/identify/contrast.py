"""What the signal of a series is weighted by: physics first, words second."""

from analysis.domain.acquisition import Contrast
from analysis.domain.reason import Reason
from analysis.identify.clues import Clues, Finding, known
from analysis.identify.exclusions import EXCLUSIONS
from analysis.identify.words import Word, find

__all__ = ["weighting"]


def weighting(given: Clues) -> Finding:
    """Tell the weighting of a series.

    First what is no plain spin-echo T1 or T2 is told apart (`EXCLUSIONS`). What is left is judged by TR, TE
    and TI, and by its words.

    Parameters
    ----------
    given : Clues
        Of one series.

    Returns
    -------
    Finding
        With `Contrast.UNSURE` where neither physics nor words decide, or where they disagree.
    """
    for rule in EXCLUSIONS:
        if finding := rule(given):
            return finding
    measured, why_measured = _by_physics(given)
    told, why_told = _by_words(given)
    if measured is not None and told is not None and measured is not told:
        reasons = (*why_measured, *why_told, Reason("timing_contradicted"))
        return Finding(Contrast.UNSURE, 0.0, reasons)
    if measured is not None:
        return Finding(measured, 0.8 if told is None else 1.0, (*why_told, *why_measured))
    if told is not None:
        return Finding(told, 0.6, (*why_measured, *why_told))
    reasons = (*why_measured, *why_told, Reason("weighting_not_told"))
    return Finding(Contrast.UNSURE, 0.0, reasons)


def _by_physics(given: Clues) -> tuple[Contrast | None, tuple[Reason, ...]]:
    """Weighting that the timing of a spin echo gives.

    The limits leave gaps on purpose: between them words must decide, or nobody. They are wider than the
    protocols of 0.3 T to 3 T; T1 in the normative study of `analysis.vbq` has TR 400-850 and TE 8-20.
    """
    repetition, echo = known(given.facts.repetition_time_ms), known(given.facts.echo_time_ms)
    if not (repetition and echo):
        return None, ()
    timing = Reason("timing", repetition_ms=repetition, echo_ms=echo)
    if known(given.facts.inversion_time_ms) > 350 or given.says(Word.FLAIR):
        # What is left of the inversions here is T1 FLAIR: longer and shorter ones were told before.
        timing = Reason("timing_with_inversion", repetition_ms=repetition, echo_ms=echo)
        contrast: Contrast | None = Contrast.T1 if echo <= 40 else None
    elif repetition <= 1000 and echo <= 35:
        contrast = Contrast.T1
    elif repetition >= 1000 and echo >= 65:
        contrast = Contrast.T2
    elif repetition >= 1500 and echo <= 50:
        contrast = Contrast.PROTON_DENSITY
    else:
        contrast = None
    if contrast is None:
        return None, (Reason("timing_in_between", timing=timing),)
    return contrast, (Reason("weighted_by_timing", timing=timing, contrast=contrast),)


_SAID = {Contrast.T1: Word.T1, Contrast.T2: Word.T2, Contrast.PROTON_DENSITY: Word.PROTON_DENSITY}


def _by_words(given: Clues) -> tuple[Contrast | None, tuple[Reason, ...]]:
    """Weighting that the words tell; the series description is asked before the protocol's name."""
    for text in given.own_texts:
        said = {contrast: find(word, [text]) for contrast, word in _SAID.items()}
        spellings = {contrast: spelling for contrast, spelling in said.items() if spelling}
        if len(spellings) == 1:
            contrast, spelling = spellings.popitem()
            return contrast, (Reason("description_says", spelling=spelling),)
        if spellings:
            all_of_them = " + ".join(f"“{spelling}”" for spelling in spellings.values())
            return None, (Reason("description_says_several", spellings=all_of_them),)
    return None, ()
