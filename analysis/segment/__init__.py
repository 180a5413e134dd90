"""Segmenters: from a volume to named vertebral bodies and their quality."""

from collections.abc import Callable

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import SeriesInput
from analysis.domain.segmentation import Segmentation
from analysis.segment.embedded import segment

__all__ = ["Segmenter", "embedded", "segment"]

Segmenter = Callable[[SeriesInput, Contrast], Segmentation]
"""Outlines the bodies of a series of the given contrast; raises `RefusedError` if it cannot."""


def embedded(source: SeriesInput, _contrast: Contrast) -> Segmentation:
    """Segment with the network that ships with the package, for any contrast."""
    return segment(source.volume)
