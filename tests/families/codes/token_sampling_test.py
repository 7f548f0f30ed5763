"""Tests of families/codes/token_sampling.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vgen_jax.families.codes import token_sampling

PROBABILITY = np.array([0.1, 0.4, 0.2, 0.3], np.float32)
LOGITS = jnp.log(PROBABILITY) + 3  # A constant has no effect.


@pytest.mark.parametrize(
  ('kwargs', 'left'),
  [
    ({}, [0.1, 0.4, 0.2, 0.3]),
    (dict(top_k=4), [0.1, 0.4, 0.2, 0.3]),
    (dict(top_k=2), [0, 4 / 7, 0, 3 / 7]),
    (dict(top_k=1), [0, 1, 0, 0]),
    (dict(top_p=0.9), [0, 4 / 9, 2 / 9, 3 / 9]),
    (dict(top_p=0.71), [0, 4 / 9, 2 / 9, 3 / 9]),
    (dict(top_p=0.69), [0, 4 / 7, 0, 3 / 7]),
    (dict(top_p=0.0001), [0, 1, 0, 0]),
    (dict(top_p=0.0), [0, 1, 0, 0]),
    (dict(temperature=0.5), PROBABILITY**2 / (PROBABILITY**2).sum()),
    (dict(temperature=0.0), [0, 1, 0, 0]),
    # The temperature is applied first: the largest is then 16 / 30.
    (dict(temperature=0.5, top_p=0.5), [0, 1, 0, 0]),
    (dict(top_p=0.5), [0, 4 / 7, 0, 3 / 7]),
  ],
)
def test_filtered_probabilities(kwargs, left):
  logits = token_sampling.filtered(LOGITS[None, None], **kwargs)
  np.testing.assert_allclose(jax.nn.softmax(logits)[0, 0], left, atol=1e-6)


def test_top_p_among_equal_codes():
  logits = token_sampling.filtered(jnp.zeros((1, 1, 1000)), top_p=0.25)
  left = np.flatnonzero(np.isfinite(logits[0, 0]))
  np.testing.assert_allclose(len(left), 250, atol=1)
  np.testing.assert_array_equal(left, np.arange(len(left)))


def test_samples_follow_probabilities_and_keys():
  key_b = jax.random.split(jax.random.key(0), 500)
  logits_bnk = jnp.tile(LOGITS[None, None], (500, 20, 1))
  sampled_bn = token_sampling.sample(key_b, logits_bnk)
  fraction = np.bincount(np.ravel(sampled_bn), minlength=4) / 10_000
  np.testing.assert_allclose(fraction, PROBABILITY, atol=4 * 0.005)
  alone = token_sampling.sample(key_b[7:8], logits_bnk[:1])
  np.testing.assert_array_equal(alone[0], sampled_bn[7])
  assert len(np.unique(sampled_bn, axis=0)) == 500


def test_log_likelihood():
  codes = jnp.array([[1, 3]])
  logits = jnp.tile(LOGITS[None, None], (1, 2, 1))
  np.testing.assert_allclose(
    token_sampling.log_likelihood(logits, codes), np.log([[0.4, 0.3]]), 1e-6
  )


@pytest.mark.parametrize('value', [np.nan, np.inf])
@pytest.mark.parametrize('temperature', [0.0, 1.0])
def test_logits_that_are_not_numbers_give_no_code(value, temperature):
  logits = jnp.stack([LOGITS, LOGITS.at[2].set(value), LOGITS])
  key_b = jax.random.split(jax.random.key(0), 3)
  for kwargs in ({}, {'top_k': 2}, {'top_p': 0.5}):
    kept = token_sampling.filtered(logits, temperature, **kwargs)
    codes = token_sampling.sample(key_b, kept)
    assert codes.tolist()[1] == token_sampling.NOT_A_CODE
    assert min(codes[0], codes[2]) >= 0


def test_impossible_codes_are_no_fault():
  logits = jnp.full((1, 4), -jnp.inf).at[0, 3].set(0)
  key_b = jax.random.split(jax.random.key(0), 1)
  found = token_sampling.sample(key_b, token_sampling.filtered(logits))
  assert found.tolist() == [3]
