"""Subjects of held-out appearance, with reference clips."""
