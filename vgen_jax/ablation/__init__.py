"""Sweeps of configs, and tables and plots of their results."""
