"""Load a finished run, generate clips from it, and evaluate it."""
