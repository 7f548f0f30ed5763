"""Loops that interrupt runs and compare what they leave."""
