"""Tests that NaN and infinite values appear in the clips of a model.

Sampling a level or a code from such logits, and looking up the nearest code of
such a latent, would give valid pixels.
"""

import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.families.prediction import levels
from vgen_jax.nn.bottlenecks import autoencoder
from vgen_jax.nn.bottlenecks import lookup_free

CODES = np.arange(3 * 8).reshape(3, 2, 2, 2) % 9


class Grey(autoencoder.Autoencoder):
  """Decodes a latent to the sum of its numbers."""

  bottleneck: lookup_free.FSQ

  def decode(self, latent_bthwd, *, train=False):
    return latent_bthwd.sum(-1, keepdims=True)


def decode(value, method):
  model = Grey(lookup_free.FSQ((3, 3)))
  variables = {
    'codebook': {'bottleneck': {'recent_count': np.zeros(9)}},
    'latent_moments': {
      'moments': {
        'sum': np.zeros(2), 'square': np.ones(2), 'weight': np.ones(())
      }
    }
  }  # fmt: skip
  return compiled.apply(model, variables, value, method=method)


@pytest.mark.parametrize('wrong', [-1, 9])
def test_codes_that_do_not_exist_decode_to_nan(wrong):
  intact = decode(CODES, 'from_codes')
  assert np.isfinite(intact).all()
  codes = arrays.put(CODES, (1, 0, 1, 0), wrong)
  video = decode(codes, 'from_codes')
  assert np.isnan(video).all((1, 2, 3, 4)).tolist() == [False, True, False]
  assert (video[::2] == intact[::2]).all()


@pytest.mark.parametrize('wrong', [np.nan, np.inf])
def test_latents_that_are_not_numbers_decode_to_nan(wrong):
  latents = arrays.put(np.zeros((3, 2, 2, 2, 2)), (2, 1, 0, 0, 1), wrong)
  video = decode(latents, 'from_latents')
  assert np.isnan(video).any((1, 2, 3, 4)).tolist() == [False, False, True]


@pytest.mark.parametrize('temperature', [0.0, 1.0])
def test_levels_of_logits_that_are_not_numbers_are_nan(temperature):
  output = np.zeros((3, 1, 2, 4), np.float32)
  output[1, 0, 1, 2], output[2, 0, 0, 0] = np.nan, np.inf
  key_b = arrays.keys(3, 1)
  found = compiled.call(levels.sample, key_b, output, 4, temperature)
  wanted = [[False, False], [False, True], [True, False]]
  assert np.isnan(found)[:, 0, :, 0].tolist() == wanted
