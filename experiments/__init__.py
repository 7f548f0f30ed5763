"""Experiments, one question per file, and benchmarks."""
