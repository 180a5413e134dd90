"""Show: what the node tells of itself. This room reads, and changes nothing."""
