"""The report of an evaluation: one self-contained HTML page, and CSV and JSON files."""

import csv
import json
from collections.abc import Iterable, Sequence
from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from analysis.cohort.perturb import BORDER_SD_MM
from analysis.cohort.who import WhoWasIn
from analysis.domain.findings import Target
from analysis.evaluation.absent import LINE
from analysis.evaluation.figures import areas_svg, curves_svg
from analysis.evaluation.outcomes import Figure
from analysis.evaluation.page import embedded, page
from analysis.evaluation.paper import CITATION, KNN_TEST_AREA, UNKNOWN
from analysis.evaluation.regression import Regression
from analysis.evaluation.regression_page import regression_rows, regression_section
from analysis.evaluation.result import BASELINES, Cell, Evaluation
from analysis.evaluation.sites import FIGURES as SITE_FIGURES
from analysis.evaluation.sites import Sites
from analysis.evaluation.who_page import who_record, who_section
from analysis.statistics.weighted import MEASURES

__all__ = ["html_of", "title_of", "write_report"]

_PAPERS_BEST = "KNN"
_CALIBRATION = (*LINE, "observed / expected")


def write_report(
    evaluation: Evaluation,
    folder: Path,
    software: str = "",
    who: WhoWasIn | None = None,
    sites: Sites | None = None,
    *,
    regression: Regression | None = None,
) -> tuple[Path, ...]:
    """Write the report, whose files hold no identifier of a patient.

    Parameters
    ----------
    evaluation : Evaluation
        The evaluation.
    folder : Path
        Target folder; created if missing.
    software : str
        Name and version of this program.
    who : WhoWasIn, optional
        Flow and Table 1 of the cohort.
    sites : Sites, optional
        Each site left out once.
    regression : Regression, optional
        The bone density itself.

    Returns
    -------
    tuple of Path
        evaluation.html, evaluation.json, table.csv, tests.csv, repeatability.csv, sites.csv, and
        regression.csv if there is one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written, record = folder / "evaluation.html", folder / "evaluation.json"
    written.write_text(html_of(evaluation, software, who, sites, regression), encoding="utf-8")
    told = {**_record(evaluation, software, who), "sites": _sites_record(sites)}
    if regression is not None:
        header, *found = regression_rows(regression)
        told["bmd_regression"] = [dict(zip(header, row, strict=True)) for row in found]
    record.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    tables = {
        "table.csv": _cell_rows(evaluation),
        "tests.csv": _test_rows(evaluation),
        "repeatability.csv": _repeatability_rows(evaluation),
        "sites.csv": _site_rows(sites),
        **({} if regression is None else {"regression.csv": regression_rows(regression)}),
    }
    for name, rows in tables.items():
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
    return (written, record, *(folder / name for name in tables))


def title_of(evaluation: Evaluation) -> str:
    """Return the title, which tells whether the patients are simulated."""
    kind = "simulated data: " if evaluation.simulated else ""
    return f"Evaluation on {kind}{evaluation.patients} patients, radiomics of lumbar T1 and T2 against QCT"


def html_of(
    evaluation: Evaluation,
    software: str = "",
    who: WhoWasIn | None = None,
    sites: Sites | None = None,
    regression: Regression | None = None,
) -> str:
    """Return the HTML page, with embedded figures and no external resources."""
    kinds = evaluation.settings.kinds
    # The paper's best kind first; the others are folded away.
    ordered = sorted(kinds, key=lambda kind: kind != _PAPERS_BEST)
    curves = [
        (f"{kind} on each source", [(source, kind) for source in evaluation.settings.sources])
        for kind in ordered
    ]
    known = [name for name in BASELINES if any(cell.source == name for cell in evaluation.cells)]
    if known:
        curves.insert(1, ("The baselines", [(source, "LR") for source in known]))
    return page(
        "report.html.j2",
        title=title_of(evaluation),
        evaluation=evaluation,
        measures=MEASURES,
        calibration=_CALIBRATION,
        line=LINE,
        tables=[(target, _rows_of(evaluation, target)) for target in evaluation.present],
        forests={target: embedded(areas_svg(evaluation, target)) for target in evaluation.present},
        pictures={
            target: [(name, embedded(curves_svg(evaluation, target, models))) for name, models in curves]
            for target in evaluation.present
        },
        tried=evaluation.settings.learning.record(kinds)["models"],
        open_pictures=2 if known else 1,
        missing_baselines=[name for name in BASELINES if name not in known],
        repeatability=[_spread(name, found.values()) for name, found in evaluation.repeatability.items()],
        border_mm=BORDER_SD_MM,
        paper_shown=_PAPERS_BEST in kinds,
        two_readers=evaluation.two_readers,
        citation=CITATION,
        unknown=UNKNOWN,
        who=who_section(who),
        vendors={} if sites is None else sites.vendors,
        regression=regression_section(regression),
        sites=_sites_section(sites, evaluation.settings.minimum_per_class),
        software=software,
    )


def _rows_of(evaluation: Evaluation, target: Target) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for source in (*evaluation.settings.sources, *BASELINES):
        cells = [cell for cell in evaluation.cells if cell.target is target and cell.source == source]
        first = source not in BASELINES or source == BASELINES[0]
        rows += [
            {"cell": cell, "paper": _paper(cell), "first": first and number == 0}
            for number, cell in enumerate(cells)
        ]
    return rows


def _paper(cell: Cell) -> float | None:
    return KNN_TEST_AREA.get((cell.target, cell.source)) if cell.kind == _PAPERS_BEST else None


def _spread(name: str, agreements: Iterable[float]) -> tuple[str, int, int, int, int]:
    values = np.array(list(agreements))
    good, fair = int((values >= 0.9).sum()), int((values >= 0.75).sum())
    return name, values.size, good, fair - good, values.size - fair


def _cell_rows(evaluation: Evaluation) -> Iterable[Sequence[object]]:
    header = ["target", "source", "model"]
    for name in MEASURES:
        header += [f"{name}_mean", f"{name}_sd", f"{name}_low", f"{name}_high"]
    for name in _CALIBRATION:
        word = name.replace(" / ", "_to_").replace(" ", "_")
        header += [word, f"{word}_low", f"{word}_high"]
    yield [*header, "paper_AUC"]
    for cell in evaluation.cells:
        row: list[object] = [cell.target.value, cell.source, cell.kind]
        for name in MEASURES:
            measure = cell.measures[name]
            row += [measure.mean, measure.sd, *measure.interval]
        for name in _CALIBRATION:
            figure = Figure(nan, nan, nan) if cell.constant and name in LINE else cell.calibration[name]
            row += [_finite(value) for value in (figure.value, figure.low, figure.high)]
        paper = _paper(cell)
        yield [*row, "" if paper is None else paper]


def _finite(value: float) -> float | None:
    """Return the value, None where there is none: an empty cell in CSV, null in JSON."""
    return value if isfinite(value) else None


def _test_rows(evaluation: Evaluation) -> Iterable[Sequence[object]]:
    yield [
        *("target", "model", "first", "second"),
        *("locked_difference", "delong_z", "delong_p", "delong_p_holm"),
        *("repeated_difference", "corrected_t", "corrected_p", "corrected_p_holm"),
    ]
    for test in (*evaluation.tests, *evaluation.added_value, *evaluation.against_baselines):
        locked, repeated = test.locked, test.repeated
        yield [
            *(test.target.value, test.kind, test.first, test.second),
            *(locked.difference, locked.statistic, locked.p, test.locked_adjusted),
            *(repeated.difference, repeated.statistic, repeated.p, test.repeated_adjusted),
        ]


def _repeatability_rows(evaluation: Evaluation) -> Iterable[Sequence[object]]:
    yield ["sequence", "feature", "icc_2_1"]
    for sequence, found in evaluation.repeatability.items():
        for feature, agreement in found.items():
            yield [sequence, feature, agreement]


def _sites_section(sites: Sites | None, minimum: int) -> Markup:
    if sites is None:
        return Markup()
    section = page("sites.html.j2", sites=sites, names=SITE_FIGURES, minimum=minimum)
    return Markup(section)  # noqa: S704 - it escapes its values


def _site_rows(sites: Sites | None) -> Iterable[Sequence[object]]:
    header = ["target", "source", "site", "patients", "present", "model"]
    for name in SITE_FIGURES:
        header += [name, f"{name}_low", f"{name}_high"]
    yield header
    for row in () if sites is None else sites.rows:
        cells: list[object] = [row.target.value, row.source, row.site, row.patients, row.present]
        cells.append(row.kind or None)
        for name in SITE_FIGURES:
            one = row.figures.get(name)
            cells += [None] * 3 if one is None else [one.value, one.low, one.high]
        yield cells


def _sites_record(sites: Sites | None) -> dict[str, Any] | None:
    if sites is None:
        return None
    header, *rows = _site_rows(sites)
    return {
        "vendors": dict(sites.vendors),
        "without_a_site": sites.unknown,
        "left_out": [dict(zip(header, row, strict=True)) for row in rows],
    }


def _record(evaluation: Evaluation, software: str, who: WhoWasIn | None) -> dict[str, Any]:
    settings = evaluation.settings
    header, *cells = _cell_rows(evaluation)
    test_header, *tests = _test_rows(evaluation)
    return {
        "title": title_of(evaluation),
        "simulated": evaluation.simulated,
        "software": software,
        "who_was_in": who_record(who),
        "patients": evaluation.patients,
        "incomplete": evaluation.incomplete,
        "present": {target.value: int(truth.sum()) for target, truth in evaluation.present.items()},
        "thresholds_mg_cm3": {target.value: bmd for target, bmd in settings.thresholds_mg_cm3.items()},
        "splits": settings.splits,
        "test_share": settings.test_share,
        "minimum_per_class": settings.minimum_per_class,
        "age_and_sex": settings.age_and_sex,
        **settings.learning.record(settings.kinds),
        "features_digest": evaluation.features_digest,
        "independent_splits": False,
        "repeats": "second masks" if evaluation.two_readers else "changed masks",
        "cells": [dict(zip(header, row, strict=True)) for row in cells],
        "areas_by_split": {
            f"{cell.target.value} / {cell.source} / {cell.kind}": cell.areas.tolist()
            for cell in evaluation.cells
        },
        "tests": [dict(zip(test_header, row, strict=True)) for row in tests],
        "paper": {"citation": CITATION, "unknown": list(UNKNOWN)},
    }
