"""Clips from TFDS video datasets, read without TensorFlow."""
