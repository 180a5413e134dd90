"""Domain randomisation of whole batches on the GPU.

The network must not depend on vendor, field strength, coil or contrast, so every slice is shown with another
geometry, contrast and artefacts each time. Billot et al. 2023 (SynthSeg) showed that training on random,
unrealistic contrasts generalises to real ones.

Shapes: images (n, 1, rows, columns), labels (n, rows, columns).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from analysis.segment.training.truth import BODY, CANAL, DISC, IGNORE, POSTERIOR, SACRUM

__all__ = ["NETWORK_MM", "change_contrast", "cut_windows", "degrade", "standardise"]

NETWORK_MM = 1.0
"""Pixel size that the network sees."""

_TISSUES = ((BODY, SACRUM, POSTERIOR), (DISC,), (CANAL,))


def _chance(n: int, probability: float, device: torch.device) -> Tensor:
    return (torch.rand(n, 1, 1, 1, device=device) < probability).float()


def _uniform(n: int, low: float, high: float, device: torch.device) -> Tensor:
    return torch.rand(n, 1, 1, 1, device=device) * (high - low) + low


def _smooth_field(n: int, channels: int, cells: int, size: tuple[int, int], device: torch.device) -> Tensor:
    coarse = torch.randn(n, channels, cells, cells, device=device)
    return functional.interpolate(coarse, size=size, mode="bicubic", align_corners=True)


def cut_windows(
    images: Tensor, labels: Tensor, source_mm: float, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Cut windows at random positions, rotated, zoomed and deformed, some with a smaller field of view.

    Parameters
    ----------
    images : Tensor of shape (n, 1, rows, columns)
        Values from 0 to 1.
    labels : Tensor of shape (n, rows, columns)
        Classes or IGNORE.
    source_mm : float
        Pixel size of images and labels.
    size : tuple of int
        Rows and columns of the windows, at `NETWORK_MM`.

    Returns
    -------
    tuple of Tensor
        Images and labels of that size.
    """
    n, device = len(images), images.device
    rows, columns = labels.shape[1:]
    centre = _centres(labels) + torch.randn(n, 2, device=device) * 28 / source_mm
    angle = torch.randn(n, device=device) * math.radians(10)
    zoom = torch.exp(torch.randn(n, 2, device=device) * 0.05 + torch.randn(n, 1, device=device) * 0.13)
    shear = torch.randn(n, device=device) * 0.06
    y = (torch.arange(size[0], device=device) - size[0] / 2) * NETWORK_MM / source_mm
    x = (torch.arange(size[1], device=device) - size[1] / 2) * NETWORK_MM / source_mm
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    bend = _smooth_field(n, 2, 5, size, device) * _uniform(n, 0, 4.5, device)
    bend = bend + _smooth_field(n, 2, 12, size, device) * _uniform(n, 0, 1.3, device)
    bend = bend * _chance(n, 0.7, device) / source_mm
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    turned_y = cos * grid_y - sin * grid_x
    turned_x = sin * grid_y + cos * grid_x + shear[:, None, None] * grid_y
    at_y = turned_y * zoom[:, :1, None] + bend[:, 0] + centre[:, 0, None, None]
    at_x = turned_x * zoom[:, 1:, None] + bend[:, 1] + centre[:, 1, None, None]
    grid = torch.stack([at_x * 2 / (columns - 1) - 1, at_y * 2 / (rows - 1) - 1], dim=-1)
    placed = functional.grid_sample(images, grid, mode="bilinear", align_corners=True)
    marks = functional.grid_sample(labels[:, None].float(), grid, mode="nearest", align_corners=True)
    view = _field_of_view(n, size, device)
    return placed * view, (marks * view)[:, 0].round().long()


def _centres(labels: Tensor) -> Tensor:
    """Choose a random pixel of the spine in each slice."""
    spine = ((labels > 0) & (labels != IGNORE)).flatten(1).float() + 1e-6
    chosen = torch.multinomial(spine, 1)[:, 0]
    return torch.stack([chosen // labels.shape[2], chosen % labels.shape[2]], dim=1).float()


def _field_of_view(n: int, size: tuple[int, int], device: torch.device) -> Tensor:
    view = torch.ones(n, 1, *size, device=device)
    for axis, length in enumerate(size):
        place_shape = [1, 1, 1, 1]
        place_shape[2 + axis] = length
        at = torch.arange(length, device=device).view(place_shape)
        width = _uniform(n, 0.55, 1.15, device) * length
        start = _uniform(n, 0, 1, device) * (length - width)
        view = view * ((at >= start) & (at < start + width))
    return torch.where(_chance(n, 0.4, device) > 0, view, torch.ones_like(view))


def change_contrast(images: Tensor, labels: Tensor) -> Tensor:
    """Change the brightness of tissues: by class where labels distinguish them, then by look-up tables."""
    device, n = images.device, len(images)
    for tissues in _TISSUES:
        mask = torch.isin(labels, torch.tensor(tissues, device=device))[:, None].float()
        mask = functional.avg_pool2d(functional.pad(mask, (1, 1, 1, 1)), 3, stride=1)
        mask = mask * _chance(n, 0.4, device)
        gain = torch.exp(_uniform(n, -1.6, 0.7, device))
        shift = _uniform(n, -0.15, 0.45, device) * _chance(n, 0.5, device)
        images = images * (1 - mask) + torch.clamp(images * gain + shift, 0, 1.4) * mask
    air = torch.clamp(functional.avg_pool2d(images, 5, stride=1, padding=2) * 16, 0, 1)
    tables = _tables(n, device)
    changed = _look_up(tables, images)
    return changed * torch.where(_chance(n, 0.7, device) > 0, air, torch.ones_like(air))


def _tables(n: int, device: torch.device) -> Tensor:
    """Return random look-up tables of 256 entries from [0, 1] to [0, 1]."""
    x = torch.linspace(0, 1, 256, device=device)[None].expand(n, -1)
    gamma = x ** torch.exp(torch.rand(n, 1, device=device) * 1.8 - 0.9)
    knots = torch.rand(n, 1, 7, device=device)
    wild = functional.interpolate(knots, size=256, mode="linear", align_corners=True)[:, 0]
    rising = torch.cumsum(torch.rand(n, 1, 7, device=device) ** 2, dim=2)
    rising = functional.interpolate(rising, size=256, mode="linear", align_corners=True)[:, 0]
    rising = (rising - rising[:, :1]) / (rising[:, -1:] - rising[:, :1])
    kinds = torch.stack([gamma, rising, 1 - rising, wild, x])
    odds = torch.tensor([0.3, 0.22, 0.14, 0.2, 0.14], device=device).expand(n, -1)
    chosen = torch.multinomial(odds, 1)[:, 0]
    return kinds[chosen, torch.arange(n, device=device)]


def _look_up(tables: Tensor, images: Tensor) -> Tensor:
    at = torch.clamp(images.flatten(1), 0, 1) * 255
    low = at.floor().long().clamp(max=254)
    below, above = torch.gather(tables, 1, low), torch.gather(tables, 1, low + 1)
    return (below + (above - below) * (at - low)).view_as(images)


def degrade(images: Tensor) -> Tensor:
    """Add lesions, metal, coil shading, blur, ghosts and noise."""
    n, device = len(images), images.device
    size = (images.shape[2], images.shape[3])
    images = _blobs(images, 5, (0.02, 0.09), _chance(n, 0.4, device) * 0.7)
    images = _metal(images)
    shading = _smooth_field(n, 1, 3, size, device) * _uniform(n, 0, 0.5, device)
    x = torch.linspace(-1, 1, size[1], device=device).view(1, 1, 1, -1)
    y = torch.linspace(-1, 1, size[0], device=device).view(1, 1, -1, 1)
    shading = shading + x * _uniform(n, -0.8, 1.6, device) + y * y * _uniform(n, -1.2, 0.2, device)
    images = images * torch.exp(shading * _chance(n, 0.75, device))
    images = _blur(images)
    shift = int(torch.randint(12, 90, (1,)))
    axis = int(torch.randint(2, 4, (1,)))
    images = images + torch.roll(images, shift, axis) * _uniform(n, 0, 0.2, device) * _chance(n, 0.1, device)
    level = _uniform(n, 0, 0.11, device) * _chance(n, 0.75, device) * _standard_level(images)
    real = images + torch.randn_like(images) * level
    return torch.sqrt(real * real + (torch.randn_like(images) * level) ** 2)


def _blobs(images: Tensor, count: int, radii: tuple[float, float], strength: Tensor) -> Tensor:
    n, device = len(images), images.device
    y = torch.linspace(0, 1, images.shape[2], device=device).view(1, 1, -1, 1)
    x = torch.linspace(0, 1, images.shape[3], device=device).view(1, 1, 1, -1)
    gain = torch.zeros_like(images)
    for _ in range(count):
        radius_y, radius_x = _uniform(n, *radii, device), _uniform(n, *radii, device)
        far = ((y - _uniform(n, 0, 1, device)) / radius_y) ** 2
        far = far + ((x - _uniform(n, 0, 1, device)) / radius_x) ** 2
        gain = gain + torch.randn(n, 1, 1, 1, device=device) * torch.sigmoid((1 - far) * 4)
    return images * torch.exp(gain * strength)


def _metal(images: Tensor) -> Tensor:
    """Add signal voids with a bright rim, such as those of screws."""
    n, device = len(images), images.device
    size = images.shape[2:]
    y = torch.arange(size[0], device=device).view(1, 1, -1, 1)
    x = torch.arange(size[1], device=device).view(1, 1, 1, -1)
    for _ in range(3):
        there = _chance(n, 0.06, device)
        angle = _uniform(n, -0.6, 0.6, device)
        dy = y - _uniform(n, 0.1, 0.9, device) * size[0]
        dx = x - _uniform(n, 0.3, 0.8, device) * size[1]
        far = ((dx * torch.cos(angle) + dy * torch.sin(angle)) / _uniform(n, 5, 28, device)) ** 2
        far = far + ((dy * torch.cos(angle) - dx * torch.sin(angle)) / _uniform(n, 3, 10, device)) ** 2
        void = torch.sigmoid((1 - far) * 6) * there
        rim = torch.exp(-(((far - 1.4) / 0.4) ** 2)) * there * _uniform(n, 0, 1, device)
        images = images * (1 - 0.97 * void) + rim * images.amax(dim=(2, 3), keepdim=True) * 0.7
    return images


def _blur(images: Tensor) -> Tensor:
    """Blur as by a coarse resolution in plane, with different widths along rows and columns."""
    n, device = len(images), images.device
    at = torch.arange(-4, 5, device=device).float()
    sigma = torch.rand(n, 2, 1, device=device) ** 2 * 1.7 + 0.05
    kernels = torch.exp(-0.5 * (at / sigma) ** 2)
    kernels = kernels / kernels.sum(dim=2, keepdim=True)
    flat = images.transpose(0, 1)
    flat = functional.conv2d(flat, kernels[:, 0].view(n, 1, 9, 1), padding=(4, 0), groups=n)
    flat = functional.conv2d(flat, kernels[:, 1].view(n, 1, 1, 9), padding=(0, 4), groups=n)
    return flat.transpose(0, 1)


def _standard_level(images: Tensor) -> Tensor:
    """Return the 99th percentile of every image, which scales its intensities."""
    coarse = images[:, :, ::3, ::3].flatten(1)
    return torch.quantile(coarse, 0.99, dim=1).view(-1, 1, 1, 1) + 1e-4


def standardise(images: Tensor, *, jitter: bool) -> Tensor:
    """Scale intensities as `analysis.segment.locate.rewindow` does; `jitter` varies the scale a little."""
    level = _standard_level(images)
    if jitter:
        level = level * torch.exp(torch.randn_like(level) * 0.25)
    return torch.clamp(images / level, 0, 1.5)
