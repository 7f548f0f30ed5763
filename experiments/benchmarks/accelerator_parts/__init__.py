"""Parts of accelerator.py, one per measurement, and their common functions."""
