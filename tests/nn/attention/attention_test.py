"""Tests of nn/attention/attention.py."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn.attention import attention

pytestmark = pytest.mark.usefixtures('compares_finite')

QUERY, KEY, VALUE = arrays.normal((3, 2, 5, 3, 8))


def by_hand(query, key, value):
  logits = np.einsum('bnae,bmae->banm', query, key) / 8**0.5
  weights = np.exp(logits)
  weights /= weights.sum(-1, keepdims=True)
  return np.einsum('banm,bmae->bnae', weights, value)


def test_attention_equals_the_formula():
  out = compiled.call(attention.attend, QUERY, KEY, VALUE)
  expected = by_hand(QUERY, KEY, VALUE)
  chex.assert_trees_all_close(out, expected, rtol=1e-5, atol=1e-5)
  without_scale = by_hand(QUERY * 8**0.5, KEY, VALUE)
  assert not np.allclose(out, without_scale, atol=1e-2)


def test_masked_tokens_have_no_effect():
  is_visible = np.arange(5)[None, None] < 3
  is_visible = np.broadcast_to(is_visible, (2, 5, 5))
  out = compiled.call(attention.attend, QUERY, KEY, VALUE, mask_bnm=is_visible)
  expected = by_hand(QUERY, KEY[:, :3], VALUE[:, :3])
  chex.assert_trees_all_close(out, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('is_causal', [False, True])
def test_causal_attention_does_not_depend_on_later_tokens(is_causal):
  def first(value):
    out = attention.attend(QUERY, KEY, value, is_causal=is_causal)
    return out[0, 1].sum()

  dependence = compiled.jit(jax.grad(first))(VALUE)[0].any((1, 2))
  assert dependence[:2].all()
  assert dependence[2:].any() != is_causal


def test_errors_name_the_fault():
  with pytest.raises(ValueError, match="the backend is 'cpu'; cuDNN needs"):
    attention.attend(QUERY, KEY, VALUE, implementation='cudnn')
  with pytest.raises(ValueError, match='must be one of'):
    attention.attend(QUERY, KEY, VALUE, implementation='flash')
  with pytest.raises(ValueError, match="Axis 'e' is 4 in key"):
    attention.attend(QUERY, KEY[..., :4], VALUE)


@pytest.mark.parametrize(
  ('dtype', 'width', 'obstacle'),
  [
    ('bfloat16', 64, ''),
    ('float32', 64, 'dtype is float32'),
    ('bfloat16', 36, 'multiple of 8'),
    ('bfloat16', 256, 'at most 128'),
  ],
)
def test_cudnn_requirements(monkeypatch, dtype, width, obstacle):
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  query = jnp.ones((1, 4, 2, width), dtype)
  found = attention._cudnn_obstacle(query)
  assert obstacle in found
  assert bool(obstacle) == bool(found)
