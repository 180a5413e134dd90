"""Deliver: send results to each destination until it has them."""
