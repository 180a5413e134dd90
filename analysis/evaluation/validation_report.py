"""The report of a validation: one self-contained HTML page, and CSV and JSON files."""

import json
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any

from analysis.cohort.who import WhoWasIn
from analysis.evaluation.absent import ANSWERS, FIGURES
from analysis.evaluation.outcomes import Checked, Figure, Standing, Validation
from analysis.evaluation.page import embedded, page
from analysis.evaluation.validation_figures import checked_svg
from analysis.evaluation.who_page import who_record, who_section
from analysis.tables import Cell, write_table

__all__ = ["html_of", "outcome_columns", "title_of", "write_report"]

_GROUP_FIGURES = ("AUC", "observed / expected", "calibration in the large")


def write_report(
    validation: Validation, folder: Path, software: str = "", who: WhoWasIn | None = None
) -> tuple[Path, ...]:
    """Write the report, of which only predictions.csv holds identifiers of patients.

    Parameters
    ----------
    validation : Validation
        The validation.
    folder : Path
        Target folder; created if missing.
    software : str
        Name and version of this program.
    who : WhoWasIn, optional
        Flow and Table 1 of the cohort.

    Returns
    -------
    tuple of Path
        validation.html, validation.json, figures.csv, groups.csv, predictions.csv.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = ("validation.html", "validation.json", "figures.csv", "groups.csv", "predictions.csv")
    html, record, figures, groups, predictions = (folder / name for name in names)
    html.write_text(html_of(validation, software, who), encoding="utf-8")
    record.write_text(
        json.dumps(_record(validation, software, who), indent=1, allow_nan=False) + "\n", encoding="utf-8"
    )
    write_table(figures, _columns(_figure_rows(validation)))
    write_table(groups, _columns(_group_rows(validation)))
    write_table(predictions, outcome_columns(validation))
    return html, record, figures, groups, predictions


def title_of(validation: Validation) -> str:
    """Return the title, which tells whether the patients are simulated."""
    kind = "simulated data: " if validation.simulated else ""
    return f"Validation of {validation.identity.name} on {kind}{validation.patients} patients"


def html_of(validation: Validation, software: str = "", who: WhoWasIn | None = None) -> str:
    """Return the HTML page, with embedded figures and no external resources."""
    return page(
        "validation.html.j2",
        title=title_of(validation),
        validation=validation,
        absences=[_in_words(one) for one in validation.checked],
        pictures=[embedded(checked_svg(one)) if one.figures else "" for one in validation.checked],
        standings=list(Standing),
        answer_names=ANSWERS,
        group_names=_GROUP_FIGURES,
        who=who_section(who, sample_size=False),
        software=software,
    )


def _in_words(one: Checked) -> list[str]:
    """Return a phrase for each reason why figures are absent, with the names of the figures."""
    by_reason: dict[str, list[str]] = {}
    for name, why in one.absent.items():
        by_reason.setdefault(why, []).append(name)
    return [f"{', '.join(names)}: {why}" for why, names in by_reason.items()]


def outcome_columns(validation: Validation) -> dict[str, list[Cell]]:
    """Return a row for each patient and classifier, and for each patient and target as the node answers.

    The columns are patient_id, target, sequence (T1, T2, T1+T2 or node), present, standing, probability, low
    and high (its 95 % interval), called_present, and reasons (why there is no answer).
    """
    names = (
        *("patient_id", "target", "sequence", "present", "standing"),
        *("probability", "low", "high", "called_present", "reasons"),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            *(patient, one.target.value, one.sequence, bool(present), outcome.standing.value),
            outcome.probability,
            *(outcome.interval or (None, None)),
            None if outcome.called is None else bool(outcome.called),
            "; ".join(outcome.reasons) or None,
        )
        for one in (*validation.checked, *validation.node)
        for patient, present, outcome in zip(one.patient_ids, one.present, one.outcomes, strict=True)
    ]
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}


def _figure_rows(validation: Validation) -> Iterator[dict[str, Cell]]:
    for one in (*validation.checked, *validation.node):
        for of, figures, names in (("all", one.figures, FIGURES), ("answers", one.answers, ANSWERS)):
            for name, figure in ((name, figures.get(name)) for name in names):
                of_what: dict[str, Cell] = {"of": of, "figure": name}
                why: dict[str, Cell] = {"why_absent": one.absent.get(name)}
                yield {
                    "target": one.target.value,
                    "sequence": one.sequence,
                    **of_what,
                    **_told(figure),
                    **why,
                }


def _group_rows(validation: Validation) -> Iterator[dict[str, Cell]]:
    for one in (*validation.checked, *validation.node):
        for group in one.groups:
            counts: dict[str, Cell] = {
                "target": one.target.value,
                "sequence": one.sequence,
                "by": group.by,
                "group": group.name,
                "patients": group.patients,
                "present": group.present,
                "answered": group.answered,
            }
            for name in _GROUP_FIGURES:
                yield counts | {"figure": name} | _told(group.figures.get(name))


def _told(figure: Figure | None) -> dict[str, Cell]:
    values = (None, None, None) if figure is None else (figure.value, figure.low, figure.high)
    return {
        key: value if value is not None and isfinite(value) else None
        for key, value in zip(("value", "low", "high"), values, strict=True)
    }


def _columns(rows: Iterator[dict[str, Cell]]) -> dict[str, list[Cell]]:
    found = list(rows)
    return {key: [row[key] for row in found] for key in (found[0] if found else {})}


def _record(validation: Validation, software: str, who: WhoWasIn | None) -> dict[str, Any]:
    identity = validation.identity
    return {
        "title": title_of(validation),
        "simulated": validation.simulated,
        "software": software,
        "who_was_in": who_record(who),
        "model": {"name": identity.name, "version": identity.version, "digest": identity.digest},
        "thresholds_mg_cm3": {target.value: bmd for target, bmd in identity.thresholds_mg_cm3.items()},
        "patients": validation.patients,
        "bootstrap_draws": validation.draws,
        "minimum_per_class": validation.minimum_per_class,
        "age_and_sex": validation.age_and_sex,
        "intervals": "AUC: DeLong on the logit scale; proportions: Wilson; others: bootstrap of patients",
        "classifiers": [_checked(one) for one in validation.checked],
        "node": [_checked(one) for one in validation.node],
    }


def _checked(one: Checked) -> dict[str, Any]:
    return {
        "target": one.target.value,
        "sequence": one.sequence,
        "present": int(one.present.sum()),
        "standings": {standing.value: one.count(standing) for standing in Standing},
        "figures": {name: _told(figure) for name, figure in one.figures.items()},
        "answers": {name: _told(figure) for name, figure in one.answers.items()},
        "why_absent": one.absent,
        "abstentions": [
            {"standing": standing.value, "code": code, "example": example, "patients": count}
            for standing, code, example, count in one.abstentions
        ],
        "groups": [
            {
                "by": group.by,
                "group": group.name,
                "patients": group.patients,
                "present": group.present,
                "answered": group.answered,
                "figures": {name: _told(figure) for name, figure in group.figures.items()},
            }
            for group in one.groups
        ],
    }
