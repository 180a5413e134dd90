"""How right the answers of the model were, as a sentence."""

from analysis.domain.findings import AnswerFigures, Prediction
from dicom_templates.words.texts import Texts

__all__ = ["figures_sentence"]

_KEY_OF = {"PPV": "ppv", "NPV": "npv", "sensitivity": "sensitivity", "specificity": "specificity"}
"""Key of the words of each figure that is told, in this order."""


def figures_sentence(prediction: Prediction, texts: Texts, *, brief: bool = False) -> str:
    """Write how right answers like this one were for patients that the model had not seen.

    Parameters
    ----------
    prediction : Prediction
        The answer.
    texts : Texts
        The language.
    brief : bool
        Without intervals and everyday words, for a picture.

    Returns
    -------
    str
        Empty if the figures are unknown. Figures without a patient to count are left out.
    """
    figures = prediction.answers
    if figures is None:
        return ""
    patients = str(figures.patients)
    if not figures.answered:
        return texts("answered_none", patients=patients)
    told = ", ".join(_figure(name, figures, texts, brief=brief) for name in _KEY_OF if name in figures.values)
    still_open = str(figures.patients - figures.answered)
    if brief:
        return texts("answered_brief", patients=patients, open=still_open, figures=told)
    sentence = texts(
        "answered",
        patients=patients,
        present=str(figures.present),
        answered=str(figures.answered),
        open=still_open,
        figures=told,
    )
    if "AUC" not in figures.values:
        return sentence
    return " ".join([sentence, texts("all_patients", auc=_area(figures, texts))])


def _area(figures: AnswerFigures, texts: Texts) -> str:
    value = texts.number(figures.values["AUC"], 2)
    if "AUC" not in figures.intervals:
        return value
    low, high = (texts.number(limit, 2) for limit in figures.intervals["AUC"])
    return texts("figure_interval", value=value, low=low, high=high)


def _figure(name: str, figures: AnswerFigures, texts: Texts, *, brief: bool) -> str:
    value = texts.percent(figures.values[name])
    if brief:
        return texts(f"{_KEY_OF[name]}_brief", value=value)
    if name in figures.intervals:
        low, high = (texts.percent(limit) for limit in figures.intervals[name])
        value = texts("figure_interval", value=value, low=low, high=high)
    return texts(_KEY_OF[name], value=value)
