"""Figures of a validation as SVG: ROC, calibration and decision curve of one classifier."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis.evaluation.curves import (
    draw_calibration,
    draw_roc,
    finish_calibration,
    finish_decision,
    finish_roc,
    roc_points,
    style,
    svg,
)
from analysis.evaluation.outcomes import Checked
from analysis.statistics.error_band import log_odds
from analysis.statistics.logistic import logistic_of_all

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["checked_svg"]

_COLOUR = "#0072B2"


def checked_svg(checked: Checked) -> bytes:
    """Draw the ROC, calibration and decision curves with their 95 % bands.

    Parameters
    ----------
    checked : Checked
        With figures, that is with enough patients of each class.

    Returns
    -------
    bytes
        An SVG document; the same validation gives the same bytes.
    """
    known = checked.known
    present, chances = checked.present[known], checked.probabilities[known]
    with style():
        canvas = Canvas(figsize=(11, 3.8), layout="constrained")
        roc, calibration, decision = canvas.subplots(1, 3)
        draw_roc(roc, "the model", roc_points(present, chances), _COLOUR)
        finish_roc(roc)
        draw_calibration(calibration, present, chances, _COLOUR)
        _draw_line(calibration, checked)
        finish_calibration(calibration)
        _draw_benefit(decision, checked, float(present.mean()))
        return svg(canvas)


def _draw_line(axes: "Axes", checked: Checked) -> None:
    """Draw the logistic calibration curve over the range of the probabilities, and its band."""
    chances = checked.probabilities[checked.known]
    along = np.linspace(chances.min(), chances.max(), 60)
    if not np.isfinite(checked.lines[0]).all():  # no slope, no curve; the page says why
        return
    curves = logistic_of_all(checked.lines[:, :1] + checked.lines[:, 1:] * log_odds(along))
    low, high = np.nanquantile(curves[1:], [0.025, 0.975], axis=0)
    axes.plot(along, curves[0], color=_COLOUR)
    axes.fill_between(along, low, high, color=_COLOUR, alpha=0.15, linewidth=0)


def _draw_benefit(axes: "Axes", checked: Checked, share: float) -> None:
    cuts, benefits = checked.thresholds, checked.benefits
    low, high = np.quantile(benefits[1:], [0.025, 0.975], axis=0)
    axes.plot(cuts, benefits[0], color=_COLOUR, label="the model")
    axes.fill_between(cuts, low, high, color=_COLOUR, alpha=0.15, linewidth=0)
    finish_decision(axes, share, cuts, float(high.max()))
