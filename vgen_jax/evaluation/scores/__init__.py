"""The mathematics of scores, as functions of arrays."""
