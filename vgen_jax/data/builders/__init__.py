"""Builders: they turn videos of any layout into TFDS datasets, once."""
