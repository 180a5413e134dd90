"""Masks that readers drew on the series of a cohort, each named in the cohort table."""

from collections.abc import Mapping
from pathlib import Path

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import SeriesFindings, SeriesInput
from analysis.domain.reason import quoted
from analysis.domain.segmentation import Segmentation
from analysis.errors import RefusedError
from analysis.pipeline import features_of_mask
from analysis.segment import Segmenter
from analysis.segment.external_mask import adopt, on_voxels_of, with_fluid
from analysis.settings import AnalysisSettings, SegmentationSettings
from node.analyse.segmenters.mask_folder import mask_of_file
from node.analyse.segmenters.seg_object import referenced_series

__all__ = ["features_of_second", "readers_segmenter"]


def readers_segmenter(
    masks: Mapping[str, Path | None], settings: SegmentationSettings, otherwise: Segmenter
) -> Segmenter:
    """Return a segmenter that takes the masks of a reader.

    Parameters
    ----------
    masks : mapping of str to Path or None
        By sequence. A series whose mask is None is refused, because a table that holds outlines of a reader
        for some patients and of a program for others would compare unlike measurements.
    settings : SegmentationSettings
        What the labels in masks mean.
    otherwise : Segmenter
        Outlines the series of a sequence that `masks` does not name.
    """

    def outline(source: SeriesInput, contrast: Contrast) -> Segmentation:
        if contrast.value not in masks:
            return otherwise(source, contrast)
        path = masks[contrast.value]
        if path is None:
            raise RefusedError(quoted(f"the cohort table names no mask of {contrast.value}"))
        return _reading(path, source, settings)

    return outline


def features_of_second(found: SeriesFindings, path: Path, *, settings: AnalysisSettings) -> dict[str, float]:
    """Return the aggregated radiomics of a series by the mask of a second reader.

    Raises
    ------
    RefusedError
        If the mask cannot be used, or holds too few usable bodies.
    """
    return features_of_mask(found, _reading(path, found.source, settings.segmentation), settings)


def _reading(path: Path, source: SeriesInput, settings: SegmentationSettings) -> Segmentation:
    """Read what a reader drew on this very series; masks without a canal get their fluid from the network."""
    if referenced_series(path) not in {"", source.series_uid}:
        raise RefusedError(quoted("the mask was drawn on another series"))
    mask = mask_of_file(path, source, settings)
    if not on_voxels_of(mask.grid, source.volume.grid):
        raise RefusedError(
            quoted("the mask has other voxels than the series, so it was drawn on other images")
        )
    return with_fluid(adopt(mask, source.volume), source.volume)
