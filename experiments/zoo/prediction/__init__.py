"""Checks of trained models that predict or that have latents of attributes."""
