"""Fetch: asks archives for studies, and has those that matter sent to this node."""
