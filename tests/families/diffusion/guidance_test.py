"""Tests of guidance.py, with a denoiser that depends on labels only."""

import jax.numpy as jnp
import numpy as np

from vgen_jax.families.diffusion import guidance


def test_guidance_in_an_interval():
  sizes = []

  def denoiser(noisy_bthwc, time_b, condition):
    sizes.append(len(noisy_bthwc))
    value_b = jnp.array([1.0, 2.0, 5.0])[condition['label']]
    return value_b[:, None, None, None, None] * jnp.ones_like(noisy_bthwc)

  call = guidance.guided(denoiser, 2, 3.0, (0.2, 0.6))
  noisy_bthwc = jnp.zeros((2, 1, 1, 1, 1))
  condition = {'label': jnp.array([0, 1])}
  for time, expected in ((0.1, [1, 2]), (0.4, [-7, -4]), (0.7, [1, 2])):
    output = call(noisy_bthwc, jnp.asarray(time), condition)
    np.testing.assert_allclose(output.ravel(), expected, atol=1e-6)
  assert set(sizes) == {2, 4}  # One call with pairs, or one without.
