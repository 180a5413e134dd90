"""What the card of a trained model says of its cohort and of how it was made."""

from collections.abc import Sequence

import numpy as np

from analysis.cohort.feature_table import SEQUENCES, FeatureTable
from analysis.learning.learn import LearningSettings

__all__ = ["cohort_sentence", "remarks_of"]


def cohort_sentence(table: FeatureTable) -> str:
    """Return number, sex, age and density of the patients as a sentence, without what identifies them."""
    words = [f"{len(table.patient_ids)} {'simulated ' if table.simulated else ''}patients"]
    known = np.isfinite(table.female)
    if known.any():
        words.append(
            f"{int(table.female[known].sum())} women and {int((table.female[known] == 0).sum())} men"
        )
    age = table.age[np.isfinite(table.age)]
    if age.size:
        words.append(f"age {age.mean():.1f} ± {age.std():.1f} years")
    words.append(f"QCT BMD {table.bmd_mg_cm3.mean():.0f} ± {table.bmd_mg_cm3.std():.0f} mg/cm³")
    return ", ".join(words) + "."


def remarks_of(table: FeatureTable, kinds: Sequence[str], learning: LearningSettings) -> tuple[str, ...]:
    """Return what a reader of the card must know of how the model was made.

    Parameters
    ----------
    table : FeatureTable
        The measured cohort.
    kinds : sequence of str
        The kinds of classifier to choose from.
    learning : LearningSettings
        Settings of the training inside the folds.
    """
    chosen = (
        f"The kind of model is {kinds[0]}."
        if len(kinds) == 1
        else f"The kind of model was chosen by AUC inside the folds among {', '.join(kinds)}."
    )
    repeats = any(np.isfinite(table.sequences[name].repeated).all(axis=1).any() for name in SEQUENCES)
    between = "between the masks of two readers" if table.two_readers else "when masks change a little"
    steady = (
        f"Features with an ICC(2,1) below {learning.minimum_icc:g} {between} were left out inside the folds."
        if repeats
        else "How well the features repeat was not measured."
    )
    interval = (
        f"The 95 % interval of a probability is learned from {learning.refits} refits of selection, "
        "fit and calibration on simulated targets of known probability."
    )
    return (
        chosen,
        "Features are of the pixels of the bodies alone; their filters stay within slice and body.",
        "KNN and SVM keep selected features of training patients, without identifiers, inside model.skops.",
        steady,
        interval,
        "A patient whose interval holds the decision threshold gets no answer.",
        "The model was judged on its own cohort only; another scanner, protocol or population may differ.",
    )
