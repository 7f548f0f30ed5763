"""One object of known shape, colour, size, direction and speed."""
