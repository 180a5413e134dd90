"""Curves of predictions and truth: ROC, calibration and decision curve, on the axes of a figure."""

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from analysis.statistics.calibration_check import net_benefits
from analysis.statistics.proportion import wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "draw_calibration",
    "draw_roc",
    "finish_calibration",
    "finish_decision",
    "finish_roc",
    "mean_roc",
    "net_benefit",
    "roc_points",
    "style",
    "svg",
]

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]

_BINS = 5
_STEPS = np.linspace(0, 1, 501)


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


def mean_roc(curves: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Return the mean of several ROC curves: the mean sensitivity at each false positive rate.

    The area under it is the mean of their areas.

    Parameters
    ----------
    curves : sequence of two ndarray
        Points of each, as `roc_points` returns them.
    """
    # Steps straight up become very steep ones, because an interpolation needs rising values.
    steep = [false - np.arange(false.size)[::-1] * 1e-9 for false, _ in curves]
    true = [np.interp(_STEPS, rising, points) for rising, (_, points) in zip(steep, curves, strict=True)]
    return np.concatenate([[0.0], _STEPS]), np.concatenate([[0.0], np.mean(true, axis=0)])


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


def draw_roc(axes: "Axes", name: str, points: tuple[Floats, Floats], colour: str) -> None:
    """Draw a ROC curve."""
    axes.plot(*points, color=colour, label=name)


def draw_calibration(
    axes: "Axes", present: Truth, chances: Floats, colour: str, weights: Floats | None = None
) -> None:
    """Draw the share with the target in groups of equal size, with Wilson's intervals.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    present : ndarray of bool, shape (n,)
        Whether the target is present.
    chances : ndarray of shape (n,)
        Predicted probabilities.
    colour : str
        Colour of the points.
    weights : ndarray of shape (n,), optional
        How much of a patient each prediction is; by default each is a patient.
    """
    order = np.argsort(chances, kind="stable")
    counts = np.ones(order.size) if weights is None else weights[order]
    # Groups of equally many patients, so that all points have the same weight.
    group = np.minimum((np.cumsum(counts) - counts / 2) / counts.sum() * _BINS, _BINS - 1).astype(int)
    for number in np.unique(group):
        part, own = order[group == number], counts[group == number]
        value = float(np.average(present[part], weights=own))
        low, high = wilson_interval(value, float(own.sum()))
        axes.errorbar(
            np.average(chances[part], weights=own),
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


def finish_decision(axes: "Axes", share: float, odds: Floats, highest: float = 0.0) -> None:
    """Add acting on all and on none, labels and legend; `share` is that of patients with the target."""
    axes.plot(
        odds,
        share - (1 - share) * odds / (1 - odds),
        color="black",
        linewidth=0.6,
        linestyle="--",
        label="act on all",
    )
    axes.axhline(0.0, color="black", linewidth=0.6, linestyle=":", label="act on none")
    axes.set(title="Decision curve", xlabel="threshold probability", ylabel="net benefit")
    axes.set(xlim=(0, float(odds[-1])), ylim=(-0.1 * share, 1.05 * max(share, highest)))
    # The curves start at the share: high on the left, and then the lower left corner is free.
    axes.legend(loc="upper right" if share < 0.5 else "lower left", frameon=False)
