"""Laplacian of Gaussian of a signal that exists only within the bodies, slice by slice.

Each body of each slice is filtered by itself. What the filter would read beyond the border is the nearest
value of the body, so no value of another tissue, body or slice enters.

References
----------
docs/decisions/0012-radiomics-of-bone-only.md compares the ways to filter within a border.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.measurement.resample import nearest_inside

__all__ = ["laplacians_of_gaussian"]

_REACH = 4.0
"""How far a filter reads, in standard deviations of the Gaussian."""


def laplacians_of_gaussian(
    signal: npt.NDArray[np.float32],
    labels: npt.NDArray[np.uint8],
    sigmas_mm: tuple[float, ...],
    pixel_mm: float,
    *,
    within: tuple[slice, slice] | None = None,
    size: tuple[int, int] | None = None,
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
    within, size : tuple, optional
        The rows and columns of the arrays in the whole image, and its size; by default they are all of it. A
        filter reads to the edge of the whole image.

    Returns
    -------
    tuple of ndarray of float32, same shape
        For each sigma, the Laplacian times its square, as ITK normalises across scale: in the unit of the
        signal, negative on bright spots, 0 for a constant or a ramp, and 0 outside the bodies.
    """
    corner = (0, 0) if within is None else (within[0].start, within[1].start)
    level = np.zeros(signal.shape)
    level[labels > 0] = _without_ramp(signal, labels, corner)
    filtered = tuple(np.zeros(signal.shape, dtype=np.float32) for _ in sigmas_mm)
    margin = round(_REACH * max(sigmas_mm, default=0.0) / pixel_mm) + 1
    for box, body in _bodies(labels):
        # As wide as a filter reads, or to the edge of the image.
        pads = [
            (min(margin, one.start + first), min(margin, length - one.stop - first))
            for one, first, length in zip(box[1:], corner, size or signal.shape[1:], strict=True)
        ]
        inner = tuple(
            slice(before, before + length) for (before, _), length in zip(pads, body.shape, strict=True)
        )
        nearest = nearest_inside(np.pad(body, pads))
        everywhere = level[box][tuple(at - before for at, (before, _) in zip(nearest, pads, strict=True))]
        for out, sigma in zip(filtered, (sigma_mm / pixel_mm for sigma_mm in sigmas_mm), strict=True):
            laplacian = ndimage.gaussian_laplace(everywhere, sigma, mode="nearest", truncate=_REACH)
            out[box][body] = sigma**2 * laplacian[inner][body]
    return filtered


def _bodies(
    labels: npt.NDArray[np.uint8],
) -> Iterator[tuple[tuple[int, slice, slice], npt.NDArray[np.bool_]]]:
    """Give the box around each body of each slice, and the body's mask in it."""
    for index, slice_ in enumerate(labels):
        for label, found in enumerate(ndimage.find_objects(slice_), start=1):
            if found is not None:
                rows, columns = found
                yield (index, rows, columns), slice_[found] == label


def _without_ramp(
    signal: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8], corner: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Subtract from each body in each slice its plane of least squares; return the labelled pixels.

    A plane has no Laplacian. Where the nearest value continues it, however, a ramp ends in a bend, and the
    shading of a surface coil would draw a rim around every body.
    """
    slices, rows, columns = np.nonzero(labels)
    _, part = np.unique(slices * 256 + labels[slices, rows, columns], return_inverse=True)
    count = np.bincount(part)
    centred = [
        values - (np.bincount(part, values) / count)[part]
        # From the corner of the whole image, so that a part of it gives the same sums to the last bit.
        for values in (
            rows + corner[0],
            columns + corner[1],
            signal[slices, rows, columns].astype(np.float64),
        )
    ]
    products = np.array([[np.bincount(part, one * other) for other in centred] for one in centred])
    moments, slopes_by = products[:2, :2].transpose(2, 0, 1), products[:2, 2].T
    # The pseudo-inverse gives no slope across a part that is only one pixel wide.
    slopes = (np.linalg.pinv(moments, hermitian=True) @ slopes_by[:, :, None])[part, :, 0]
    flat: npt.NDArray[np.float64] = centred[2] - slopes[:, 0] * centred[0] - slopes[:, 1] * centred[1]
    return flat
