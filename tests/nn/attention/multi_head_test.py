"""Tests of nn/attention/multi_head.py."""

import functools
import re

from flax import traverse_util
import flax.linen as nn
import jax
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn import embeddings
from vgen_jax.nn.attention import cache
from vgen_jax.nn.attention import multi_head

pytestmark = pytest.mark.usefixtures('compares_finite')

WIDTH, HEADS, TOKENS = 8, 2, 5
X_BND = arrays.normal((2, TOKENS, WIDTH))
ANGLE_NP = compiled.call(embeddings.rotary_grid, (TOKENS,), WIDTH // HEADS)


def make(**kwargs):
  """Returns a layer, and parameters none of which is zero."""
  layer = multi_head.MultiHeadAttention(WIDTH, HEADS, **kwargs)
  shapes = jax.eval_shape(lambda: layer.init(jax.random.key(0), X_BND))
  rng = np.random.default_rng(0)
  random = lambda x: np.float32(0.5 * rng.standard_normal(x.shape))
  return layer, jax.tree.map(random, shapes)


def by_hand(params, x_bnd, y_bmd, angle_np=None, mask_nm=None, norm=False):
  """The same attention in plain NumPy, from tokens x to tokens y."""
  params = jax.tree.map(np.float64, params['params'])

  def project(name, x, angle=None):
    x = x @ params[name]['kernel'] + params[name].get('bias', 0)
    x = x.reshape(*x.shape[:2], HEADS, -1)
    if norm and name != 'value':
      scale = np.sqrt(np.square(x).mean(-1, keepdims=True) + 1e-6)
      x = x / scale * params[f'{name}_norm']['scale']
    if angle is not None:
      z = x[..., :2] + 1j * x[..., 2:]
      z = z * np.exp(1j * np.asarray(angle))[None, :, None]
      x = np.concatenate([z.real, z.imag], -1)
    return x

  query = project('query', np.float64(x_bnd), angle_np)
  key = project('key', np.float64(y_bmd), angle_np)
  value = project('value', np.float64(y_bmd))
  logits = np.einsum('bnae,bmae->banm', query, key) / (WIDTH // HEADS) ** 0.5
  if mask_nm is not None:
    logits = np.where(mask_nm, logits, -np.inf)
  weights = np.exp(logits - logits.max(-1, keepdims=True))
  weights /= weights.sum(-1, keepdims=True)
  y = np.einsum('banm,bmae->bnae', weights, value).reshape(x_bnd.shape)
  return y @ params['out']['kernel'] + params['out'].get('bias', 0)


@pytest.mark.parametrize('qk_norm', [False, True])
@pytest.mark.parametrize('angle_np', [None, ANGLE_NP], ids=['plain', 'rotary'])
def test_self_attention_equals_the_formula(qk_norm, angle_np):
  layer, params = make(qk_norm=qk_norm)
  out = compiled.apply(layer, params, X_BND, angle_np=angle_np)
  expected = by_hand(params, X_BND, X_BND, angle_np, norm=qk_norm)
  np.testing.assert_allclose(out, expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize('window', [None, 2, 9])
def test_a_causal_token_attends_to_its_window(window):
  layer, params = make()
  out = compiled.apply(layer, params, X_BND, is_causal=True, window=window)
  n, m = np.mgrid[:TOKENS, :TOKENS]
  mask_nm = (m <= n) & (n - m < (window or TOKENS))
  expected = by_hand(params, X_BND, X_BND, mask_nm=mask_nm)
  np.testing.assert_allclose(out, expected, rtol=2e-4, atol=2e-5)


def test_cross_attention_reads_the_given_tokens_under_the_mask():
  layer, params = make(input_bias=False)
  y_bmd = arrays.normal((2, 3, WIDTH), seed=1)
  mask_bnm = np.array([[[True, True, False]]] * 2)

  def attend(params, y_bmd):
    key_values = layer.apply(params, y_bmd, method='key_values')
    return layer.apply(params, X_BND, key_values, mask_bnm=mask_bnm)

  out = compiled.call(attend, params, y_bmd)
  expected = by_hand(params, X_BND, y_bmd[:, :2])
  np.testing.assert_allclose(out, expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize('window', [2, TOKENS])
def test_decoding_with_a_cache_equals_one_causal_pass(window):
  """Outputs are equal even when the cache is full and drops old tokens."""
  layer, params = make(qk_norm=True)
  empty = compiled.call(
    cache.empty, 1, 2, window, (HEADS, WIDTH // HEADS), 'float32'
  )
  cached = jax.tree.map(lambda x: x[0], empty)
  step = compiled.jit(functools.partial(layer.apply, method='decode_step'))
  outputs = []
  for n in range(TOKENS):
    out, cached = step(
      params,
      X_BND[:, n : n + 1],
      cached,
      n,
      angle_1p=ANGLE_NP[n : n + 1],
    )
    outputs.append(out)
  wanted = compiled.apply(
    layer, params, X_BND, angle_np=ANGLE_NP, is_causal=True, window=window
  )
  np.testing.assert_allclose(np.concatenate(outputs, 1), wanted, atol=1e-5)
  assert cached.key_bmae.shape == (2, window, HEADS, WIDTH // HEADS)


def test_fields_choose_the_parameters():
  def names(**kwargs):
    return set(traverse_util.flatten_dict(make(**kwargs)[1]['params'], sep='/'))

  biases = {f'{name}/bias' for name in ('query', 'key', 'value')}
  assert names() - names(input_bias=False) == biases
  assert names() - names(output_bias=False) == {'out/bias'}
  norms = {'query_norm/scale', 'key_norm/scale'}
  assert names(qk_norm=True) - names() == norms
  layer = multi_head.MultiHeadAttention(
    WIDTH, HEADS, output_init=nn.initializers.zeros_init()
  )
  params = compiled.init(layer, jax.random.key(0), X_BND)
  assert not np.any(params['params']['out']['kernel'])
  assert np.any(params['params']['query']['kernel'])


def test_a_shared_scope_keeps_paths_and_initial_values():
  """Networks rely on this: their parameters have no level for the module."""

  class Shared(nn.Module):
    @nn.compact
    def __call__(self, x_bnd):
      attention = multi_head.MultiHeadAttention(WIDTH, HEADS)
      nn.share_scope(self, attention)
      return attention(x_bnd)

  key = jax.random.key(0)
  layers = Shared(), multi_head.MultiHeadAttention(WIDTH, HEADS)
  shared, plain = compiled.call(
    lambda x: [layer.init(key, x) for layer in layers], X_BND
  )
  jax.tree.map(np.testing.assert_array_equal, shared, plain)


def test_rules_shard_heads_of_blocks_only():
  def spec(path):
    found = [
      s for pattern, s in multi_head.TENSOR_RULES if re.search(pattern, path)
    ]
    return found[0] if found else None

  assert spec('net/blocks/space/query/kernel') == (None, 'tensor')
  assert spec('net/blocks/value/bias') == ('tensor',)
  assert spec('net/blocks/out/kernel') == ('tensor', None)
  assert spec('net/blocks/out/bias') is None
  assert spec('net/blocks/query_norm/scale') is None
  assert spec('net/out/kernel') is None


def test_errors_name_the_fault():
  with pytest.raises(ValueError, match=r'width is 8; .* of num_heads, 3'):
    compiled.init(multi_head.MultiHeadAttention(8, 3), jax.random.key(0), X_BND)
  layer, params = make()
  with pytest.raises(ValueError, match='a window needs is_causal=True'):
    compiled.apply(layer, params, X_BND, window=2)


def test_several_leading_axes_are_a_batch():
  layer, params = make(qk_norm=True)
  x_bgnd = arrays.normal((2, 3, TOKENS, WIDTH), seed=2)
  out = compiled.apply(layer, params, x_bgnd, angle_np=ANGLE_NP)
  flat = compiled.apply(
    layer, params, x_bgnd.reshape(6, TOKENS, -1), angle_np=ANGLE_NP
  )
  np.testing.assert_allclose(out, flat.reshape(out.shape), atol=1e-6)
