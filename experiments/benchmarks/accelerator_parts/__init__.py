"""Parts of accelerator.py: each of its measurements, and what they share."""
