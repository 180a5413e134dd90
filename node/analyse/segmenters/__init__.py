"""The segmentation back ends that [segmentation] of config.toml can name."""

from node.analyse.segmenters.backend import BackEndState, back_end_state, fingerprint, segmenter_for

__all__ = ["BackEndState", "back_end_state", "fingerprint", "segmenter_for"]
