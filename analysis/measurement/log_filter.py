"""Laplacian of Gaussian of a signal that exists only within the bodies, slice by slice.

A Gaussian is what diffusion makes of a signal. Here the signal diffuses from pixel to pixel of one body in
one slice and through no border: no value comes from another tissue, body or slice, and none is made up beyond
the border. On an unlimited slice this is Lindeberg's discrete Gaussian, in small steps.

References
----------
Lindeberg T. Scale-space for discrete signals. IEEE Trans Pattern Anal Mach Intell 1990;12:234-254.
Knutsson H, Westin CF. Normalized and differential convolution. Proc IEEE CVPR 1993:515-523.
docs/decisions/0012-radiomics-of-bone-only.md compares the ways to filter within a border.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["laplacians_of_gaussian"]

_Matrix: TypeAlias = Any  # of scipy.sparse, which has no types

_LONGEST_STEP = 0.125
"""Of diffusion, in pixels squared: half of what leaves no ringing (1/4 with four neighbours)."""


def laplacians_of_gaussian(
    signal: npt.NDArray[np.float32],
    labels: npt.NDArray[np.uint8],
    sigmas_mm: tuple[float, ...],
    pixel_mm: float,
) -> tuple[npt.NDArray[np.float32], ...]:
    """Filter each body of each slice by itself.

    Parameters
    ----------
    signal : ndarray of float32, shape (slices, rows, columns)
        The signal on square pixels; only pixels with a label are read.
    labels : ndarray of uint8, same shape
        Bodies by label, and 0.
    sigmas_mm : tuple of float
        Standard deviations of the Gaussian, in mm.
    pixel_mm : float
        Side of a pixel.

    Returns
    -------
    tuple of ndarray of float32, same shape
        For each sigma, the Laplacian times its square, as ITK normalises across scale: in the unit of the
        signal, negative on bright spots, 0 for a constant or a ramp, and 0 outside the bodies.
    """
    inside = labels > 0
    level = _without_ramp(signal, labels)
    flow = _exchange(labels)
    filtered = []
    for sigma in (sigma_mm / pixel_mm for sigma_mm in sigmas_mm):
        smooth = _diffused(level, flow, sigma**2 / 2)
        out = np.zeros(signal.shape, dtype=np.float32)
        out[inside] = sigma**2 * (flow @ smooth)
        filtered.append(out)
    return tuple(filtered)


def _diffused(level: npt.NDArray[np.float64], flow: _Matrix, time: float) -> npt.NDArray[np.float64]:
    """Let the signal diffuse; its variance along each axis grows by exactly twice the time.

    The steps are explicit, because SciPy's `expm_multiply` draws random numbers to choose its own: the last
    digits, and with them the bins of pyradiomics, could differ between runs.
    """
    steps = int(np.ceil(time / _LONGEST_STEP))
    for _ in range(steps):
        level = level + (time / steps) * (flow @ level)
    return level


def _without_ramp(signal: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Subtract from each body in each slice its plane of least squares; return the labelled pixels.

    A plane has no Laplacian. At a border that nothing passes, however, a ramp ends in a bend, and the shading
    of a surface coil would draw a rim around every body.
    """
    slices, rows, columns = np.nonzero(labels)
    _, part = np.unique(slices * 256 + labels[slices, rows, columns], return_inverse=True)
    count = np.bincount(part)
    centred = [
        values - (np.bincount(part, values) / count)[part]
        for values in (rows, columns, signal[slices, rows, columns].astype(np.float64))
    ]
    products = np.array([[np.bincount(part, one * other) for other in centred] for one in centred])
    moments, slopes_by = products[:2, :2].transpose(2, 0, 1), products[:2, 2].T
    # The pseudo-inverse gives no slope across a part that is only one pixel wide.
    slopes = (np.linalg.pinv(moments, hermitian=True) @ slopes_by[:, :, None])[part, :, 0]
    flat: npt.NDArray[np.float64] = centred[2] - slopes[:, 0] * centred[0] - slopes[:, 1] * centred[1]
    return flat


def _exchange(labels: npt.NDArray[np.uint8]) -> _Matrix:
    """Return the Laplacian over the labelled pixels: neighbours in a slice exchange signal within a body."""
    count = int(np.count_nonzero(labels))
    number = np.full(labels.shape, -1)
    number[labels > 0] = np.arange(count)
    ones, others = [], []
    for here, there in (
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
        ((slice(None), slice(None), slice(1, None)), (slice(None), slice(None), slice(None, -1))),
    ):
        joined = (labels[here] > 0) & (labels[here] == labels[there])
        ones.append(number[here][joined])
        others.append(number[there][joined])
    one, other = np.concatenate(ones), np.concatenate(others)
    pairs = sparse.coo_array((np.ones(one.size), (one, other)), shape=(count, count))
    neighbours = (pairs + pairs.T).tocsr()
    return (neighbours - sparse.diags_array(neighbours.sum(axis=1))).tocsr()
