"""Scores as functions of arrays, without files or protocols."""
