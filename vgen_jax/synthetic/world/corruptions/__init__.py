"""Corruptions of clips of `World`, which test metrics of video."""
