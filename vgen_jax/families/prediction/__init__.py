"""Prediction of the next frames."""
