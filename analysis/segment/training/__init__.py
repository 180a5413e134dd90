"""Training of the embedded segmenter; the node never imports this."""
