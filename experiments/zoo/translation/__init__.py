"""Checks of trained translators of layouts and of subjects."""
