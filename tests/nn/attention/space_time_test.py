"""Tests of nn/attention/space_time.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn.attention import space_time

B, T, H, W, C = 2, 3, 2, 4, 6
X = arrays.normal((B, T, H, W, C))


@functools.cache
def initial(module):
  return compiled.init(module, jax.random.key(1), X)


def init(module, gamma: float = 0.7):
  """Returns variables with a gamma that is not 0."""
  return {'params': initial(module)['params'] | {'gamma': np.float32(gamma)}}


def run(block, variables, x=X):
  return compiled.apply(block, variables, x)


def by_hand(params, axes: tuple[int, ...] = (1, 2, 3)) -> np.ndarray:
  """Returns additive weights in numpy, with a softmax over some axes."""
  hidden, score = params['weights']['hidden'], params['weights']['score']
  x = np.asarray(X, np.float64)
  z = np.tanh(x @ np.asarray(hidden['kernel']) + np.asarray(hidden['bias']))
  score_bthw = (z @ np.asarray(score['kernel']))[..., 0]
  exp = np.exp(score_bthw - score_bthw.max())
  return exp / exp.sum(axis=axes, keepdims=True)


def check_weights(weight_bthw, params):
  """Fails unless weights are those of a softmax over t, h and w."""
  np.testing.assert_allclose(
    np.asarray(weight_bthw).sum(axis=(1, 2, 3)), 1, atol=1e-5
  )
  np.testing.assert_allclose(weight_bthw, by_hand(params), atol=1e-6)


def test_additive_weights_sum_to_one_over_space_and_time():
  gate = space_time.AdditiveGate()
  variables = init(gate)
  kind = space_time.AdditiveWeights
  _, state = compiled.apply(gate,
    variables, X, capture_intermediates=lambda module, _: isinstance(
      module, kind
    ),
  )  # fmt: skip
  (weight_bthw,) = state['intermediates']['weights']['__call__']
  params = variables['params']
  check_weights(weight_bthw, params)
  # A softmax over frames, over each frame, over the batch, or over one side.
  for axes in ((1,), (2, 3), (0, 1, 2, 3), (1, 2), (3,)):
    with pytest.raises(AssertionError):
      check_weights(by_hand(params, axes), params)


def test_gains_of_the_additive_gate():
  gate = space_time.AdditiveGate()
  variables = init(gate, gamma=0.7)
  gain = 1 + 0.7 * T * H * W * by_hand(variables['params'])
  np.testing.assert_allclose(
    run(gate, variables), X * gain[..., None], rtol=1e-5
  )


@pytest.mark.parametrize(
  'block',
  [
    space_time.AdditiveGate(),
    *(space_time.SelfAttention(kind) for kind in space_time.SELF_KINDS),
  ],
)
def test_blocks_start_as_the_identity_and_can_leave_it(block):
  variables = initial(block)

  def total(variables):
    y = block.apply(variables, X)
    return jnp.square(y).sum(), y

  grad = compiled.jit(jax.grad(total, has_aux=True))
  slope, y = grad(variables)
  assert (y == X).all()
  assert not np.allclose(grad(init(block))[1], X, atol=1e-3)
  assert abs(slope['params']['gamma']) > 1e-3


def test_full_attention_equals_numpy():
  block = space_time.SelfAttention('full', num_heads=2)
  variables = init(block)
  params = jax.tree.map(np.asarray, variables['params'])
  tokens = np.asarray(X).reshape(B, -1, C)
  heads = lambda name: (tokens @ params[name]['kernel']).reshape(B, -1, 2, 3)
  logits = np.einsum('bnae,bmae->banm', heads('query'), heads('key')) / 3**0.5
  weights = np.exp(logits)
  weights /= weights.sum(axis=-1, keepdims=True)
  y = np.einsum('banm,bmae->bnae', weights, heads('value')).reshape(X.shape)
  y = y @ params['out']['kernel'] + params['out']['bias']
  np.testing.assert_allclose(
    run(block, variables), X + 0.7 * y, rtol=1e-4, atol=1e-5
  )


def dependence(kind: str) -> set[str]:
  """Returns the axes along which a position has an effect on others."""
  block = space_time.SelfAttention(kind)
  variables = init(block)
  changed = X.copy()
  changed[0, 0, 0, 0] += 1
  apply = compiled.jit(block.apply)
  difference = np.abs(apply(variables, X) - apply(variables, changed))
  effect = difference.max(axis=-1) > 1e-5
  assert effect[0, 0, 0, 0]
  found = {
    'b': effect[1:].any(),
    't': effect[0, 1:, 0, 0].all(),
    'h': effect[0, 0, 1:, 0].all(),
    'w': effect[0, 0, 0, 1:].all(),
    'thw': effect[0, 1:, 1:, 1:].all(),
  }
  return {name for name, is_found in found.items() if is_found}


ALONG = {
  axis: pair
  for axis, pair in zip(
    'hwt', space_time._AXES['separable'], strict=True
  )
}  # fmt: skip
ACROSS_CLIPS = (
  'b t h w a e -> (t h w) b a e', '(t h w) b a e -> b t h w a e',
)  # fmt: skip


def test_attention_is_over_all_axes_of_a_clip(monkeypatch):
  everywhere = {'t', 'h', 'w', 'thw'}
  assert dependence('full') == everywhere
  assert dependence('separable') == everywhere
  assert dependence('pointwise') == set()
  # Attention along wrong axes is noticed.
  for wrong in (
    (ALONG['h'], ALONG['h'], ALONG['t']),
    (ALONG['h'], ALONG['w'], ALONG['w']),
    (ALONG['t'], ALONG['w'], ALONG['t']),
    (ALONG['h'], ALONG['w'], ALONG['t'], ACROSS_CLIPS),
  ):
    monkeypatch.setitem(space_time._AXES, 'separable', wrong)
    assert dependence('separable') != everywhere


def test_a_permutation_along_an_axis_permutes_the_result():
  for kind in ('full', 'separable'):
    block = space_time.SelfAttention(kind)
    variables = init(block)
    apply = compiled.jit(block.apply)
    y = apply(variables, X)
    for axis in (1, 2, 3):
      order = np.roll(np.arange(X.shape[axis]), 1)
      permuted = apply(variables, np.take(X, order, axis))
      np.testing.assert_allclose(
        permuted, np.take(y, order, axis), rtol=1e-4, atol=1e-5
      )


def separable_error(x) -> float:
  """Returns how much separable attention differs from full attention.

  Queries and keys are the features themselves.
  """
  full, separable = (
    space_time.SelfAttention(kind) for kind in ('full', 'separable')
  )
  params = init(full)['params']
  # Of a scale at which weights are far from uniform.
  identity = {'kernel': 2 * np.eye(C)}
  variables = {'params': {**params, 'query': identity, 'key': identity}}
  difference = compiled.call(
    lambda v, x: full.apply(v, x) - separable.apply(v, x), variables, x
  )
  return float(np.abs(difference).max())


def test_separable_attention_equals_full_attention_on_separable_logits(
  monkeypatch,
):
  """Channels 0 and 1 depend on t only, 2 and 3 on h, 4 and 5 on w."""
  parts = [
    X[:, :, :1, :1, :2], X[:, :1, :, :1, 2:4], X[:, :1, :1, :, 4:],
  ]  # fmt: skip
  x = np.concatenate(
    [np.broadcast_to(part, (B, T, H, W, 2)) for part in parts], axis=-1
  )
  assert separable_error(x) < 1e-5
  assert separable_error(X) > 1e-2
  for wrong in (
    (ALONG['h'], ALONG['w']),
    (ALONG['h'], ALONG['h'], ALONG['t']),
    (ALONG['h'], ALONG['w'], ALONG['t'], ALONG['t']),
  ):
    monkeypatch.setitem(space_time._AXES, 'separable', wrong)
    assert separable_error(x) > 1e-2


def test_kinds_have_the_same_number_of_parameters():
  counts = {
    sum(leaf.size for leaf in jax.tree.leaves(initial(block)))
    for block in map(space_time.SelfAttention, space_time.SELF_KINDS)
  }
  assert counts == {4 * C * C + C + 1}


def test_wrong_fields():
  with pytest.raises(ValueError, match="kind is 'axial'"):
    space_time.SelfAttention('axial')
  with pytest.raises(ValueError, match='num_heads'):
    init(space_time.SelfAttention(num_heads=4))
