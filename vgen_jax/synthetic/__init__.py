"""Synthetic datasets, one folder each, with verifiers and metrics."""
