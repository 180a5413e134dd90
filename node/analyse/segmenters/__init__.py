"""Who outlines the bodies, as [segmentation] of config.toml names them."""

from node.analyse.segmenters.choice import BackEndState, back_end_state, fingerprint, segmenter_for

__all__ = ["BackEndState", "back_end_state", "fingerprint", "segmenter_for"]
