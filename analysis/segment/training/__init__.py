"""Training of the embedded segmenter, on a checkout only; nothing that runs imports it."""
