"""Functions to load a run, generate clips from it, and evaluate it."""
