"""The opinion of a network about one packed slice."""

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from analysis.segment.training.augment import NETWORK_MM, standardise
from analysis.segment.training.pack import PACKED_MM
from analysis.segment.training.unet import UNet

__all__ = ["opinion_of"]

Labels = npt.NDArray[np.uint8]


@torch.no_grad()
def opinion_of(network: UNet, image: Labels) -> tuple[Labels, npt.NDArray[np.float32]]:
    """Return the most probable class of every pixel, and its probability.

    Parameters
    ----------
    network : UNet
        In evaluation mode.
    image : ndarray of uint8, shape (rows, columns)
        Grey values at `PACKED_MM`.
    """
    size = [max(32, round(length * PACKED_MM / NETWORK_MM / 32) * 32) for length in image.shape]
    pixels = torch.from_numpy(image)[None, None].float() / 255
    small = functional.interpolate(pixels, size=size, mode="bilinear", antialias=True)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(standardise(small, jitter=False))
    logits = functional.interpolate(logits.float(), size=image.shape, mode="bilinear")
    probability, label = torch.softmax(logits, dim=1)[0].max(dim=0)
    return label.numpy().astype(np.uint8), probability.numpy()
