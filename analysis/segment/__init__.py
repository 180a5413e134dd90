"""From a volume to named vertebral bodies and how far they can be trusted."""

from analysis.segment.embedded import segment

__all__ = ["segment"]
