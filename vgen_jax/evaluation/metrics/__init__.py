"""Metrics of generated clips; registry.py finds them by name."""
