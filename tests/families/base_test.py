"""Tests of families/base.py."""

import jax.numpy as jnp
import numpy as np
import pytest

from vgen_jax.families import base

SHAPE = (1, 1, 1, 1)
KEY_B = jnp.zeros(2)


class Clipped(base.VideoModel):
  """A model that defines `sample` only."""

  def sample(self, key_b, condition):
    return jnp.full((len(key_b), *SHAPE), 0.5)


class Unclipped(base.VideoModel):
  """A model that defines `sample_unclipped` only."""

  def sample_unclipped(self, key_b, condition):
    return jnp.full((len(key_b), *SHAPE), 3.0)


@pytest.mark.parametrize(
  ('model', 'sample', 'unclipped'), [(Clipped, 0.5, 0.5), (Unclipped, 1.0, 3.0)]
)
def test_one_of_two_methods_is_enough(model, sample, unclipped):
  net = model(SHAPE).bind({})
  for function, value in (
    (net.sample, sample),
    (net.sample_unclipped, unclipped),
  ):
    np.testing.assert_array_equal(
      function(KEY_B, {}), np.full((2, *SHAPE), value)
    )


def test_a_model_without_either_is_reported():
  net = base.VideoModel(SHAPE).bind({})
  for function in (net.sample, net.sample_unclipped):
    with pytest.raises(NotImplementedError, match='VideoModel defines neither'):
      function(KEY_B, {})
