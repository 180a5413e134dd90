"""From a volume to named vertebral bodies and how far they can be trusted."""

from collections.abc import Callable

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import SeriesInput
from analysis.domain.segmentation import Segmentation
from analysis.segment.embedded import segment

__all__ = ["Segmenter", "embedded", "segment"]

Segmenter = Callable[[SeriesInput, Contrast], Segmentation]
"""Outlines the bodies of a series of that contrast; raises `RefusedError` where it cannot."""


def embedded(source: SeriesInput, _contrast: Contrast) -> Segmentation:
    """Outline with the network that ships with the package; the contrast makes no difference to it."""
    return segment(source.volume)
