"""The weighting of a series: by its timing first, by its description second."""

from analysis.domain.acquisition import Contrast
from analysis.domain.reason import Reason
from analysis.identify.clues import Clues, Weighting, known
from analysis.identify.exclusions import EXCLUSIONS
from analysis.identify.words import Word, find

__all__ = ["weighting"]


def weighting(given: Clues) -> Weighting:
    """Tell the weighting of a series.

    `EXCLUSIONS` first sorts out whatever is not a plain spin-echo series. The rest is judged by TR, TE and
    TI, and by its description.

    Parameters
    ----------
    given : Clues
        Facts of one series.

    Returns
    -------
    Weighting
        `Contrast.UNSURE` where neither timing nor description decides, or where they disagree.
    """
    for rule in EXCLUSIONS:
        if finding := rule(given):
            return finding
    measured, why_measured = _by_physics(given)
    told, why_told = _by_words(given)
    if measured is not None and told is not None and measured is not told:
        reasons = (*why_measured, *why_told, Reason("timing_contradicted"))
        return Weighting(Contrast.UNSURE, 0.0, reasons)
    if measured is not None:
        return Weighting(measured, 0.8 if told is None else 1.0, (*why_told, *why_measured))
    if told is not None:
        return Weighting(told, 0.6, (*why_measured, *why_told))
    reasons = (*why_measured, *why_told, Reason("weighting_not_told"))
    return Weighting(Contrast.UNSURE, 0.0, reasons)


def _by_physics(given: Clues) -> tuple[Contrast | None, tuple[Reason, ...]]:
    """Return the weighting that the timing of a spin echo gives, and why.

    The limits leave gaps on purpose: in a gap only the description can decide. They are wider than the
    protocols in use from 0.3 T to 3 T; T1 in the normative study of VBQ has TR 400-850 ms and TE 8-20 ms.
    """
    repetition, echo = known(given.facts.repetition_time_ms), known(given.facts.echo_time_ms)
    if not (repetition and echo):
        return None, ()
    timing = Reason("timing", repetition_ms=repetition, echo_ms=echo)
    if known(given.facts.inversion_time_ms) > 350 or given.says(Word.FLAIR):
        # Only T1 FLAIR is left here: shorter and longer inversion times were excluded before.
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
    """Return the weighting that the texts name, and why; the series description before the protocol name."""
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
