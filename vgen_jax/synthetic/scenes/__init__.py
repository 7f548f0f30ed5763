"""Clips of named scenes with known cuts."""
