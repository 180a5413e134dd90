"""Small statistics, a page each, every one tested against a published or an independent value."""
