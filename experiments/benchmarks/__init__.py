"""Scripts that measure speed and memory, and their results."""
