"""Show the state of the node and of its studies. Nothing in this package changes either."""
