"""Locate the columns of the image that show the spine, from a few slices.

Two thirds of the columns of a lumbar protocol show abdomen and back muscles. The network is slow on two
cores, so it runs on the full width of only a few middle slices, and on the spine's columns of all slices.
"""

import numpy as np
import numpy.typing as npt

from analysis.segment.network import BODY, CANAL, DISC, SACRUM, Network

__all__ = ["rewindow", "spine_columns"]

Floats = npt.NDArray[np.float32]

_LOOKS = (0.35, 0.5, 0.65)
_MARGIN_MM = 35.0
_FEWEST_PIXELS = 500
_NARROWEST = 128
_WINDOW_PERCENTILE = 99.0


def spine_columns(network: Network, slices: Floats, pixel_mm: float) -> slice:
    """Return the columns that show the spine, with a margin; all columns if it is not found.

    Parameters
    ----------
    network : Network
        The network.
    slices : ndarray of float32, shape (slabs, rows, columns)
        All slices of the volume.
    pixel_mm : float
        Distance between columns.
    """
    width = slices.shape[2]
    looks = sorted({round(part * (len(slices) - 1)) for part in _LOOKS})
    seen = network.probabilities(slices[looks])
    spine = seen[:, (BODY, SACRUM, DISC, CANAL)].sum(axis=1) > 0.5
    per_column = spine.any(axis=0).sum(axis=0)
    if per_column.sum() < _FEWEST_PIXELS:
        return slice(0, width)
    # A few stray pixels in the abdomen must not widen the window.
    reached = np.cumsum(per_column) / per_column.sum()
    first, last = (int(np.searchsorted(reached, share)) for share in (0.005, 0.995))
    margin = round(_MARGIN_MM / pixel_mm)
    short = max(0, _NARROWEST - (last - first + 2 * margin)) // 2
    return slice(max(0, first - margin - short), min(width, last + margin + short))


def rewindow(slices: Floats) -> Floats:
    """Scale intensities so that the 99th percentile of the middle slices is 1, and clip at 1.5."""
    quarter = len(slices) // 4
    # Outer slices show only flank and skin, so the middle half sets the scale.
    level = float(np.percentile(slices[quarter : len(slices) - quarter], _WINDOW_PERCENTILE))
    return np.asarray(np.clip(slices / max(level, 1e-6), 0.0, 1.5), dtype=np.float32)
