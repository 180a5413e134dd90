"""Why a figure does not exist, in words: a dash alone could be taken for a fault, or for a figure of 0."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from analysis.evaluation.outcomes import Figure

__all__ = ["ANSWERS", "CONSTANT_SD", "FIGURES", "LINE", "absent_answers", "absent_figures", "no_line"]

CONSTANT_SD = 0.01
"""SD of probabilities below which they count as constant: their slope would be of noise."""

LINE = ("calibration slope", "calibration intercept")
"""The figures that need probabilities which differ."""

FIGURES = ("AUC", "observed / expected", "calibration in the large", *LINE, "Brier")
"""Figures of all patients with a probability."""

ANSWERS = ("answered", "sensitivity", "specificity", "PPV", "NPV")
"""Figures of the answers that are given."""

_CONSTANT = "the model tells nearly the same probability of every patient"
_SEPARATED = "no finite one exists, because the probabilities part those with the target from those without"

Truth = npt.NDArray[np.bool_]


def no_line(chances: npt.NDArray[np.float64]) -> bool:
    """Tell whether probabilities, shape (patients,), are too alike for a calibration slope.

    >>> no_line(np.array([0.3, 0.3, 0.301])), no_line(np.array([0.2, 0.4]))
    (True, False)
    """
    return not chances.size or float(np.std(chances)) < CONSTANT_SD


def absent_figures(
    figures: Mapping[str, Figure], chances: npt.NDArray[np.float64], present: Truth, minimum_per_class: int
) -> dict[str, str]:
    """Return why each of `FIGURES` does not exist, by its name; nothing for one that does.

    Parameters
    ----------
    figures : mapping of str to Figure
        The figures that were calculated.
    chances, present : ndarray of shape (patients,)
        Probabilities, and whether the target is present.
    minimum_per_class : int
        Smallest number of patients with, and without, the target.
    """
    few = (
        f"{int(present.sum())} patients with the target and {int((~present).sum())} without it have a "
        f"probability, and {minimum_per_class} of each are needed"
    )
    told = {}
    for name in FIGURES:
        if name not in figures:
            told[name] = few
        elif not np.isfinite(figures[name].value):
            told[name] = _CONSTANT if no_line(chances) else _SEPARATED
    return told


def absent_answers(figures: Mapping[str, Figure], answered: int) -> dict[str, str]:
    """Return why each of `ANSWERS` does not exist, by its name; `answered` is the number of answers."""
    why = {
        "answered": "there are no patients",
        "sensitivity": "no patient with the target got an answer",
        "specificity": "no patient without the target got an answer",
        "PPV": "no answer says that the target is present",
        "NPV": "no answer says that the target is absent",
    }
    if not answered:
        why |= dict.fromkeys(ANSWERS[1:], "no patient got an answer")
    return {name: why[name] for name in ANSWERS if name not in figures}
