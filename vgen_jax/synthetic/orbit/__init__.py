"""Objects on orbits of an exact period."""
