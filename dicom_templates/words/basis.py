"""What an answer is based on, in words."""

from analysis.domain.findings import Prediction
from analysis.domain.published import BEST_SEQUENCE
from dicom_templates.words.texts import Texts

__all__ = ["basis_in_words", "is_published"]


def basis_in_words(prediction: Prediction, texts: Texts) -> str:
    """Write the sequences that an answer is based on, and that age and sex are part of it."""
    if not prediction.age_and_sex:
        return prediction.sequence
    return texts("with_age_and_sex", sequence=prediction.sequence)


def is_published(prediction: Prediction) -> bool:
    """Tell whether the site prefers what did best in the paper, which used images alone."""
    return prediction.preferred == BEST_SEQUENCE[prediction.target].value and not prediction.age_and_sex
