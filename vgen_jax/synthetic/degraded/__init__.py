"""Clips with noise, blur, colour cast or low resolution."""
