"""How right the answers of the model were, as a sentence."""

from collections.abc import Iterator, Mapping

from analysis.domain.findings import AnswerFigures, Prediction, ProtocolRange, Verdict
from dicom_templates.words.texts import Texts

__all__ = ["area_in_words", "areas_in_words", "figures_sentence"]

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
    # On a picture there is no room for the ranges of two sequences, and half of them would mislead.
    room = not brief or len(prediction.trained_on) < 2
    seen = tuple(_seen(prediction.trained_on, texts)) if room else ()
    if not figures.answered:
        none = texts("answered_none", patients=patients)
        return " ".join([none, *_all_patients(figures, texts), texts("own_cohort"), *seen])
    counts = {
        "patients": patients,
        "prevalence": texts.percent(figures.present / figures.patients),
        "answered": str(figures.answered),
        "open": str(figures.patients - figures.answered),
    }
    # On the picture, those of patients with an answer would be taken for this one's.
    left_out = {"PPV", "NPV"} if brief and prediction.verdict is Verdict.INDETERMINATE else set()
    names = [name for name in _KEY_OF if name in figures.values and name not in left_out]
    counts["figures"] = ", ".join(_figure(name, figures, texts, brief=brief) for name in names)
    if brief:
        area = area_in_words(figures, texts)
        counts["auc"] = texts("auc_brief", auc=area) if area else ""
        counts["figures"] = texts("figures_brief", figures=counts["figures"]) if names else ""
        told = texts("answered_brief", **counts)
        return " ".join([told, *seen])
    told = texts("answered", present=str(figures.present), **counts)
    return " ".join([told, *_all_patients(figures, texts), texts("own_cohort"), *seen])


def areas_in_words(prediction: Prediction, texts: Texts) -> str:
    """Write the AUC of the model for each sequence: "T1w 0.68 (0.59 to 0.76), T2w 0.72 (0.63 to 0.80)".

    Parameters
    ----------
    prediction : Prediction
        The answer, with the figures of each sequence.
    texts : Texts
        The language.

    Returns
    -------
    str
        Empty if none is known.
    """
    told = {sequence: area_in_words(one, texts) for sequence, one in prediction.by_sequence.items()}
    return ", ".join(f"{texts.weighting(sequence)} {area}" for sequence, area in told.items() if area)


def area_in_words(figures: AnswerFigures, texts: Texts) -> str:
    """Write the AUC of all patients with its interval; empty if it is unknown."""
    if "AUC" not in figures.values:
        return ""
    value = texts.number(figures.values["AUC"], 2)
    if "AUC" not in figures.intervals:
        return value
    low, high = (texts.number(limit, 2) for limit in figures.intervals["AUC"])
    return texts("figure_interval", value=value, low=low, high=high)


def _all_patients(figures: AnswerFigures, texts: Texts) -> Iterator[str]:
    area = area_in_words(figures, texts)
    if area:
        yield texts("all_patients", auc=area)


def _seen(trained_on: Mapping[str, ProtocolRange], texts: Texts) -> Iterator[str]:
    """Write which acquisitions the classifier was trained on, to compare with those of the site."""
    told = []
    for sequence, seen in trained_on.items():
        ranges = [
            f"{name}{_from_to(limits, digits, texts)} {unit}"
            for name, limits, digits, unit in (
                ("TR ", seen.repetition_time_ms, 0, "ms"),
                ("TE ", seen.echo_time_ms, 0, "ms"),
                ("", seen.field_strength_t, 1, "T"),
            )
            if limits is not None
        ]
        if ranges:
            name = f"{texts.weighting(sequence)} " if len(trained_on) > 1 else ""
            told.append(name + ", ".join(ranges))
    if told:
        yield texts("trained_range", range=texts.in_line(told))


def _from_to(limits: tuple[float, float], digits: int, texts: Texts) -> str:
    low, high = (texts.number(limit, digits) for limit in limits)
    return low if low == high else texts("from_to", low=low, high=high)


def _figure(name: str, figures: AnswerFigures, texts: Texts, *, brief: bool) -> str:
    value = texts.percent(figures.values[name])
    if brief:
        return texts(f"{_KEY_OF[name]}_brief", value=value)
    if name in figures.intervals:
        low, high = (texts.percent(limit) for limit in figures.intervals[name])
        value = texts("figure_interval", value=value, low=low, high=high)
    return texts(_KEY_OF[name], value=value)
