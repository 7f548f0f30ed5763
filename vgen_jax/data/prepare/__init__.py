"""Preparation of video datasets: any layout on disk to TFDS records."""
