"""Clips with named scenes and known cuts."""
