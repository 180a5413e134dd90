"""Figures of an evaluation as SVG: ROC, calibration and decision curves, and a forest plot of AUCs."""

from collections.abc import Iterator, Sequence
from math import floor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from analysis.domain.findings import Target
from analysis.evaluation.curves import (
    draw_calibration,
    draw_roc,
    finish_calibration,
    finish_decision,
    finish_roc,
    mean_roc,
    net_benefit,
    roc_points,
    style,
    svg,
)
from analysis.evaluation.paper import KNN_TEST_AREA
from analysis.evaluation.result import BASELINES, SOURCES, WITH_AGE_AND_SEX, Cell, Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["areas_svg", "curves_svg", "lowest_area"]

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]

# Okabe and Ito's colours, which most colour-blind readers can distinguish.
_COLOURS = {
    "T1": "#0072B2",
    "T2": "#D55E00",
    "T1+T2": "#009E73",
    "age + sex": "#CC79A7",
    "VBQ": "#7F7F7F",
    "T2-VBQ": "#B8A000",
}
_MARKERS = {"T1": "o", "T2": "s", "T1+T2": "^"}
# With age and sex: the same hue, lighter, and the same marker, empty.
_COLOURS |= dict(zip(WITH_AGE_AND_SEX, ("#56B4E9", "#E8A06B", "#66C2A5"), strict=True))
_EMPTY = {name: _MARKERS[images] for name, images in WITH_AGE_AND_SEX.items()}
_ODDS = np.arange(0.02, 0.72, 0.01)


def curves_svg(evaluation: Evaluation, target: Target, models: Sequence[tuple[str, str]]) -> bytes:
    """Draw ROC, calibration and decision curves of several models.

    ROC and decision curves are the means of those of the splits. Calibration is that of all predictions of
    all splits, each by one model; a patient who was judged several times counts once (`Pooled`). Averaging
    the predictions of a patient would draw the curves of an ensemble, which is better calibrated.

    Parameters
    ----------
    evaluation : Evaluation
        The evaluation.
    target : Target
        The target.
    models : sequence of (str, str)
        Source and kind of each; those that the evaluation lacks are left out.

    Returns
    -------
    bytes
        An SVG document; the same evaluation gives the same bytes.
    """
    truth = evaluation.present[target]
    with style():
        figure = Figure(figsize=(11, 3.8), layout="constrained")
        roc, calibration, decision = figure.subplots(1, 3)
        for source, kind in models:
            cell = evaluation.cell(target, source, kind)
            if cell is None:
                continue
            splits = list(_splits(cell, truth))
            draw_roc(roc, source, mean_roc([roc_points(*split) for split in splits]), _COLOURS[source])
            pooled = cell.pooled()
            draw_calibration(
                calibration, truth[pooled.rows], pooled.probabilities, _COLOURS[source], pooled.weights
            )
            benefit = np.mean([net_benefit(*split, _ODDS) for split in splits], axis=0)
            decision.plot(_ODDS, benefit, color=_COLOURS[source], label=source)
        finish_roc(roc)
        finish_calibration(calibration)
        finish_decision(decision, float(truth.mean()), _ODDS)
        return svg(figure)


def _splits(cell: Cell, truth: Truth) -> Iterator[tuple[Truth, Floats]]:
    """Yield truth and probabilities of the test patients of each split."""
    for row in cell.probabilities:
        judged = np.isfinite(row)
        yield truth[judged], row[judged]


def areas_svg(evaluation: Evaluation, target: Target) -> bytes:
    """Draw the AUC of every cell with its interval, and the paper's AUC of KNN beside ours.

    Parameters
    ----------
    evaluation : Evaluation
        The evaluation.
    target : Target
        The target.

    Returns
    -------
    bytes
        An SVG document; the same evaluation gives the same bytes.
    """
    rows = [*evaluation.settings.kinds, *(name for name in BASELINES if evaluation.cell(target, name, "LR"))]
    with style():
        # Twice as many sources need more room.
        height = 0.42 if evaluation.settings.sources == SOURCES else 0.7
        figure = Figure(figsize=(11, height * len(rows) + 0.9), layout="constrained")
        axes = figure.subplots()
        for row, name in enumerate(rows):
            sources = (name,) if name in BASELINES else evaluation.settings.sources
            kind = "LR" if name in BASELINES else name
            reach = 0.22 if len(sources) <= len(SOURCES) else 0.36
            for offset, source in zip(np.linspace(-reach, reach, len(sources)), sources, strict=True):
                _draw_area(axes, evaluation, (target, source, kind), row + (offset if sources[1:] else 0.0))
        _finish_areas(axes, rows, evaluation, target)
        return svg(figure)


def _draw_area(axes: "Axes", evaluation: Evaluation, key: tuple[Target, str, str], height: float) -> None:
    target, source, kind = key
    cell = evaluation.cell(*key)
    if cell is None:
        return
    measure = cell.measures["AUC"]
    low, high = measure.interval
    reach = [[max(0.0, measure.mean - low)], [max(0.0, high - measure.mean)]]
    colour, marker = _COLOURS.get(source, _COLOURS["VBQ"]), {**_MARKERS, **_EMPTY}.get(source, "D")
    axes.errorbar(
        measure.mean,
        height,
        xerr=reach,
        color=colour,
        marker=marker,
        markerfacecolor="white" if source in _EMPTY else colour,
        markersize=5,
        capsize=2,
    )
    if kind == "KNN" and (told := KNN_TEST_AREA.get((target, source))) is not None:
        axes.plot(told, height, marker="x", color=colour, markersize=7, markeredgewidth=1.6, linestyle="none")


def lowest_area(evaluation: Evaluation, target: Target) -> float:
    """Return where the axis of AUCs begins, so that no marker and no interval is cut."""
    lows = [cell.measures["AUC"].interval[0] for cell in evaluation.cells if cell.target is target]
    return min(0.35, max(-0.01, floor(20 * min(lows)) / 20 - 0.01))


def _finish_areas(axes: "Axes", rows: Sequence[str], evaluation: Evaluation, target: Target) -> None:
    lowest = lowest_area(evaluation, target)
    axes.set(yticks=range(len(rows)), yticklabels=rows, xlabel="AUC", xlim=(lowest, 1.0))
    axes.set_title(f"{target.value}: mean over the splits, 95 % interval", loc="left")
    axes.invert_yaxis()
    axes.axvline(0.5, color="black", linewidth=0.6, linestyle=":")
    axes.grid(axis="x", linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    for source in evaluation.settings.sources:
        inside = "white" if source in _EMPTY else _COLOURS[source]
        marker = {**_MARKERS, **_EMPTY}[source]
        axes.plot([], [], color=_COLOURS[source], marker=marker, markerfacecolor=inside, label=source)
    if "KNN" in rows:
        axes.plot([], [], color="black", marker="x", linestyle="none", label="the paper's KNN")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
