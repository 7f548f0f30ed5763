"""Video generation in JAX: one training loop for every kind of model."""

__version__ = '0.1.0'
