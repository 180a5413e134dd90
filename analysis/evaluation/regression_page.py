"""The regression of the bone density as a section of the page, as a picture, and as tables."""

from collections.abc import Iterable, Sequence
from math import ceil

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.figure import Figure

from analysis.evaluation.curves import style, svg
from analysis.evaluation.page import embedded, page
from analysis.evaluation.regression import AGREEMENT, MEASURES, Regressed, Regression
from analysis.evaluation.result import Pooled
from analysis.tables import Cell

__all__ = ["bmd_columns", "regression_rows", "regression_section"]

Floats = npt.NDArray[np.float64]

_PANELS = 3
_COLUMNS = ("patient_id", "source", "split", "bmd_mg_cm3", "predicted_mg_cm3")


def regression_section(regression: Regression | None) -> Markup:
    """Return the section of the page; nothing if there was no regression."""
    if regression is None:
        return Markup()
    section = page(
        "regression.html.j2",
        rows=regression.rows,
        splits=len(regression.rows[0].predicted),
        picture=embedded(_agreement_svg(regression)),
    )
    return Markup(section)  # noqa: S704 - it escapes its values


def regression_rows(regression: Regression | None) -> Iterable[Sequence[object]]:
    """Yield header and rows of regression.csv."""
    header = ["source"]
    for name in MEASURES:
        header += [f"{_plain(name)}_{part}" for part in ("mean", "sd", "low", "high")]
    for name in AGREEMENT:
        header += [f"{_plain(name)}{part}" for part in ("", "_low", "_high")]
    yield header
    for row in () if regression is None else regression.rows:
        cells: list[object] = [row.source]
        for name in MEASURES:
            measure = row.measures[name]
            cells += [measure.mean, measure.sd, *measure.interval]
        for name in AGREEMENT:
            figure = row.agreement[name]
            cells += [figure.value, figure.low, figure.high]
        yield cells


def bmd_columns(regression: Regression) -> dict[str, list[Cell]]:
    """Return a row for each patient in the test set of a split, for every source."""
    columns: dict[str, list[Cell]] = {name: [] for name in _COLUMNS}
    for one in regression.rows:
        for split, row in zip(*np.nonzero(np.isfinite(one.predicted)), strict=True):
            cells = (
                regression.patient_ids[row],
                one.source,
                int(split) + 1,
                float(regression.bmd_mg_cm3[row]),
                float(one.predicted[split, row]),
            )
            for column, cell in zip(columns.values(), cells, strict=True):
                column.append(cell)
    return columns


def _plain(name: str) -> str:
    return name.replace("²", "2").replace(" ", "_")


def _agreement_svg(regression: Regression) -> bytes:
    """Draw differences by means, a panel for each source with the same axes."""
    count = len(regression.rows)
    with style():
        figure = Figure(figsize=(11, 3.2 * ceil(count / _PANELS)), layout="constrained")
        panels = figure.subplots(
            ceil(count / _PANELS), _PANELS, squeeze=False, sharex=True, sharey=True
        ).ravel()
        for axes in panels[count:]:
            axes.set_axis_off()
        for axes, row in zip(panels, regression.rows, strict=False):
            means, differences = _differences(regression, row)
            axes.plot(means, differences, ".", color="#0072B2", markersize=3, alpha=0.35)
            for name in AGREEMENT:
                axes.axhline(row.agreement[name].value, color="black", linewidth=0.8, linestyle="--")
            axes.axhline(0.0, color="black", linewidth=0.5)
            axes.set_title(row.source, loc="left")
            axes.set(xlabel="mean of both, mg/cm³", ylabel="predicted minus measured")
        return svg(figure)


def _differences(regression: Regression, row: Regressed) -> tuple[Floats, Floats]:
    pooled = Pooled.of(row.predicted)
    truth = regression.bmd_mg_cm3[pooled.rows]
    return (pooled.probabilities + truth) / 2, pooled.probabilities - truth
