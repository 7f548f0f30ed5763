"""Synthetic datasets, one folder each, with verifiers for what they show."""
