"""vgen_jax: video generation in JAX; one loop for every kind of model."""
