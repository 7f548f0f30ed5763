"""One past with two or three possible futures of known probability."""
