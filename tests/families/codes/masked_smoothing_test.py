"""Tests that families/codes/masked.py does not sample label smoothing."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import compiled
from vgen_jax.families.codes import masked

GRID = (3, 4, 4)
NUM_CODES, SMOOTHING = 32, 0.1


class Optimal(nn.Module):
  """Minimizes the smoothed loss if code 3 is twice as frequent as code 7."""

  num_codes: int = NUM_CODES

  def __call__(self, codes_bthw, condition, *, train):
    probability_k = jnp.full(NUM_CODES, SMOOTHING / NUM_CODES)
    probability_k = probability_k.at[jnp.array([3, 7])].add(
      (1 - SMOOTHING) * jnp.array([2 / 3, 1 / 3])
    )
    return jnp.tile(jnp.log(probability_k), (*codes_bthw.shape, 1))


def sample(label_smoothing: float, num_steps: int) -> np.ndarray:
  model = masked.Masked(
    (*GRID, 1),
    Optimal(),
    label_smoothing=label_smoothing,
    num_steps=num_steps,
  )
  key_b = jax.random.split(jax.random.key(1), 200)
  apply = lambda key_b: model.apply({}, key_b, {}, method='sample')
  return np.asarray(compiled.jit(apply)(key_b))


@pytest.mark.parametrize('num_steps', [1, 6])
def test_only_codes_that_occur_are_sampled(num_steps):
  codes = sample(SMOOTHING, num_steps)
  assert set(np.unique(codes)) == {3, 7}
  if num_steps == 1:  # With more steps, likelier codes are kept first.
    assert (codes == 3).mean() == pytest.approx(2 / 3, abs=0.03)


def test_without_subtraction_a_tenth_of_the_codes_is_random():
  """Samples as if the network had been trained without smoothing."""
  is_random = ~np.isin(sample(0.0, 1), (3, 7))
  assert is_random.mean() == pytest.approx(SMOOTHING * 30 / 32, abs=0.015)
