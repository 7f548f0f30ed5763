"""Tests of training/averages.py, against sums in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vgen_jax.training import averages as ema

_NUM_STEPS = 400


def _profile(spec: dict) -> np.ndarray:
  """Returns the weight of each step's parameters in the final average.

  Entry 0 is the weight of the initialization. The parameters of step s are the
  s-th unit vector, so the average consists of the weights.
  """
  eye = jnp.eye(_NUM_STEPS + 1)

  @jax.jit
  def run(average):
    def body(average, step):
      return ema.update(average, {'w': eye[step]}, step, {'a': spec}), None

    steps = jnp.arange(1, _NUM_STEPS + 1)
    return jax.lax.scan(body, average, steps)[0]

  return np.asarray(run({'a': {'w': eye[0]}})['a']['w'], np.float64)


def test_a_constant_decay_gives_geometric_weights():
  age = np.arange(_NUM_STEPS)[::-1]
  profile = _profile({'decay': 0.9})
  np.testing.assert_allclose(profile[1:], 0.1 * 0.9**age, rtol=1e-4)
  np.testing.assert_allclose(profile[0], 0.9**_NUM_STEPS, rtol=1e-4)


def test_warmup_forgets_the_initialization():
  cold, warm = (
    _profile({'decay': 0.999}),
    _profile({'decay': 0.999, 'warmup': True}),
  )
  np.testing.assert_allclose(warm.sum(), 1, rtol=1e-4)
  assert cold[0] > 0.6
  assert warm[0] < 1e-6
  decay = lambda step: ema.decay({'decay': 0.5, 'warmup': True}, step)
  np.testing.assert_allclose(decay(1), 2 / 11, rtol=1e-6)
  np.testing.assert_allclose(decay(100), 0.5)


@pytest.mark.parametrize('sigma_rel', [0.05, 0.1, 0.25])
def test_a_power_law_has_the_given_relative_width(sigma_rel):
  profile = _profile({'sigma_rel': sigma_rel})
  gamma = ema.exponent(sigma_rel)
  # The recursion, unrolled: (1 - beta_s) * beta_{s+1} * ... * beta_t.
  s = np.arange(1, _NUM_STEPS + 1, dtype=np.float64)
  beta = (1 - 1 / s) ** (gamma + 1)
  later = np.append(np.cumprod(beta[::-1])[::-1][1:], 1)
  np.testing.assert_allclose(profile[1:], (1 - beta) * later, atol=1e-6)
  assert profile[0] == 0  # The initialization has no weight.
  # Its closed form in the limit of many steps, s^gamma, and its width.
  law = s**gamma / np.sum(s**gamma)
  assert np.abs(profile[1:] - law).sum() < 0.03
  mean = np.sum(profile[1:] * s)
  std = np.sqrt(np.sum(profile[1:] * (s - mean) ** 2))
  np.testing.assert_allclose(std / _NUM_STEPS, sigma_rel, rtol=0.02)
  # A gamma that is off by one gives another width.
  off = s ** (gamma + 1) / np.sum(s ** (gamma + 1))
  std = np.sqrt(np.sum(off * s**2) - np.sum(off * s) ** 2)
  assert abs(std / _NUM_STEPS / sigma_rel - 1) > 0.02


def test_exponents_equal_those_of_the_paper():
  # The two profiles that Karras et al. (2024) suggest to store.
  np.testing.assert_allclose(ema.exponent(0.05), 16.97, atol=0.01)
  np.testing.assert_allclose(ema.exponent(0.10), 6.94, atol=0.01)


def test_several_averages_keep_their_own_decay_and_dtype():
  specs = {'fast': {'decay': 0.0}, 'slow': {'decay': 0.75}}
  start = {'w': jnp.zeros(2, jnp.bfloat16)}
  averages = ema.update(
    {'fast': start, 'slow': start}, {'w': jnp.ones(2)}, jnp.int32(1), specs
  )
  np.testing.assert_array_equal(averages['fast']['w'], [1, 1])
  np.testing.assert_array_equal(averages['slow']['w'], [0.25, 0.25])
  assert averages['slow']['w'].dtype == jnp.bfloat16


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    ({'decai': 0.9}, "config.ema.slow: unknown key .* mean 'decay'"),
    ({}, "must have 'decay'"),
    ({'decay': 0.9, 'sigma_rel': 0.1}, 'not both'),
    ({'sigma_rel': 0.1, 'warmup': True}, 'not both'),
    ({'decay': 1.0}, r'in \[0, 1\)'),
    ({'sigma_rel': 0.3}, 'below 0.2887'),
  ],
)
def test_invalid_specs_are_reported(spec, message):
  ema.check({'ok': {'decay': 0.9}})
  with pytest.raises(ValueError, match=message):
    ema.check({'slow': spec})
