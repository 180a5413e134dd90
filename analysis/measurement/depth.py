"""How deep the pixels of a mask lie in it."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["depth_in_slice"]


def depth_in_slice(
    mask: npt.NDArray[np.bool_], spacing: tuple[float, ...] = (1.0, 1.0)
) -> npt.NDArray[np.float64]:
    """Return the distance of each pixel to the centre of the nearest one outside the mask.

    What lies beyond the edge of the array is outside. The border itself is half a pixel nearer.

    Parameters
    ----------
    mask : ndarray of bool, shape (rows, columns)
        The mask on one slice.
    spacing : tuple of float
        Distance between rows and between columns, whose unit is that of the result.

    Returns
    -------
    ndarray of float64, same shape
        0 outside.
    """
    depth: npt.NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)
    return depth[1:-1, 1:-1]
