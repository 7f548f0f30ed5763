"""Experiments, each of which answers one question, and benchmarks."""
