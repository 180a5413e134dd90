"""The network: a 2-D U-Net that works at half resolution."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["CLASSES", "UNet", "read_weights", "write_weights"]

CLASSES = 6
"""Background, body, S1, disc, canal, posterior elements."""

_WIDTHS = (32, 64, 96, 144, 192)


class LocalContrast(nn.Module):
    """Add a second channel without slow changes of brightness.

    Surface coils make the skin many times brighter than the vertebrae. The first channel keeps the absolute
    brightness; the second one keeps borders visible in dark regions.
    """

    def forward(self, image: Tensor) -> Tensor:
        """Map images of shape (n, 1, rows, columns) to (n, 2, rows, columns)."""
        coarse = functional.avg_pool2d(image, 4)
        power = functional.avg_pool2d(image * image, 4)
        mean, square = (
            functional.avg_pool2d(part, 11, stride=1, padding=5, count_include_pad=False)
            for part in (coarse, power)
        )
        mean, square = (
            functional.interpolate(part, scale_factor=4.0, mode="bilinear", align_corners=False)
            for part in (mean, square)
        )
        spread = torch.sqrt(torch.clamp(square - mean * mean, min=0.0) + 4e-4)
        return torch.cat([image, torch.clamp((image - mean) / spread, -4.0, 4.0) * 0.4], dim=1)


class Block(nn.Module):
    """Two convolutions with a residual connection."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, inputs, rows, columns) to (n, outputs, rows, columns)."""
        inner = functional.relu(self.first_norm(self.first(features)))
        return functional.relu(self.second_norm(self.second(inner)) + self.shortcut(features))


class UNet(nn.Module):
    """Classify every pixel of a slice whose rows run to the feet and columns to the back.

    The stem folds 2 × 2 pixels into channels and the head unfolds them, so that the expensive layers process
    a quarter of the pixels.
    """

    def __init__(self, widths: tuple[int, ...] = _WIDTHS) -> None:
        super().__init__()
        self.contrast = LocalContrast()
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(8, widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        self.join = nn.ModuleList()
        before = widths[0]
        for width in widths:
            self.down.append(Block(before, width))
            before = width
        for width, below in zip(widths[-2::-1], widths[:0:-1], strict=True):
            self.up.append(nn.Conv2d(below, width, 1, bias=False))
            self.join.append(Block(2 * width, width))
        self.head = nn.Sequential(nn.Conv2d(widths[0], 4 * CLASSES, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits of shape (n, CLASSES, rows, columns); rows and columns must be multiples of 32."""
        features = self.stem(self.contrast(image))
        kept = []
        for number, stage in enumerate(self.down):
            if number:
                features = functional.max_pool2d(features, 2)
            features = stage(features)
            kept.append(features)
        for lift, join, skip in zip(self.up, self.join, kept[-2::-1], strict=True):
            raised = functional.interpolate(
                lift(features), scale_factor=2.0, mode="bilinear", align_corners=False
            )
            features = join(torch.cat([raised, skip], dim=1))
        return torch.as_tensor(self.head(features))


def write_weights(network: UNet, path: Path) -> None:
    """Write the weights in half precision, as in the shipped model."""
    stored = {
        name: value.half() if value.dtype.is_floating_point else value
        for name, value in network.state_dict().items()
    }
    torch.save(stored, path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a file that `write_weights` wrote, in single precision."""
    stored: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return {name: value.float() if value.dtype == torch.half else value for name, value in stored.items()}
