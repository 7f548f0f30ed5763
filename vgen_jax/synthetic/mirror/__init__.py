"""Two distant objects that move in opposite phase."""
