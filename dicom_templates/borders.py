"""The borders of a mask on one slice, every part and every hole."""

import numpy as np
import numpy.typing as npt

__all__ = ["borders"]


def borders(mask: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.float64]]:
    """Trace the borders of a mask.

    Parameters
    ----------
    mask : ndarray of bool, shape (rows, columns)
        The pixels of a region on one slice.

    Returns
    -------
    list of ndarray, each of shape (n, 2)
        Closed lines through points (column, row) in pixels. The top left corner of the first pixel is
        (0, 0) and its centre (0.5, 0.5), as in DICOM (PS3.3 C.10.5).

    Examples
    --------
    >>> (line,) = borders(np.array([[False, False], [False, True]]))
    >>> line.min(axis=0), line.max(axis=0)
    (array([1., 1.]), array([2., 2.]))
    """
    if not mask.any():
        return []
    import contourpy

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # A border of zeros closes the line at the edge of the image too.
    found = contourpy.contour_generator(z=np.pad(part, 1).astype(np.float64)).lines(0.5)
    corner = np.array([columns[0] - 0.5, rows[0] - 0.5])
    return [np.asarray(line) + corner for line in found]
