"""Tests that NaN and infinite values appear in the clips of a model.

Sampling a level or a code from such logits, and looking up the nearest code of
such a latent, would give valid pixels.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vgen_jax.families.prediction import levels
from vgen_jax.nn.bottlenecks import autoencoder
from vgen_jax.nn.bottlenecks import lookup_free

CODES = jnp.arange(3 * 8).reshape(3, 2, 2, 2) % 9


class Grey(autoencoder.Autoencoder):
  """Decodes a latent to the sum of its numbers."""

  bottleneck: lookup_free.FSQ

  def decode(self, latent_bthwd, *, train=False):
    return latent_bthwd.sum(-1, keepdims=True)


def decode(value, method):
  model = Grey(lookup_free.FSQ((3, 3)))
  variables = {
    'codebook': {'bottleneck': {'recent_count': jnp.zeros(9)}},
    'latent_moments': {
      'moments': {
        'sum': jnp.zeros(2), 'square': jnp.ones(2), 'weight': jnp.ones(())
      }
    }
  }  # fmt: skip
  return model.apply(variables, value, method=method)


@pytest.mark.parametrize('wrong', [-1, 9])
def test_codes_that_do_not_exist_decode_to_nan(wrong):
  intact = decode(CODES, 'from_codes')
  assert np.isfinite(intact).all()
  video = decode(CODES.at[1, 0, 1, 0].set(wrong), 'from_codes')
  assert jnp.isnan(video).all((1, 2, 3, 4)).tolist() == [False, True, False]
  assert (video[::2] == intact[::2]).all()


@pytest.mark.parametrize('wrong', [jnp.nan, jnp.inf])
def test_latents_that_are_not_numbers_decode_to_nan(wrong):
  latents = jnp.zeros((3, 2, 2, 2, 2)).at[2, 1, 0, 0, 1].set(wrong)
  video = decode(latents, 'from_latents')
  assert jnp.isnan(video).any((1, 2, 3, 4)).tolist() == [False, False, True]


@pytest.mark.parametrize('temperature', [0.0, 1.0])
def test_levels_of_logits_that_are_not_numbers_are_nan(temperature):
  output = jnp.zeros((3, 1, 2, 4)).at[1, 0, 1, 2].set(jnp.nan)
  output = output.at[2, 0, 0, 0].set(jnp.inf)
  found = levels.sample(
    jax.random.split(jax.random.key(1), 3), output, 4, temperature
  )
  wanted = [[False, False], [False, True], [True, False]]
  assert jnp.isnan(found)[:, 0, :, 0].tolist() == wanted
