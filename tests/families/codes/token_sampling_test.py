"""Tests of families/codes/token_sampling.py."""

import jax
import numpy as np
import pytest

from tests import compiled
from vgen_jax.families.codes import token_sampling

PROBABILITY = np.array([0.1, 0.4, 0.2, 0.3], np.float32)
LOGITS = np.log(PROBABILITY) + 3  # A constant has no effect.


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
  probability = compiled.call(
    lambda x: jax.nn.softmax(token_sampling.filtered(x, **kwargs)),
    LOGITS[None, None],
  )
  np.testing.assert_allclose(probability[0, 0], left, atol=1e-6)


def test_top_p_among_equal_codes():
  zeros = np.zeros((1, 1, 1000), np.float32)
  logits = compiled.call(token_sampling.filtered, zeros, top_p=0.25)
  left = np.flatnonzero(np.isfinite(logits[0, 0]))
  np.testing.assert_allclose(len(left), 250, atol=1)
  np.testing.assert_array_equal(left, np.arange(len(left)))


def test_samples_follow_probabilities_and_keys():
  key_b = jax.random.split(jax.random.key(0), 500)
  logits_bnk = np.tile(LOGITS, (500, 20, 1))
  sample = compiled.jit(token_sampling.sample)
  sampled_bn = sample(key_b, logits_bnk)
  fraction = np.bincount(np.ravel(sampled_bn), minlength=4) / 10_000
  np.testing.assert_allclose(fraction, PROBABILITY, atol=4 * 0.005)
  alone = sample(key_b[7:8], logits_bnk[:1])
  np.testing.assert_array_equal(alone[0], sampled_bn[7])
  assert len(np.unique(sampled_bn, axis=0)) == 500


def test_log_likelihood():
  codes = np.array([[1, 3]])
  logits = np.tile(LOGITS, (1, 2, 1))
  found = compiled.call(token_sampling.log_likelihood, logits, codes)
  np.testing.assert_allclose(found, np.log([[0.4, 0.3]]), 1e-6)


@pytest.mark.parametrize('value', [np.nan, np.inf])
@pytest.mark.parametrize('temperature', [0.0, 1.0])
def test_logits_that_are_not_numbers_give_no_code(value, temperature):
  logits = np.tile(LOGITS, (3, 1))
  logits[1, 2] = value

  def samples(logits):
    key_b = jax.random.split(jax.random.key(0), 3)
    for kwargs in ({}, {'top_k': 2}, {'top_p': 0.5}):
      kept = token_sampling.filtered(logits, temperature, **kwargs)
      yield token_sampling.sample(key_b, kept)

  for codes in compiled.call(lambda x: list(samples(x)), logits):
    assert codes.tolist()[1] == token_sampling.NOT_A_CODE
    assert min(codes[0], codes[2]) >= 0


def test_impossible_codes_are_no_fault():
  logits = np.array([[-np.inf, -np.inf, -np.inf, 0]], np.float32)
  key_b = jax.random.split(jax.random.key(0), 1)
  found = compiled.call(
    lambda x: token_sampling.sample(key_b, token_sampling.filtered(x)), logits
  )
  assert found.tolist() == [3]
