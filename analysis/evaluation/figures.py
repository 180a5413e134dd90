"""Figures of an evaluation as SVG: ROC, calibration and decision curves, and a forest plot of AUCs."""

import io
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from analysis.domain.findings import Target
from analysis.evaluation.paper import KNN_TEST_AREA
from analysis.evaluation.result import BASELINES, SOURCES, Evaluation
from analysis.statistics.calibration_check import net_benefits
from analysis.statistics.proportion import share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "areas_svg",
    "curves_svg",
    "draw_calibration",
    "draw_roc",
    "finish_calibration",
    "finish_roc",
    "net_benefit",
    "roc_points",
    "style",
    "svg",
]

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]

# Okabe and Ito's colours, which most colour-blind readers can distinguish.
_COLOURS = {"T1": "#0072B2", "T2": "#D55E00", "T1+T2": "#009E73", "VBQ": "#7F7F7F"}
_MARKERS = {"T1": "o", "T2": "s", "T1+T2": "^"}
_BINS = 5
_ODDS = np.arange(0.02, 0.72, 0.01)


def curves_svg(evaluation: Evaluation, target: Target, kind: str) -> bytes:
    """Draw ROC, calibration and decision curves of one kind of classifier and of VBQ.

    Each patient counts once, with the mean probability over the splits that had the patient in the test set.

    Parameters
    ----------
    evaluation : Evaluation
        The evaluation.
    target : Target
        The target.
    kind : str
        Kind of classifier.

    Returns
    -------
    bytes
        An SVG document; the same evaluation gives the same bytes.
    """
    curves = list(_curves(evaluation, target, kind))
    with style():
        figure = Figure(figsize=(11, 3.8), layout="constrained")
        roc, calibration, decision = figure.subplots(1, 3)
        for name, present, chances in curves:
            draw_roc(roc, name, present, chances, _COLOURS[name])
            draw_calibration(calibration, present, chances, _COLOURS[name])
            decision.plot(_ODDS, net_benefit(present, chances, _ODDS), color=_COLOURS[name], label=name)
        finish_roc(roc)
        finish_calibration(calibration)
        _finish_decision(decision, evaluation.present[target])
        return svg(figure)


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
        figure = Figure(figsize=(11, 0.42 * len(rows) + 0.9), layout="constrained")
        axes = figure.subplots()
        for row, name in enumerate(rows):
            sources = (name,) if name in BASELINES else SOURCES
            kind = "LR" if name in BASELINES else name
            for offset, source in zip(np.linspace(-0.22, 0.22, len(sources)), sources, strict=True):
                _draw_area(axes, evaluation, (target, source, kind), row + (offset if sources[1:] else 0.0))
        _finish_areas(axes, rows, target)
        return svg(figure)


def _draw_area(axes: "Axes", evaluation: Evaluation, key: tuple[Target, str, str], height: float) -> None:
    target, source, kind = key
    cell = evaluation.cell(*key)
    if cell is None:
        return
    measure = cell.measures["AUC"]
    low, high = measure.interval
    reach = [[max(0.0, measure.mean - low)], [max(0.0, high - measure.mean)]]
    colour, marker = _COLOURS.get(source, _COLOURS["VBQ"]), _MARKERS.get(source, "D")
    axes.errorbar(measure.mean, height, xerr=reach, color=colour, marker=marker, markersize=5, capsize=2)
    if kind == "KNN" and (told := KNN_TEST_AREA.get((target, source))) is not None:
        axes.plot(told, height, marker="x", color=colour, markersize=7, markeredgewidth=1.6, linestyle="none")


def _finish_areas(axes: "Axes", rows: Sequence[str], target: Target) -> None:
    axes.set(yticks=range(len(rows)), yticklabels=rows, xlabel="AUC", xlim=(0.35, 1.0))
    axes.set_title(f"{target.value}: mean over the splits, 95 % interval", loc="left")
    axes.invert_yaxis()
    axes.axvline(0.5, color="black", linewidth=0.6, linestyle=":")
    axes.grid(axis="x", linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    for source, marker in _MARKERS.items():
        axes.plot([], [], color=_COLOURS[source], marker=marker, label=source)
    axes.plot([], [], color="black", marker="x", linestyle="none", label="the paper's KNN")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def style() -> AbstractContextManager[None]:
    """Return the style of all figures."""
    return mpl.rc_context({"svg.hashsalt": "osteonode", "font.size": 9, "font.family": "DejaVu Sans"})


def svg(figure: Figure) -> bytes:
    """Return a figure as SVG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def roc_points(present: Truth, chances: Floats) -> tuple[Floats, Floats]:
    """Return false and true positive rates at every threshold, from (0, 0) to (1, 1)."""
    cuts = np.unique(chances)[::-1]
    called = chances[None, :] >= cuts[:, None]
    false = called[:, ~present].mean(axis=1)
    true = called[:, present].mean(axis=1)
    return np.concatenate([[0.0], false]), np.concatenate([[0.0], true])


def net_benefit(present: Truth, chances: Floats, odds: Floats) -> Floats:
    """Return the net benefit of acting on every probability at or above a threshold.

    Parameters
    ----------
    present : ndarray of bool, shape (patients,)
        Whether the target is present.
    chances : ndarray of shape (patients,)
        Predicted probabilities.
    odds : ndarray of shape (thresholds,)
        Threshold probabilities below 1.

    Returns
    -------
    ndarray of shape (thresholds,)
        True positives per patient, minus false positives per patient times the odds of the threshold.

    References
    ----------
    Vickers AJ, Elkin EB. Decision curve analysis. Med Decis Making 2006;26:565-574.
    """
    (benefit,) = net_benefits(present, chances, odds, np.ones((1, present.size)))
    return np.asarray(benefit)


def _curves(evaluation: Evaluation, target: Target, kind: str) -> Iterator[tuple[str, Truth, Floats]]:
    wanted = [*((source, kind) for source in SOURCES), ("VBQ", "LR")]
    for source, model in wanted:
        cell = evaluation.cell(target, source, model)
        if cell is not None:
            chances = cell.judged()
            seen = np.isfinite(chances)
            yield source, evaluation.present[target][seen], chances[seen]


def draw_roc(axes: "Axes", name: str, present: Truth, chances: Floats, colour: str) -> None:
    """Draw a ROC curve."""
    false, true = roc_points(present, chances)
    axes.plot(false, true, color=colour, label=name)


def draw_calibration(axes: "Axes", present: Truth, chances: Floats, colour: str) -> None:
    """Draw the share of patients with the target in groups of equal size, with Wilson's intervals."""
    # Equal numbers of patients in each bin, so that all points have the same weight.
    for part in np.array_split(np.argsort(chances, kind="stable"), _BINS):
        value, (low, high) = share(present[part])
        axes.errorbar(
            chances[part].mean(),
            value,
            yerr=[[max(0.0, value - low)], [max(0.0, high - value)]],
            color=colour,
            marker="o",
            markersize=4,
            linewidth=0.8,
            capsize=2,
        )


def finish_roc(axes: "Axes") -> None:
    """Add the diagonal, the labels and the legend."""
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.6, linestyle=":")
    axes.set(title="ROC", xlabel="1 - specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1.01))
    axes.set_aspect("equal")
    axes.legend(loc="lower right", frameon=False)


def finish_calibration(axes: "Axes") -> None:
    """Add the diagonal and the labels."""
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.6, linestyle=":")
    axes.set(
        title="Calibration",
        xlabel="probability told",
        ylabel="share with the target",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    axes.set_aspect("equal")


def _finish_decision(axes: "Axes", present: Truth) -> None:
    everyone = net_benefit(present, np.ones(present.size), _ODDS)
    axes.plot(_ODDS, everyone, color="black", linewidth=0.6, linestyle="--", label="act on all")
    axes.axhline(0.0, color="black", linewidth=0.6, linestyle=":", label="act on none")
    share = float(present.mean())
    axes.set(title="Decision curve", xlabel="threshold probability", ylabel="net benefit")
    axes.set(xlim=(0, float(_ODDS[-1])), ylim=(-0.1 * share, 1.05 * share))
    axes.legend(loc="lower left", frameon=False)
