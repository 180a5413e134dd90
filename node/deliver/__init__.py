"""Send results to each destination until the destination has them."""
