"""[analysis] and [analysis.features] of config.toml: everything that affects the values of a result."""

from analysis.domain.basis import BASES
from analysis.domain.findings import Target
from analysis.settings import FILTERS, AnalysisSettings, FeatureSettings
from node.config.checks import between, one_of
from node.config.table import Table

__all__ = ["analysis"]


def analysis(table: Table) -> AnalysisSettings:
    """Read the table; the part of these settings that is in [segmentation] keeps its defaults."""
    fallback = AnalysisSettings()
    preferred = {
        target: table.take(key, fallback.preferred[target], check=one_of(*BASES))
        for key, target in (
            ("osteoporosis_from", Target.OSTEOPOROSIS),
            ("abnormal_density_from", Target.ABNORMAL_DENSITY),
        )
    }
    minimum = table.take("minimum_usable_levels", fallback.minimum_usable_levels, check=between(1, 5))
    return AnalysisSettings(table.table("features").read(_features), preferred, minimum)


def _features(table: Table) -> FeatureSettings:
    fallback = FeatureSettings()
    return FeatureSettings(
        filters=table.words("filters", fallback.filters, FILTERS),
        log_sigma_mm=table.numbers("log_sigma_mm", fallback.log_sigma_mm),
        bin_count=table.take("bin_count", fallback.bin_count, check=between(2, 1024)),
        reference=table.take("reference", fallback.reference, check=one_of("csf", "body")),
        in_plane=table.take("in_plane", fallback.in_plane),
        pixel_spacing_mm=table.take("pixel_spacing_mm", fallback.pixel_spacing_mm, check=between(0.1, 5)),
        erosion_mm=table.take("erosion_mm", fallback.erosion_mm, check=between(0, 10)),
    )
