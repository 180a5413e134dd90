"""Pictures as PNG."""

from io import BytesIO

import numpy as np
import numpy.typing as npt

__all__ = ["png_of"]

_LEVEL = 3
"""Of the compression: half of the processor time of Pillow's usual 6, and our pictures are no larger."""


def png_of(picture: npt.NDArray[np.uint8]) -> bytes:
    """Encode a picture as PNG.

    Parameters
    ----------
    picture : ndarray of uint8, shape (rows, columns, 3)
        sRGB.

    Returns
    -------
    bytes
        The same for the same picture.
    """
    from PIL import Image

    stream = BytesIO()
    Image.fromarray(picture).save(stream, format="PNG", compress_level=_LEVEL)
    return stream.getvalue()
